/**
 * A mint is in doubt: its call was started and its result is not recorded. It is never blindly repeated; this asks the service
 * what happened, in the surest way that it offers.
 */
import type { ListResult, Provider } from "../../providers/provider.ts";
import type { KeyRow } from "../../store/keys.ts";
import type { RotationRow } from "../../store/rotations.ts";
import { isDead } from "../../store/versions.ts";
import { type EngineContext, providerContext } from "../context.ts";
import { keyOf, versionOf } from "../effects.ts";
import { resolverOf } from "../facts.ts";
import { isSurelyOver } from "../witness.ts";
import { fromMint, intentOf, markerOf } from "./mint.ts";
import type { Step, StepResult } from "./step.ts";

export const settle: Step = async (context, rotation) => {
  const settled = await isSettled(context, rotation);
  if (settled === "unproven") return CLOCK_UNPROVEN;
  const key = keyOf(context, rotation);
  const provider = context.providerOf(key);
  switch (resolverOf(provider)) {
    case "find":
      return lookForMarkers(context, rotation, provider, [markerOf(rotation, rotation.mints)], settled);
    case "repeat": {
      const old = versionOf(context, rotation, rotation.fromVersion);
      const asks = providerContext(context, key, old, rotation.connectionRevision, rotation.urgent);
      const result = await provider.mint(asks, intentOf(context, rotation));
      // A refusal is of the repeat alone, which may come from a value that the first call ended: that value tells.
      const isTold = result.kind === "refused" && provider.overlap === "none" && provider.test !== undefined;
      return isTold ? testOldValue(context, rotation, provider) : fromMint(result);
    }
    case "list":
      return compareLists(context, rotation, provider, settled);
    case "old-value":
      return testOldValue(context, rotation, provider);
    case "nobody":
      return { outcome: { kind: "ambiguous", problem: "the service cannot say whether it made a key" } };
  }
};

/** Before the end: looks once more for everything that this rotation may have made. */
export const sweep: Step = async (context, rotation) => {
  const settled = await isSettled(context, rotation);
  if (settled === "unproven") return CLOCK_UNPROVEN;
  const provider = context.providerOf(keyOf(context, rotation));
  const own = Array.from({ length: rotation.mints }, (_, index) => markerOf(rotation, index + 1));
  return lookForMarkers(context, rotation, provider, [...(rotation.sought ?? []), ...own], settled);
};

/** Waits for cron's own time to come near, as a clock that leapt forward would believe too early that a call is over. */
const CLOCK_UNPROVEN: StepResult = {
  outcome: {
    kind: "look-failed",
    problem: "the clock is far ahead of the last cron; it is believed when cron comes",
    retryAfterMs: 60_000,
  },
};

/** Whether a call to mint that was begun must be over, and what it made must show. */
async function isSettled(context: EngineContext, { settleAt }: RotationRow): Promise<boolean | "unproven"> {
  if (settleAt === null) return true;
  if (context.now() < settleAt) return false;
  return (await isSurelyOver(context, settleAt)) ? true : "unproven";
}

async function lookForMarkers(
  context: EngineContext,
  rotation: RotationRow,
  provider: Provider,
  markers: readonly string[],
  settled: boolean,
): Promise<StepResult> {
  const key = keyOf(context, rotation);
  const asks = providerContext(
    context,
    key,
    versionOf(context, rotation, rotation.fromVersion),
    rotation.connectionRevision,
    rotation.urgent,
  );
  const found: string[] = [];
  for (const marker of markers) {
    const result = await provider.find?.(asks, marker);
    if (result?.kind !== "listed") return failed(result);
    found.push(...result.references);
  }
  const orphans = unrecorded(context, key, found);
  return orphans.length > 0
    ? { outcome: { kind: "orphans-found" }, orphans }
    : { outcome: { kind: "none-found", settled } };
}

/** How far a service's clock may be from ours. */
const CLOCKS_DIFFER_MS = 60_000;

/** Whether what was made then may have been made by a call to mint that began at `intentAt`. */
function mayBeOurs(madeAt: number | undefined, intentAt: number | null, { timeoutMs }: Provider): boolean {
  if (madeAt === undefined || intentAt === null) return true;
  return madeAt >= intentAt - CLOCKS_DIFFER_MS && madeAt <= intentAt + timeoutMs + CLOCKS_DIFFER_MS;
}

/**
 * Exactly one stranger since preflight is ours. More may be a person's: those are never touched, and neither is what was made at another
 * time, where the service tells. A single one may be a person's, too, as long as ours may still land, so nothing is decided before.
 */
async function compareLists(
  context: EngineContext,
  rotation: RotationRow,
  provider: Provider,
  settled: boolean,
): Promise<StepResult> {
  const key = keyOf(context, rotation);
  const result = await provider.list?.(
    providerContext(
      context,
      key,
      versionOf(context, rotation, rotation.fromVersion),
      rotation.connectionRevision,
      rotation.urgent,
    ),
  );
  if (result?.kind !== "listed") return failed(result);
  const before = new Set(rotation.seen ?? []);
  const strangers = unrecorded(
    context,
    key,
    result.references.filter((reference) => !before.has(reference)),
  ).filter((reference) => mayBeOurs(result.madeAt?.[reference], rotation.intentAt, provider));
  if (strangers.length === 0 || !settled) return { outcome: { kind: "none-found", settled } };
  const rival = rivalOf(context, key);
  if (rival && rival.step !== "settle") {
    const problem = "another key of this account is being minted, and the list does not say whose is whose";
    return { outcome: { kind: "look-failed", problem } };
  }
  if (rival) {
    const problem = "two keys of this account are in doubt, and the list does not say whose is whose";
    return { outcome: { kind: "ambiguous", problem } };
  }
  if (strangers.length === 1) return { outcome: { kind: "orphans-found" }, orphans: strangers };
  const problem = `${strangers.length} keys appeared at the service since the rotation began; one of them may be ours`;
  return { outcome: { kind: "ambiguous", problem } };
}

/** The rotation of another key of the same account whose own mint has no recorded result yet. */
function rivalOf({ store }: EngineContext, { id, connectionId }: KeyRow): RotationRow | undefined {
  const live = connectionId === null ? [] : store.rotations.liveOnConnection(connectionId);
  return live.find((rotation) => rotation.keyId !== id && rotation.intentAt !== null);
}

const OLD_DEAD = "the old value is dead and the new one never arrived";

async function testOldValue(
  context: EngineContext,
  rotation: RotationRow,
  provider: Provider,
): Promise<StepResult> {
  const key = keyOf(context, rotation);
  const old = versionOf(context, rotation, rotation.fromVersion);
  const asks = providerContext(context, key, old, rotation.connectionRevision, rotation.urgent);
  if (!asks.old || !provider.test) {
    return { outcome: { kind: "ambiguous", problem: "there is no old value to test" } };
  }
  if (old && isDead(old)) {
    // Where nothing but a mint ends a value, its death says what happened; otherwise a person may have ended it.
    return old.confirmed && !provider.revoke
      ? { outcome: { kind: "old-tested", verdict: "rejected", problem: OLD_DEAD } }
      : { outcome: { kind: "ambiguous", problem: "the old value is dead already, which says nothing" } };
  }
  const result = await provider.test(asks, asks.old);
  const problem = result.kind === "valid" ? "" : result.problem;
  const wait =
    result.kind === "indeterminate" && result.retryAfterMs !== undefined ? result.retryAfterMs : undefined;
  return {
    outcome: {
      kind: "old-tested",
      verdict: result.kind === "indeterminate" ? "unclear" : result.kind,
      problem: result.kind === "rejected" ? OLD_DEAD : problem,
      ...(wait !== undefined && { retryAfterMs: wait }),
    },
    report: result.report,
  };
}

/** What no version here is. Another key of the same account may carry the same label, and its values are no orphans. */
function unrecorded({ store }: EngineContext, key: KeyRow, references: readonly string[]): string[] {
  if (references.length === 0) return [];
  const neighbours = key.connectionId === null ? [key] : store.keys.onConnection(key.connectionId);
  const known = new Set(
    [key, ...neighbours].flatMap(({ id }) => store.versions.ofKey(id).map(({ reference }) => reference)),
  );
  return references.filter((reference) => !known.has(reference));
}

function failed(result: Exclude<ListResult, { kind: "listed" }> | undefined): StepResult {
  const problem = result?.problem ?? "the service cannot list its keys";
  const wait = result?.retryAfterMs;
  return {
    outcome: { kind: "look-failed", problem, ...(wait !== undefined && { retryAfterMs: wait }) },
    report: result?.report,
  };
}
