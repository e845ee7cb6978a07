/**
 * One round of a batch: looks at the next keys of each account and starts what may start. Each account has a cursor and a part of the
 * window of its own, so that one that is slow, held or full holds up no other.
 */
import { ordinaryCalls } from "../outbound/budget.ts";
import { type BatchRow, type Share, type Skipped, WAITS_FOR_OTHERS } from "../store/batches.ts";
import type { KeyRow } from "../store/keys.ts";
import type { RotationRow } from "../store/rotations.ts";
import { startRotation } from "./changes.ts";
import { isBeingReplaced, openerOf } from "./connections.ts";
import type { EngineContext } from "./context.ts";
import { callsOf } from "./estimate.ts";
import { graceFor, mayActOn } from "./kinship.ts";
import { findGraceExcess, findNoReceiver, findRotationRefusal } from "./refusal.ts";

/** Rotations of all batches that get on at the same time: a quarter of the places of their lane is left to everybody else. */
export const WINDOW = 48;
/** Of these, at one account whose service counts calls: more would only wait for it, in places that others could use. */
export const COUNTED_WINDOW = 8;
/** A rotation that is live for longer than this, or blocked, leaves its place: it waits for somebody. */
const SLOW_MS = 60_000;
/** Such rotations at one account and in all: with more, something is wrong that more would not mend. */
export const MAX_STUCK_AT_ONE = 48;
export const MAX_STUCK = 4 * MAX_STUCK_AT_ONE;
/** Starts of one commit, and keys that it looks at. */
const STARTED_AT_ONCE = 16;
const LOOKED_AT_ONCE = 200;
/** Rotations of others hold the places that it may have: nothing tells it for sure when one of these ends. */
const CROWDED_MS = 10_000;
/** Ids of keys that are kept as examples of each reason for which some were left out. */
const EXAMPLES = 10;

/** What a round changes, when the next one is due, and whether it was the last. */
export type RoundResult = Pick<
  BatchRow,
  "shares" | "waiting" | "started" | "joined" | "skipped" | "waitsFor"
> & {
  isOver: boolean;
  /** Null when only an end of a rotation lets it go on. */
  again: number | null;
};

/** Live rotations of the batch at one account: those that get on, and those that wait for somebody. */
interface Crowd {
  moving: number;
  stuck: number;
}

export class BatchRound {
  readonly #context: EngineContext;
  readonly #row: BatchRow;
  readonly #own: KeyRow | undefined;
  readonly #shares: Share[];
  readonly #openers: ReadonlySet<string>;
  readonly #waiting: Set<string>;
  readonly #skipped: Record<string, Skipped>;
  readonly #crowds = new Map<string, Crowd>();
  readonly #all: Crowd = { moving: 0, stuck: 0 };
  /** Places of the window that other batches hold. */
  readonly #others: number;
  #started = 0;
  #joined = 0;
  #looked = 0;
  /** Places that the keyring's own limit leaves. */
  #places: number;
  /** When the oldest of those that get on leaves its place, at the latest. */
  #slowAt = Infinity;
  #again = Infinity;
  #waitsFor: string | null = null;

  constructor(context: EngineContext, row: BatchRow) {
    const { store } = context;
    this.#context = context;
    this.#row = row;
    this.#own = row.requestedBy === "root" ? undefined : store.keys.get(row.requestedBy);
    this.#shares = row.shares.map((share) => ({ ...share }));
    this.#openers = new Set(row.openers);
    this.#waiting = new Set(row.waiting);
    this.#skipped = { ...row.skipped };
    for (const rotation of store.rotations.liveOfBatch(row.id)) this.#count(rotation);
    this.#others = store.rotations.countMovingOfOthers(row.id, context.now() - SLOW_MS);
    const { rotations } = store.settings.limits();
    this.#places = rotations === undefined ? Infinity : rotations - store.rotations.countMoving();
  }

  run(): RoundResult {
    for (const id of [...this.#waiting]) this.#takeOpener(id);
    for (const share of this.#shares) this.#takeFrom(share);
    const { started, joined } = this.#row;
    const isAllLooked = this.#waiting.size === 0 && this.#shares.every(isRead);
    return {
      shares: this.#shares,
      waiting: [...this.#waiting],
      started: started + this.#started,
      joined: joined + this.#joined,
      skipped: this.#skipped,
      waitsFor: isAllLooked ? null : this.#waitsFor,
      isOver: isAllLooked && this.#all.moving + this.#all.stuck === 0,
      again: isAllLooked || this.#again === Infinity ? null : this.#again,
    };
  }

  /** Keys that open a connection come first: what is behind it waits until they are replaced. */
  #takeOpener(id: string): void {
    const key = this.#context.store.keys.get(id);
    const share = key && this.#shares.find((one) => isOf(one, key));
    if (!key || !share) {
      this.#waiting.delete(id);
    } else if (this.#roomAt(share) > 0) {
      this.#waiting.delete(id);
      this.#offer(share, key);
    }
  }

  #takeFrom(share: Share): void {
    while (!isRead(share)) {
      const room = this.#roomAt(share);
      if (room <= 0) return;
      const keys = this.#context.store.keys.nextOf(this.#row.selection, share, share.after, room);
      for (const key of keys) {
        share.after = key.id;
        if (!this.#openers.has(key.id)) this.#offer(share, key);
      }
      if (keys.length < room) share.after = share.last;
    }
  }

  /** One key: it starts, or joins what is live, or is left out for the reason that a rotation by hand would be refused. */
  #offer(share: Share, key: KeyRow): void {
    const { store } = this.#context;
    const { id: batchId, grace, reason, requestedBy } = this.#row;
    share.looked += 1;
    this.#looked += 1;
    const refusal = findBatchRefusal(this.#context, this.#own, key, grace);
    if (refusal !== undefined) {
      this.#skip(key, refusal);
      return;
    }
    const live = store.rotations.live(key.id);
    if (live && live.batchId !== null) {
      this.#skip(key, "rotation-live");
    } else if (live) {
      this.#joined += 1;
      this.#count(store.rotations.update(live, { batchId }));
    } else {
      this.#started += 1;
      this.#places -= 1;
      this.#count(
        startRotation(this.#context, key, {
          trigger: "manual",
          reason,
          requestedBy,
          grace: graceFor(this.#context, this.#own, key, grace),
          batchId,
        }),
      );
    }
  }

  /** How many keys of an account may be looked at now; what stands in the way of more is noted. */
  #roomAt(share: Share): number {
    const atOnce = Math.min(LOOKED_AT_ONCE - this.#looked, STARTED_AT_ONCE - this.#started);
    if (atOnce <= 0) {
      this.#wait(null, this.#context.now());
      return 0;
    }
    const crowd = this.#crowds.get(nameOf(share)) ?? { moving: 0, stuck: 0 };
    if (this.#all.stuck >= MAX_STUCK || crowd.stuck >= MAX_STUCK_AT_ONE) {
      this.#wait("its own rotations that wait for somebody");
      return 0;
    }
    const own = Math.min(WINDOW - this.#all.moving, this.#windowOf(share) - crowd.moving);
    if (own <= 0) {
      this.#wait("its own rotations that are live", this.#slowAt);
      return 0;
    }
    const places = Math.min(own, WINDOW - this.#others - this.#all.moving);
    if (places <= 0) {
      this.#wait(WAITS_FOR_OTHERS, this.#context.now() + CROWDED_MS);
      // Said whatever else it waits for: by this it is found when a place is free.
      this.#waitsFor = WAITS_FOR_OTHERS;
      return 0;
    }
    if (this.#isBehindOpener(share)) {
      this.#wait("the key that opens a connection, which is replaced first");
      return 0;
    }
    const allowed = Math.min(this.#places, this.#placesOn(share));
    if (allowed <= 0) {
      this.#wait(
        "a place: as many rotations are live as the settings allow",
        this.#context.now() + CROWDED_MS,
      );
      return 0;
    }
    return Math.min(atOnce, places, allowed, this.#affordable(share, crowd));
  }

  /** An account's part of the window: an even one, while others have keys left, and a small one where calls are counted. */
  #windowOf(share: Share): number {
    const open = this.#shares.filter((one) => !isRead(one)).length;
    const even = Math.ceil(WINDOW / Math.max(1, open));
    return this.#allowanceOf(share) ? Math.min(COUNTED_WINDOW, even) : even;
  }

  /** Whether the key that opens an account's connection is still to be replaced, or in the middle of it. */
  #isBehindOpener(share: Share): boolean {
    const opener = openerOf(this.#context, share);
    return opener !== null && (this.#waiting.has(opener) || isBeingReplaced(this.#context, opener));
  }

  #placesOn({ connectionId }: Share): number {
    const { store } = this.#context;
    const { rotationsPerConnection: most } = store.settings.limits();
    if (most === undefined || connectionId === null) return Infinity;
    return most - store.rotations.liveOnConnection(connectionId).length;
  }

  /** For how many more keys the account's calls are there: what begins without them would only be blocked. */
  #affordable(share: Share, { moving }: Crowd): number {
    const { connectionId } = share;
    const rateLimit = this.#allowanceOf(share);
    if (!rateLimit || connectionId === null) return Infinity;
    const calls = callsOf(this.#context.providerOf(share)).replace;
    // An account that never has as many calls at once is given what it can have.
    const needed = Math.min(calls, ordinaryCalls(rateLimit));
    const left = this.#context.ordinaryLeft(connectionId, rateLimit) - moving * calls;
    if (left < needed) {
      const waitMs = Math.ceil(((needed - left) * rateLimit.perMs) / rateLimit.calls);
      this.#wait("calls that the service allows", this.#context.now() + waitMs);
    }
    return left < needed ? 0 : Math.max(1, Math.floor(left / calls));
  }

  /** What the service allows the account; undefined where nothing is counted, or each key is an account of its own. */
  #allowanceOf(share: Share) {
    return share.connectionId === null ? undefined : this.#context.providerOf(share).rateLimit;
  }

  #count({ keyId, state, startedAt }: RotationRow): void {
    const slowAt = startedAt + SLOW_MS;
    const key = this.#context.store.keys.get(keyId);
    const name = key ? nameOf(key) : "";
    const crowd = this.#crowds.get(name) ?? { moving: 0, stuck: 0 };
    const which = state === "running" && slowAt > this.#context.now() ? "moving" : "stuck";
    if (which === "moving") this.#slowAt = Math.min(this.#slowAt, slowAt);
    crowd[which] += 1;
    this.#all[which] += 1;
    this.#crowds.set(name, crowd);
  }

  #skip({ id }: KeyRow, reason: string): void {
    const { count, keys } = this.#skipped[reason] ?? { count: 0, keys: [] };
    this.#skipped[reason] = { count: count + 1, keys: keys.length < EXAMPLES ? [...keys, id] : keys };
  }

  #wait(what: string | null, until = Infinity): void {
    this.#again = Math.min(this.#again, until);
    this.#waitsFor ??= what;
  }
}

/**
 * Why a batch leaves a key out, as the code of the failure that a rotation by hand would answer; undefined when it does not.
 * @param own the access key that asked; undefined for root
 */
export function findBatchRefusal(
  context: EngineContext,
  own: KeyRow | undefined,
  key: KeyRow,
  grace: string | null,
): string | undefined {
  if (!mayActOn(context, own, key)) return "not-yours";
  const refusal = findRotationRefusal(context, key);
  if (refusal) return refusal.code;
  if (findGraceExcess(key, grace)) return "grace-limit";
  return findNoReceiver(context, key)?.code;
}

/** Whether every key of an account was read. */
function isRead({ after, last }: Share): boolean {
  return after >= last;
}

function isOf(share: Share, key: KeyRow): boolean {
  return nameOf(share) === nameOf(key);
}

function nameOf({ provider, connectionId }: Pick<KeyRow, "provider" | "connectionId">): string {
  return `${provider}/${connectionId ?? ""}`;
}
