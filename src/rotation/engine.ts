/**
 * Runs due work: one step, its outcome committed with the next due time, and on. An outcome whose claim is over is dropped.
 */
import type { CompromiseRow } from "../store/compromises.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import { WORK_LANES, type WorkLane } from "../store/due.ts";
import type { EdgeRecordRow } from "../store/edge-records.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { VersionRow } from "../store/versions.ts";
import { advanceRotation, intendMint } from "./changes.ts";
import { finishChore } from "./chores.ts";
import { type Claim, claimDue, claimFresh, InFlight, leaseToGoOn } from "./claims.ts";
import { endPatience } from "./compromise.ts";
import { findHold } from "./connections.ts";
import type { EngineContext } from "./context.ts";
import { settleRecord, writeRecord } from "./edge.ts";
import { keyOf, recordOrphan } from "./effects.ts";
import { factsOf } from "./facts.ts";
import { askForUses, reviewGrace } from "./holding.ts";
import { transition } from "./machine.ts";
import { settleDelivery, settleRetirement } from "./outcomes.ts";
import type { Outage } from "./policy.ts";
import { type Started, startScheduled } from "./starts.ts";
import { deliver, mayStillLand } from "./steps/deliver.ts";
import { lateAnswer } from "./steps/mint.ts";
import { readAlert, settleAlert } from "./steps/read-alert.ts";
import { retireVersion } from "./steps/retire.ts";
import type { StepResult } from "./steps/step.ts";
import { STEPS } from "./steps/steps.ts";
import { tellSubscriber } from "./steps/tell.ts";
import { Watchers } from "./watchers.ts";

/** What the engine asks of its host. */
export interface EngineHost {
  /** Keeps the process alive until the work is done. */
  keepAlive(work: Promise<void>): void;
  /** Something changed in the queue: the alarm must ring then (milliseconds since the epoch), or not at all. */
  arm(at: number | null): void;
  /** Runs something in a moment, and keeps the process alive until then. Whatever fails in it is a bug. */
  soon(run: () => void): void;
  /** Stores what verification has counted and not written yet: a grace is about to be looked at. */
  storeUses?(): void;
  /** A bug: a step threw. Never called for what a service did. */
  onBug(error: unknown): void;
}

/** A change that waits for its commit. */
interface Waiting {
  /** Makes the change, and returns what to do once it is stored. */
  change(): () => void;
  fail(error: unknown): void;
}

export class Engine {
  readonly #context: EngineContext;
  readonly #host: EngineHost;
  readonly #inFlight = new InFlight();
  #isPumpDue = false;
  /** Changes of about the same moment, which one commit stores together. */
  #waiting: Waiting[] = [];
  /** Who waits for a rotation, or for the value that it makes. */
  readonly watchers: Watchers;

  constructor(context: EngineContext, host: EngineHost) {
    this.#context = context;
    this.#host = host;
    this.watchers = new Watchers((id) => context.store.rotations.get(id));
  }

  /** Starts what is past its age, as far as it may; cron calls this. See `startScheduled`. */
  startDue(limit: number, outage: Outage | null = null): Started {
    const started = this.#transact(() => startScheduled(this.#context, limit, outage));
    this.pump();
    return started;
  }

  /** Says that a new invocation begins: what it launches counts against its own limits. */
  beginInvocation(): void {
    this.#inFlight.renew();
  }

  /** Claims and runs whatever is due, emergencies first, as far as there is room, and has the alarm set. Returns at once. */
  pump(): void {
    for (const lane of WORK_LANES) this.#take(lane);
    this.#host.arm(this.nextAlarmAt());
  }

  /** When the alarm should ring, or null. Overdue work that has no room yet is looked at in a second. */
  nextAlarmAt(): number | null {
    const now = this.#context.now();
    const times = WORK_LANES.flatMap(({ lane }) => {
      const at = this.#context.store.due.earliestAt(lane);
      return at === null ? [] : [Math.max(at, now + (this.#inFlight.wouldHaveRoom(lane) ? 0 : 1_000))];
    });
    return times.length > 0 ? Math.min(...times) : null;
  }

  /** One transaction, which also claims what it makes due, where nothing else waits for its turn. What it claims is launched. */
  #transact<T>(change: () => T): T {
    const { store, now } = this.#context;
    const lanes = WORK_LANES.filter(({ lane }) => (store.due.earliestAt(lane) ?? Infinity) > now());
    const { result, claims } = store.transaction(() => ({
      result: change(),
      claims: lanes.flatMap((lane) => claimFresh(this.#context, lane, this.#inFlight)),
    }));
    for (const claim of claims) this.#launch(claim);
    return result;
  }

  #take(lane: WorkLane): void {
    const { store, now } = this.#context;
    while (this.#inFlight.room(lane.lane) > 0) {
      const at = store.due.earliestAt(lane.lane);
      if (at === null || at > now()) return;
      const { claims, more } = store.transaction(() => claimDue(this.#context, lane, this.#inFlight));
      for (const claim of claims) this.#launch(claim);
      if (!more) return;
    }
  }

  /** Pumps in a moment, after whoever called was answered: how long an answer takes then says nothing of what it led to. */
  pumpSoon(): void {
    this.#pumpSoon();
  }

  /** Commits and pumps once for all that ends at about the same time. Until then the leases of what ended have the alarm. */
  #pumpSoon(): void {
    if (this.#isPumpDue) return;
    this.#isPumpDue = true;
    this.#host.soon(() => {
      this.#isPumpDue = false;
      this.#commitWaiting();
      this.pump();
      this.watchers.wake();
    });
  }

  /**
   * Stores a change with all others of about the same moment: one commit costs as much as a hundred changes. What it makes due
   * starts in the same turn.
   * @param stored called with its result right after the commit
   */
  #commit<T>(change: () => T, stored: (result: T) => void = () => undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        change: () => {
          const result = change();
          return () => {
            stored(result);
            resolve(result);
          };
        },
        fail: reject,
      });
      this.#pumpSoon();
    });
  }

  #commitWaiting(): void {
    const { store } = this.#context;
    const waiting = this.#waiting;
    this.#waiting = [];
    if (waiting.length === 0) return;
    const stored: (() => void)[] = [];
    try {
      stored.push(...this.#transact(() => waiting.map(({ change }) => change())));
    } catch {
      // A bug in one of them must not take the others along.
      for (const { change, fail } of waiting) {
        try {
          stored.push(store.transaction(change));
        } catch (error) {
          fail(error);
        }
      }
    }
    for (const goOn of stored) goOn();
  }

  #launch(claim: Claim): void {
    this.#inFlight.add(claim);
    const work = this.#run(claim)
      .catch((error: unknown) => this.#host.onBug(error))
      .then(() => {
        this.#inFlight.remove(claim);
        this.#pumpSoon();
      })
      .catch((error: unknown) => this.#host.onBug(error));
    this.#host.keepAlive(work);
  }

  #run(claim: Claim): Promise<void> {
    switch (claim.kind) {
      case "rotation":
        return this.#runRotation(claim.row);
      case "version":
        return this.#runVersion(claim.row);
      case "delivery":
        return this.#runDelivery(claim.row);
      case "edge":
        return this.#runRecord(claim.row);
      case "subscription":
        return tellSubscriber(this.#context, claim.row);
      case "chore":
        return finishChore(this.#context, claim.row);
      case "compromise":
        return this.#runAlert(claim.row);
    }
  }

  async #runRotation(claimed: RotationRow): Promise<void> {
    let row: RotationRow | undefined = claimed;
    while (row?.live && row.leaseUntil !== null) {
      const begun: { row: RotationRow; result: Promise<StepResult> } | undefined = this.#beginStep(row);
      if (!begun) return;
      row = await this.#commitRotation(begun.row, await begun.result);
    }
  }

  /**
   * Starts a step's calls. A call to mint that must not happen twice follows its intent's commit in this same turn, so that the
   * output gate stops an instance that was replaced. Undefined when the claim is over.
   */
  #beginStep(row: RotationRow): { row: RotationRow; result: Promise<StepResult> } | undefined {
    const step = STEPS[row.step];
    if (!step) return { row, result: Promise.resolve({ outcome: { kind: "overdue" } }) };
    if (row.step !== "mint" || this.#context.providerOf(keyOf(this.#context, row)).local) {
      return { row, result: step(this.#context, row) };
    }
    if (row.intentAt !== null) {
      const problem = "the process ended while a new key was being made";
      return { row, result: Promise.resolve({ outcome: { kind: "mint-in-doubt", problem } }) };
    }
    const { store } = this.#context;
    const claimed = store.transaction(() => {
      const fresh = store.rotations.get(row.id);
      if (!fresh?.live || fresh.claim !== row.claim) return undefined;
      // Since the preflight, the replacement of the key that opens its connection may have begun, or a use of this one.
      const hold = fresh.urgent ? undefined : findHold(this.#context, keyOf(this.#context, fresh), fresh);
      return hold === undefined ? { intended: intendMint(this.#context, fresh) } : { hold };
    });
    if (claimed?.hold !== undefined) {
      const outcome = { kind: "preflight-red", problem: claimed.hold } as const;
      return { row: { ...row, step: "preflight" }, result: Promise.resolve({ outcome }) };
    }
    return claimed && { row: claimed.intended, result: step(this.#context, claimed.intended) };
  }

  /** Commits a step. Between durable boundaries the row only moves on in memory: a crash repeats what had no effect. */
  async #commitRotation(row: RotationRow, result: StepResult): Promise<RotationRow | undefined> {
    const { store } = this.#context;
    const now = this.#context.now();
    const isTransient = !result.alsoCommit && !result.seen && row.state === "running" && now < row.deadlineAt;
    if (result.outcome.kind === "preflight-green" && isTransient) {
      const { next } = transition(row, result.outcome, factsOf(this.#context, row), now);
      return { ...row, step: next.step, attempt: next.attempt };
    }
    return this.#commit(
      () => {
        const fresh = store.rotations.get(row.id);
        if (!fresh?.live || fresh.claim !== row.claim || fresh.leaseUntil === null) {
          this.#takeInLate(row, result);
          return undefined;
        }
        result.alsoCommit?.();
        return advanceRotation(this.#context, fresh, result, leaseToGoOn(fresh, this.#context.now()), row);
      },
      (committed) => {
        if (committed && result.minted) this.watchers.keep(row.id, result.minted.fields);
      },
    );
  }

  /**
   * The row went on without this worker. If it is in doubt about this very call, the answer settles that, whatever lists would say;
   * otherwise what was minted meanwhile is nobody's, so it is revoked.
   */
  #takeInLate(row: RotationRow, result: StepResult): void {
    const { store } = this.#context;
    const key = store.keys.get(row.keyId);
    if (!key || this.#context.providerOf(key).local) return;
    const fresh = store.rotations.get(row.id);
    const news = lateAnswer(row, result);
    const isInDoubt = fresh?.live && fresh.step === "settle" && fresh.intentAt !== null;
    if (news && isInDoubt && fresh.mints === row.mints) {
      advanceRotation(this.#context, fresh, news);
      return;
    }
    const { minted } = result;
    const isKnown = (reference: string) =>
      store.versions.ofKey(key.id).some((version) => version.reference === reference);
    if (minted && !isKnown(minted.reference))
      recordOrphan(this.#context, row, minted.reference, minted.fields);
  }

  async #runVersion(claimed: VersionRow): Promise<void> {
    const { store } = this.#context;
    let row: VersionRow | undefined = claimed;
    while (row && row.leaseUntil !== null) {
      const before: VersionRow = row;
      if (before.stage === "current") {
        store.transaction(() => {
          const fresh = store.versions.get(before.id);
          if (fresh?.claim === before.claim) endPatience(this.#context, fresh);
        });
        return;
      }
      const outcome = await retireVersion(this.#context, before);
      const uses = outcome ? undefined : await askForUses(this.#context, before);
      if (!outcome) this.#host.storeUses?.();
      row = await this.#commit(() => {
        const fresh = store.versions.get(before.id);
        if (!fresh || fresh.claim !== before.claim) return undefined;
        if (!outcome) {
          return reviewGrace(this.#context, fresh, uses);
        }
        return settleRetirement(this.#context, fresh, outcome, leaseToGoOn(fresh, this.#context.now()));
      });
    }
  }

  async #runAlert(claimed: CompromiseRow): Promise<void> {
    const { store } = this.#context;
    const result = await readAlert(this.#context, claimed);
    await this.#commit(() => {
      const fresh = store.compromises.get(claimed.id);
      if (fresh?.claim === claimed.claim) settleAlert(this.#context, fresh, result);
    });
  }

  async #runDelivery(claimed: DeliveryRow): Promise<void> {
    const { store } = this.#context;
    const result = await deliver(this.#context, claimed);
    await this.#commit(() => {
      const fresh = store.deliveries.get(claimed.id);
      if (!fresh) return;
      if (fresh.claim === claimed.claim) settleDelivery(this.#context, fresh, result);
      else if (fresh.state === "superseded" && fresh.claim === claimed.claim + 1) {
        this.#letNextGo(fresh, mayStillLand(result));
      }
    });
  }

  async #runRecord(claimed: EdgeRecordRow): Promise<void> {
    const { store } = this.#context;
    const written = await writeRecord(this.#context, claimed);
    store.transaction(() => {
      const fresh = store.edgeRecords.get(claimed.id);
      if (fresh?.claim === claimed.claim) settleRecord(this.#context, fresh, claimed.wanted, written);
    });
  }

  /** The last worker of a superseded delivery is done, so its successor at the same place need not wait for its lease. */
  #letNextGo(ended: DeliveryRow, mayLand: boolean): void {
    const { store } = this.#context;
    store.deliveries.update(ended, { leaseUntil: null, ...(mayLand && { landsUntil: ended.leaseUntil }) });
    if (mayLand) return;
    for (const other of store.deliveries.ofKeyAt(ended.keyId, ended.destinationId)) {
      if (other.state === "pending" && other.leaseUntil === null && other.attemptedAt === null) {
        store.deliveries.update(other, { dueAt: this.#context.now() });
      }
    }
  }
}
