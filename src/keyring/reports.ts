/** What a keyring's object tells the registry by itself. Nobody waits for it: what fails is told again, by this object or at cron's visit. */
import { registryOf } from "../registry/stub.ts";
import type { EngineContext } from "../rotation/context.ts";
import type { Sql } from "../store/sql.ts";
import { Store } from "../store/store.ts";
import { logBug } from "./bugs.ts";

export class Reports {
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly #sql: Sql;
  /** The earliest scheduled start that the registry was told of. */
  #startAt: number | null | undefined;

  constructor(ctx: DurableObjectState, env: Env, sql: Sql) {
    this.#ctx = ctx;
    this.#env = env;
    this.#sql = sql;
  }

  /** The registry hears of this start, or of none, in another way. Undefined when it is not known what it has heard. */
  noteStart(at: number | null | undefined): void {
    this.#startAt = at;
  }

  /** Tells it when a scheduled start came nearer, which may be at the end of a rotation just as well as in a call. */
  reportStart({ store, identity }: EngineContext): void {
    if (!store.due.takeStartsMoved() && this.#startAt !== undefined) return;
    const at = store.due.earliestStartAt();
    const known = this.#startAt;
    if (at === null || (known !== undefined && known !== null && known <= at)) return;
    this.#tellStart(identity.code, at);
  }

  /**
   * A report may have died with the instance that made it.
   * @param told what the registry knows, milliseconds since the epoch
   */
  makeUpFor({ due }: Store, code: string, told: number | null): void {
    this.#startAt = told;
    const at = due.earliestStartAt();
    if (at !== null && (told === null || at < told)) this.#tellStart(code, at);
  }

  #tellStart(code: string, at: number): void {
    this.#startAt = at;
    this.#ctx.waitUntil(
      registryOf(this.#env)
        .noteStart(code, at)
        .catch((error: unknown) => {
          this.#startAt = undefined;
          logBug(error);
        }),
    );
  }

  /** Tells it which master key wraps the data key. */
  reportMasterKey(): void {
    const { settings } = new Store(this.#sql);
    const { code = "" } = settings.identity() ?? {};
    const masterKeyId = settings.wrappedDataKey()?.masterKeyId ?? null;
    this.#ctx.waitUntil(registryOf(this.#env).noteMasterKeys([{ code, masterKeyId }]).catch(logBug));
  }
}
