/** The places where a rotation or a version can stand, and how each is reached with a key of a lab service. */
import type { RotationView } from "../../src/keyring/views.ts";
import { type Abilities, canRevoke, KIND_NAMES, KINDS, type KindName } from "../lab/kinds.ts";
import type { CallName, Fault } from "../lab/service.ts";
import { eventually } from "../support/eventually.ts";
import { quiet } from "../support/inside.ts";
import { MINUTE_MS, SECOND_MS, type Stage } from "./stage.ts";

/** How a mint in doubt is settled at a service. */
export type Resolver = "find" | "repeat" | "list" | "old value" | "nobody";

export function resolverOf(kind: KindName): Resolver {
  const { overlap, find, repeatsMint, list, test = true }: Abilities = KINDS[kind];
  if (find) return "find";
  if (repeatsMint) return "repeat";
  if (overlap === "none") return test ? "old value" : "nobody";
  return list ? "list" : "nobody";
}

/** How a rotation ends: with a new value, with the old one and nothing else, with no value at all, or not without a person. */
export type End =
  | "rotated"
  | "rotated, one discarded"
  | "rotated, one discarded last"
  | "put back"
  | "lost"
  | "needs a person";

export interface Moment {
  kinds: KindName[];
  /** Brings the stage there. */
  reach(stage: Stage): Promise<void>;
  /** What the newest rotation must look like then; checked again after the object was evicted. */
  stands?: Partial<RotationView>;
  /** The stages of all versions then. */
  stages?: string[];
  /** A call is on its way, for which an eviction would wait: the object can only crash. */
  inFlight?: true;
  end: (kind: KindName) => End;
}

const UNAVAILABLE: Fault = { kind: "status", status: 503 };

function kindsWhere(pick: (abilities: Abilities, kind: KindName) => boolean): KindName[] {
  return KIND_NAMES.filter((kind) => pick(KINDS[kind], kind));
}

const ALL = KIND_NAMES;
const OURS = kindsWhere(({ overlap }) => overlap === "ours");
const FORWARD_ONLY = kindsWhere(({ overlap }) => overlap !== "ours");
const TESTING = kindsWhere(({ test = true }) => test);
/** Those that accept a new value at once, so that a rotation is through without waiting. */
const PROMPT = kindsWhere(({ propagationMs = 0 }) => propagationMs === 0);
const GRACEFUL = kindsWhere(({ overlap }) => overlap !== "none");
const REVOKED_BY_US = kindsWhere((abilities) => abilities.overlap === "ours" && canRevoke(abilities));
const FINDING = kindsWhere(({ find = false }) => find);
const LISTING = kindsWhere((_, kind) => resolverOf(kind) === "list");
const BY_OLD_VALUE = kindsWhere((_, kind) => resolverOf(kind) === "old value");
const CONFIRMED = kindsWhere(({ test = true, list = false }) => test || list);
/** Those whose mint in doubt no machine settles when it did, or did not, take effect. */
const ASKS_A_PERSON = kindsWhere((_, kind) => endOfDoubt(kind, true) === "needs a person");

const rotated = (): End => "rotated";

/** The end of a rotation whose mint was in doubt, by whether it took effect. */
function endOfDoubt(kind: KindName, tookEffect: boolean): End {
  const { overlap, conflicts = false }: Abilities = KINDS[kind];
  switch (resolverOf(kind)) {
    case "find":
    case "list":
      return tookEffect ? "rotated, one discarded" : "rotated";
    case "repeat":
      if (!tookEffect || !conflicts) return "rotated";
      return overlap === "none" ? "lost" : "needs a person";
    case "old value":
      return tookEffect ? "lost" : "rotated";
    case "nobody":
      return "needs a person";
  }
}

const took = (kind: KindName): End => endOfDoubt(kind, true);
const tookNot = (kind: KindName): End => endOfDoubt(kind, false);

export const MOMENTS: Record<string, Moment> = {
  "preflight, its call on the way": {
    kinds: ALL,
    inFlight: true,
    end: rotated,
    reach: (stage) => rotateInto(stage, "preflight", "before"),
    stages: ["current"],
  },
  "preflight, blocked": {
    kinds: ALL,
    end: rotated,
    async reach(stage) {
      stage.service.fail("preflight", UNAVAILABLE);
      await rotateAndRest(stage);
    },
    stands: { step: "preflight", state: "blocked" },
    stages: ["current"],
  },
  "mint, a call that had no effect yet and has none": {
    kinds: ALL,
    inFlight: true,
    end: tookNot,
    async reach(stage) {
      stage.service.fail("mint", { kind: "lost-before" });
      await rotateInto(stage, "mint", "after");
    },
    stands: { step: "mint" },
    stages: ["current"],
  },
  "mint, a call that took effect": {
    kinds: ALL,
    inFlight: true,
    end: took,
    reach: (stage) => rotateInto(stage, "mint", "after"),
    stands: { step: "mint" },
    stages: ["current"],
  },
  "mint, a call that lands after the death": {
    kinds: ALL,
    inFlight: true,
    end: took,
    async reach(stage) {
      stage.service.fail("mint", { kind: "lost-lands-late", ms: 20 * SECOND_MS });
      await rotateInto(stage, "mint", "after");
    },
    stands: { step: "mint" },
    stages: ["current"],
  },
  "settle, of a mint that had no effect": {
    kinds: ALL.filter((kind) => resolverOf(kind) !== "nobody"),
    end: tookNot,
    reach: (stage) => loseAnswer(stage, { kind: "lost-before" }),
    stands: { step: "settle", state: "running" },
    stages: ["current"],
  },
  "settle, of a mint that took effect": {
    kinds: ALL.filter((kind) => resolverOf(kind) !== "nobody"),
    end: took,
    reach: (stage) => loseAnswer(stage, { kind: "lost-after" }),
    stands: { step: "settle", state: "running" },
    stages: ["current"],
  },
  "settle, between two tests of the old value that find it alive": {
    kinds: BY_OLD_VALUE,
    end: tookNot,
    async reach(stage) {
      await loseAnswer(stage, { kind: "lost-before" });
      await untilCalls(stage, "test", 1);
    },
    stands: { step: "settle", state: "running" },
  },
  "settle, between two tests of the old value that find it dead": {
    kinds: BY_OLD_VALUE,
    end: took,
    async reach(stage) {
      await loseAnswer(stage, { kind: "lost-after" });
      await untilCalls(stage, "test", 1);
    },
    stands: { step: "settle", state: "running" },
  },
  "needs-human, of a mint that had no effect": {
    kinds: ALL.filter((kind) => resolverOf(kind) === "nobody"),
    end: tookNot,
    reach: (stage) => loseAnswer(stage, { kind: "lost-before" }),
    stands: { step: "settle", state: "needs-human" },
    stages: ["current"],
  },
  "needs-human, of a mint that took effect": {
    kinds: ASKS_A_PERSON,
    end: took,
    async reach(stage) {
      await loseAnswer(stage, { kind: "lost-after" });
      await stage.runFor(MINUTE_MS);
    },
    stands: { step: "settle", state: "needs-human" },
    stages: ["current"],
  },
  "needs-human, as somebody else made a key meanwhile": {
    kinds: LISTING,
    end: (): End => "needs a person",
    async reach(stage) {
      await loseAnswer(stage, { kind: "lost-after" });
      stage.service.make("billing", true);
      await stage.runFor(MINUTE_MS);
    },
    stands: { step: "settle", state: "needs-human" },
    stages: ["current"],
  },
  "test, its call on the way": {
    kinds: TESTING,
    inFlight: true,
    end: rotated,
    reach: (stage) => rotateInto(stage, "test", "after"),
    stands: { step: "test", toVersion: 2 },
  },
  "test, without a clear answer": {
    kinds: TESTING,
    end: rotated,
    async reach(stage) {
      stage.service.plan = (_, call) => (call === "test" ? UNAVAILABLE : undefined);
      await rotateAndRest(stage);
    },
    stands: { step: "test", state: "running", toVersion: 2 },
  },
  "deliver, a message on its way": {
    kinds: PROMPT,
    inFlight: true,
    end: rotated,
    async reach(stage) {
      stage.hook.hold(({ type }) => type !== "ping");
      await stage.scene.rotate();
      await eventually(() => mustBe(stage.hook.versions.at(-1), 2));
    },
    stands: { step: "deliver", state: "running" },
  },
  "deliver, refused": {
    kinds: ALL,
    end: rotated,
    async reach(stage) {
      stage.hook.refuseDeliveries();
      await rotateAndRest(stage);
      await stage.runFor(10 * SECOND_MS);
    },
    stands: { step: "deliver", state: "running", toVersion: 2 },
  },
  "put-back": {
    kinds: OURS,
    end: (): End => "put back",
    async reach(stage) {
      stage.hook.refuseDeliveries();
      await rotateAndRest(stage);
      await stage.runFor(31 * MINUTE_MS);
    },
    stands: { step: "put-back", state: "needs-attention" },
    stages: ["current", "pending"],
  },
  "needs-attention, with no way back": {
    kinds: FORWARD_ONLY,
    end: rotated,
    async reach(stage) {
      stage.hook.refuseDeliveries();
      await rotateAndRest(stage);
      await stage.runFor(100 * MINUTE_MS);
    },
    stands: { step: "deliver", state: "needs-attention" },
  },
  sweep: {
    kinds: FINDING,
    end: rotated,
    async reach(stage) {
      await loseAnswer(stage, { kind: "lost-before" });
      stage.service.revive();
      await untilCalls(stage, "mint", 2);
      await stage.runFor(10 * SECOND_MS);
    },
    stands: { step: "sweep", state: "running" },
    stages: ["previous", "current"],
  },
  "sweep, with something to find": {
    // Where there is no slot for it, it does not come.
    kinds: FINDING.filter((kind) => kind !== "lab-ours-two-slots"),
    end: (): End => "rotated, one discarded last",
    async reach(stage) {
      // Later than any call may run: a service that does worse than its word.
      await loseAnswer(stage, { kind: "lost-lands-late", ms: 50 * SECOND_MS });
      stage.service.revive();
      await untilCalls(stage, "mint", 2);
      await stage.runFor(10 * SECOND_MS);
    },
    stands: { step: "sweep", state: "running" },
    stages: ["previous", "current"],
  },
  grace: {
    kinds: GRACEFUL,
    end: rotated,
    async reach(stage) {
      await rotateAndRest(stage);
      await stage.runFor(10 * SECOND_MS);
    },
    stands: { state: "succeeded" },
    stages: ["previous", "current"],
  },
  "revoking, as the service does not take it": {
    kinds: REVOKED_BY_US,
    end: rotated,
    async reach(stage) {
      await rotateAndRest(stage);
      stage.service.plan = (_, call) => (call === "revoke" ? UNAVAILABLE : undefined);
      await stage.runFor(121 * MINUTE_MS);
    },
    stages: ["revoking", "current"],
  },
  "revoked, and not seen dead yet": {
    kinds: CONFIRMED,
    end: rotated,
    async reach(stage) {
      const cannotSay = (call: CallName, about: string) =>
        (call === "test" && about === "ref-1") || (call === "list" && stage.hook.versions.includes(2));
      stage.service.plan = (_, call, about) => (cannotSay(call, about) ? UNAVAILABLE : undefined);
      await rotateAndRest(stage);
      await stage.runFor(121 * MINUTE_MS);
    },
    stages: ["revoking", "current"],
  },
};

/** Starts a rotation and lets it stand with a call on its way to the service. */
async function rotateInto(stage: Stage, call: CallName, when: "before" | "after"): Promise<void> {
  stage.release = stage.service.hold(call, when);
  await stage.scene.rotate();
  await stage.reachesService(call);
}

/** Starts a rotation and lets it come as far as it does by itself. */
async function rotateAndRest(stage: Stage): Promise<void> {
  await stage.scene.rotate();
  await quiet(stage.scene);
}

/** Starts a rotation whose mint gets no answer; looking for it fails, too, for now. */
async function loseAnswer(stage: Stage, fault: Fault): Promise<void> {
  stage.service.fail("mint", fault);
  stage.service.plan = (_, call) => (call === "find" ? UNAVAILABLE : undefined);
  await rotateAndRest(stage);
}

/** Goes on second by second until that many calls of a name were made. */
async function untilCalls(stage: Stage, call: CallName, times: number): Promise<void> {
  for (let seconds = 0; stage.calls(call) < times; seconds++) {
    if (seconds > 300) throw new Error(`${stage.calls(call)} calls to ${call}, not ${times}`);
    await stage.runFor(SECOND_MS);
  }
}

function mustBe(found: unknown, wanted: unknown): void {
  if (found !== wanted) throw new Error(`${found}, not ${wanted}`);
}
