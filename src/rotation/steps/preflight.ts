/**
 * Step 1: is everything ready? The provider answers, a slot is free, and every required destination answers its probe. Nothing changes
 * yet. An emergency asks nothing of the destinations.
 */
import type { DestinationRow } from "../../store/destinations.ts";
import type { KeyRow } from "../../store/keys.ts";
import type { RotationRow } from "../../store/rotations.ts";
import { isDead } from "../../store/versions.ts";
import { findHold } from "../connections.ts";
import { type EngineContext, providerContext } from "../context.ts";
import { keyOf, killVersion, versionOf } from "../effects.ts";
import { resolverOf } from "../facts.ts";
import type { Outcome } from "../position.ts";
import { probeDestination } from "../probe.ts";
import type { Step, StepResult } from "./step.ts";

/** A destination that answered this recently is not asked again, unless the service leaves no way back. */
const PROOF_LASTS_MS = 5 * 60_000;

export const preflight: Step = async (context, rotation) => {
  const key = keyOf(context, rotation);
  const provider = context.providerOf(key);
  const old = versionOf(context, rotation, rotation.fromVersion);
  const asks = providerContext(context, key, old, rotation.connectionRevision, rotation.urgent);

  if (provider.runbook) {
    const problem = rotation.problem ?? "only a person makes a new value of this key";
    return { outcome: { kind: "stopped", problem } };
  }

  const slot = findSlotProblem(context, key);
  if (slot) {
    // In an emergency our own version in grace goes at once, and its end wakes this rotation.
    const outcome = slotRed(slot, rotation.urgent ? 0 : (slot.freesAt ?? 0) - context.now());
    return { outcome, ...(rotation.urgent && { alsoCommit: () => freeSlot(context, key) }) };
  }

  if (provider.needsFirst && old && isDead(old)) {
    const problem = `${provider.title} makes a new value only of one that works, and version ${old.number} is dead`;
    return { outcome: { kind: "old-dead", problem } };
  }
  const hold = rotation.urgent ? undefined : findHold(context, key, rotation);
  if (hold) return { outcome: { kind: "preflight-red", problem: hold } };
  if (provider.connection && !provider.connection.isOptional && !asks.connection) {
    return { outcome: { kind: "preflight-red", problem: "its connection has no credential" } };
  }

  const required = rotation.urgent ? [] : requiredDestinations(context, rotation);
  const disabled = required.find((row) => row.state === "disabled");
  if (disabled) {
    const problem = `${disabled.name}: disabled, as it answered 410 Gone; test it or change it`;
    return { outcome: { kind: "preflight-red", problem } };
  }
  const shut = required.find((row) => (row.opensAt ?? 0) > context.now());
  if (shut) {
    const problem = `${shut.name}: it is new, and receives no value before ${new Date(shut.opensAt ?? 0).toISOString()}`;
    const retryAfterMs = (shut.opensAt ?? 0) - context.now();
    return { outcome: { kind: "preflight-red", problem, retryAfterMs } };
  }
  const service = await provider.preflight(asks);
  const listed = resolverOf(provider) === "list" ? await provider.list?.(asks) : undefined;
  const since = provider.overlap === "none" ? Infinity : context.now() - PROOF_LASTS_MS;
  const stale = required.filter((row) => row.state !== "ready" || (row.provenAt ?? 0) < since);
  const probes = await Promise.all(stale.map((row) => probeDestination(context, row)));
  const hasNews = probes.some((probe) => probe.isNews);
  const alsoCommit = hasNews ? () => probes.forEach((probe) => void probe.commit()) : undefined;
  const answer = (result: StepResult): StepResult => ({ ...result, ...(alsoCommit && { alsoCommit }) });

  for (const red of [service, listed]) {
    if (red?.kind === "red" || red?.kind === "failed") {
      const { problem, retryAfterMs, report } = red;
      const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
      const noSlot = red.kind === "red" && red.noSlot === true;
      return answer({ outcome: { kind: "preflight-red", problem, noSlot, ...wait }, report });
    }
  }
  const waits = probes.map(({ result }) => (result.kind === "failed" ? (result.retryAfterMs ?? 0) : 0));
  for (const { name, result } of probes) {
    if (result.kind !== "held") {
      const problem = `${name}: ${result.problem}`;
      const retryAfterMs = Math.max(0, ...waits);
      return answer({ outcome: { kind: "preflight-red", problem, retryAfterMs }, report: result.report });
    }
  }
  const seen = listed?.kind === "listed" ? listed.references : undefined;
  return answer({ outcome: { kind: "preflight-green" }, ...(seen && { seen }) });
};

function requiredDestinations({ store }: EngineContext, { keyId }: RotationRow): DestinationRow[] {
  return store.destinations
    .linksOfKey(keyId)
    .filter((link) => link.required)
    .map((link) => store.destinations.get(link.destinationId))
    .filter((row) => row !== undefined);
}

/** Why a service with few slots has none, and until when one of our own versions in grace holds it. */
export interface SlotProblem {
  problem: string;
  /** When our own version in grace frees its slot; absent when nothing of ours is about to. */
  freesAt?: number;
}

/** Our own version in grace frees its slot by itself; nothing else is ever deleted to make room. */
export function findSlotProblem(context: EngineContext, key: KeyRow): SlotProblem | undefined {
  const { maxLive } = context.providerOf(key);
  if (maxLive === undefined) return undefined;
  const alive = context.store.versions.alive(key.id);
  if (alive.length < maxLive) return undefined;
  const leaving = alive.find((version) => version.stage === "previous" || version.stage === "revoking");
  if (!leaving) return { problem: "the service has no free slot" };
  const isInGrace = leaving.stage === "previous";
  return {
    problem: `version ${leaving.number} holds the slot until ${isInGrace ? "its grace ends" : "it is seen dead"}`,
    freesAt: (isInGrace ? leaving.graceEndsAt : null) ?? context.now(),
  };
}

function slotRed({ problem, freesAt }: SlotProblem, waitMs: number): Outcome {
  if (freesAt === undefined) return { kind: "preflight-red", problem, noSlot: true };
  return { kind: "preflight-red", problem, ...(waitMs > 0 && { retryAfterMs: waitMs }) };
}

function freeSlot(context: EngineContext, key: KeyRow): void {
  const leaving = context.store.versions.alive(key.id).find((version) => version.stage === "previous");
  if (leaving) killVersion(context, leaving, "revoked");
}
