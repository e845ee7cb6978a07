/** The registry as it is, under a meter, counting the calls that come in. */
import { Registry as RealRegistry } from "../../../src/registry/registry.ts";
import { type Meter, meter } from "../../support/meter.ts";
import { type Reading, readingOf } from "./reading.ts";

export class Registry extends RealRegistry {
  #meter: Meter | undefined;
  #requests = 0;
  #isInside = false;

  static {
    for (const name of Object.getOwnPropertyNames(RealRegistry.prototype)) {
      const method: unknown = Reflect.get(RealRegistry.prototype, name);
      if (name === "constructor" || typeof method !== "function") continue;
      Object.defineProperty(Registry.prototype, name, {
        value(this: Registry, ...args: unknown[]): unknown {
          return this.#count(() => Reflect.apply(method, this, args));
        },
      });
    }
  }

  startMeter(): void {
    this.#meter?.remove();
    this.#meter = meter(this.ctx);
    this.#requests = 0;
  }

  readMeter(): Reading {
    if (!this.#meter) throw new Error("no meter was started");
    const reading = readingOf(this.#meter, this.#requests);
    this.#meter.remove();
    this.#meter = undefined;
    return reading;
  }

  /** What a method calls of its own object is no request. */
  #count(call: () => unknown): unknown {
    if (this.#isInside) return call();
    this.#requests += 1;
    this.#isInside = true;
    try {
      return call();
    } finally {
      this.#isInside = false;
    }
  }
}
