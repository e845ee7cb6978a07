/**
 * The object that every method of a keyring stands on. Methods are by resource, each file's class adding its own to those of the one
 * before; whatever is a method of one of these classes can be called over RPC, and nothing else may be.
 */
import { DurableObject } from "cloudflare:workers";
import { Host } from "../host.ts";

export class Hosted extends DurableObject<Env> {
  readonly #host: Host;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#host = new Host(ctx, env);
  }

  /** What the methods go through. Static, as a method or property of the object is one that others might reach. */
  static hostOf(object: Hosted): Host {
    return object.#host;
  }
}

export const { hostOf } = Hosted;
