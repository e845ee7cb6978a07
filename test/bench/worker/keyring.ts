/** A keyring as it is, which can also be filled, aged and measured. What is measured is the code of `src`. */
import { secureRandom } from "../../../src/crypto/random.ts";
import { Keyring as RealKeyring } from "../../../src/keyring/keyring.ts";
import { readMetrics } from "../../../src/keyring/operations/metrics.ts";
import { describeStatus } from "../../../src/keyring/operations/status.ts";
import { claimDue, InFlight } from "../../../src/rotation/claims.ts";
import type { EngineContext } from "../../../src/rotation/context.ts";
import { LANES, laneOf, WORK_LANES } from "../../../src/store/due.ts";
import { durableObjectSql } from "../../../src/store/sql.ts";
import { Store } from "../../../src/store/store.ts";
import { type Meter, meter } from "../../support/meter.ts";
import { addRecent, fill, numbered, numbers } from "./fill.ts";
import { MARK, type Reading, readingOf } from "./reading.ts";

const DAY_MS = 86_400_000;
/** Older than any `maxAge` that a benchmark uses. */
const AGED_MS = 40 * DAY_MS;

export type Kind = "rotation" | "version" | "delivery";

type Standing = {
  stage: string;
  promotedAt: number | null;
  graceEndsAt: number | null;
};

/** What makes a row of each kind look like work. */
const AS_WORK: Record<Kind, string> = {
  rotation: "state = 'running', step = 'preflight'",
  version: "stage = 'previous'",
  delivery: "state = 'pending'",
};

export class Keyring extends RealKeyring {
  /** What waking up read. */
  readonly #wake: Reading;
  #meter: Meter | undefined;
  #requests = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    const seen = meter(ctx);
    super(ctx, env);
    this.#wake = readingOf(seen, 0);
    seen.remove();
  }

  /** A round trip and nothing else. */
  nothing(): null {
    return null;
  }

  fill(from: number, to: number, total: number): null {
    const sql = durableObjectSql(this.ctx.storage);
    fill(sql, new Store(sql), from, to, total);
    return null;
  }

  /**
   * Gives rows of one kind something to do at `at`.
   */
  place(order: { kind: Kind; first: number; count: number; at: number }): null {
    const { kind, first, count, at } = order;
    const { sql } = this.ctx.storage;
    const id = numbered(kind, `${first} + i`);
    this.ctx.storage.transactionSync(() => {
      sql.exec(
        `${MARK} UPDATE ${kind} SET ${AS_WORK[kind]}, dueAt = ${at}, leaseUntil = NULL
         WHERE id IN (${numbers(0, count)} SELECT ${id} FROM n)`,
      );
      sql.exec(
        `${MARK} ${numbers(0, count)} INSERT INTO due SELECT ?, ?, ?, ${id} FROM n`,
        laneOf(kind),
        at,
        kind,
      );
    });
    return null;
  }

  /** Takes all work away again; scheduled starts stay. */
  clear(): null {
    const { sql } = this.ctx.storage;
    sql.exec(`${MARK} DELETE FROM due WHERE lane <> ?`, LANES.starts);
    return null;
  }

  /** Claims `count` rows of one kind, as the engine does, with all its room free each time. Returns how many there were. */
  claim(order: { kind: Kind; count: number; metered: boolean }): {
    claimed: number;
    reading: Reading | null;
  } {
    const context = this.#context();
    const seen = order.metered ? meter(this.ctx) : undefined;
    const lane = WORK_LANES.find((one) => one.lane === laneOf(order.kind));
    if (!lane) throw new Error("work of this kind has no lane");
    let claimed = 0;
    while (claimed < order.count) {
      const { claims } = context.store.transaction(() => claimDue(context, lane, new InFlight()));
      if (claims.length === 0) break;
      claimed += claims.length;
    }
    const reading = seen ? readingOf(seen, 0) : null;
    seen?.remove();
    return { claimed, reading };
  }

  /** What the alarm, or cron's visit, does when nothing is due; many times over. */
  poll(order: { by: "alarm" | "visit"; times: number; metered: boolean }): { reading: Reading | null } {
    const seen = order.metered ? meter(this.ctx) : undefined;
    for (let n = 0; n < order.times; n++) {
      if (order.by === "alarm") this.alarm();
      else this.visit();
    }
    const reading = seen ? readingOf(seen, order.times) : null;
    seen?.remove();
    return { reading };
  }

  /** What a busy day leaves behind. */
  addRecent(count: number): null {
    addRecent(durableObjectSql(this.ctx.storage), count);
    return null;
  }

  /** Looks at the keyring as a whole, each time as an object that has just opened it; many times over. */
  look(order: { at: "status" | "metrics"; times: number; metered: boolean }): { reading: Reading | null } {
    const seen = order.metered ? meter(this.ctx) : undefined;
    for (let n = 0; n < order.times; n++) {
      if (order.at === "status") describeStatus(this.#context(), undefined);
      else readMetrics(this.#context());
    }
    const reading = seen ? readingOf(seen, order.times) : null;
    seen?.remove();
    return { reading };
  }

  /** What this instance read before it did anything. */
  wake(): Reading {
    return this.#wake;
  }

  /** Ends this instance: what it knows of its database is not so any more, once a benchmark has written there by itself. */
  restart(): never {
    this.ctx.abort("restarted by a benchmark");
    throw new Error("restarted");
  }

  /** Bytes of the database. */
  size(): number {
    return this.ctx.storage.sql.databaseSize;
  }

  /** How many rows of work there are, due or not. */
  busy(): number {
    return this.ctx.storage.sql
      .exec<{ count: number }>(`${MARK} SELECT count(*) AS count FROM due WHERE lane <> ?`, LANES.starts)
      .one().count;
  }

  /** Where a version stands, or null when there is none. */
  versionOf(key: string, number: number): Standing | null {
    const rows = this.ctx.storage.sql
      .exec<Standing>(
        `${MARK} SELECT stage, promotedAt, graceEndsAt FROM version
         WHERE keyId = (SELECT id FROM key WHERE name = ? AND state <> 'deleted') AND number = ?`,
        key,
        number,
      )
      .toArray();
    return rows[0] ?? null;
  }

  /** Each leaked version: when its report came, when it was seen dead, and over which connection. */
  leaks(): { receivedAt: number; revokedAt: number | null; connection: string | null }[] {
    return this.ctx.storage.sql
      .exec<{ receivedAt: number; revokedAt: number | null; connection: string | null }>(
        `${MARK} SELECT compromise.receivedAt, version.revokedAt, connection.name AS connection
         FROM leak JOIN compromise ON compromise.id = substr(leak.id, 1, instr(leak.id, '/') - 1)
         JOIN version ON version.id = leak.subject JOIN key ON key.id = version.keyId
         LEFT JOIN connection ON connection.id = key.connectionId`,
      )
      .toArray();
  }

  /** Makes every key with such a name too old, so that cron starts it. Returns how many there are. */
  age(prefix: string): number {
    const sql = durableObjectSql(this.ctx.storage);
    const store = new Store(sql);
    return store.transaction(() => {
      const keys = store.keys.select("WHERE name LIKE ? || '%' AND state = 'active'", prefix);
      for (const key of keys) {
        const current = store.versions.current(key.id);
        if (current) store.versions.update(current, { issuedAt: Date.now() - AGED_MS });
        store.keys.update(key, { dueAt: Date.now() - 1 });
      }
      return keys.length;
    });
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

  override visit(): ReturnType<RealKeyring["visit"]> {
    this.#requests += 1;
    return super.visit();
  }

  override alarm(): void {
    this.#requests += 1;
    super.alarm();
  }

  /** What claims and looks need; were they to touch anything else, they would break here. */
  #context(): EngineContext {
    const now = Date.now();
    const context: Pick<EngineContext, "store" | "now" | "identity" | "random"> = {
      store: new Store(durableObjectSql(this.ctx.storage), { isOnlyWriter: true }),
      now: () => now,
      identity: { name: "bench", code: "bench" },
      random: secureRandom,
    };
    return context as EngineContext;
  }
}
