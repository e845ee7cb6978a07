/**
 * What a rotation would do, looked at and not done: preflight is really run, everything else is said in words. Writes nothing.
 */
import { destinationOf } from "../destinations/registry.ts";
import type { Overlap, PreflightResult, Provider, ProviderContext } from "../providers/provider.ts";
import type { KeyDestinationRow } from "../store/destinations.ts";
import type { KeyRow } from "../store/keys.ts";
import { NEW_ROTATION } from "../store/rotations.ts";
import { findHold } from "./connections.ts";
import { type EngineContext, providerContext } from "./context.ts";
import { type PlannedHold, planHold } from "./planned-hold.ts";
import { deliverBy, firstDeadline, graceEndsAt, graceMs } from "./policy.ts";
import { type Probe, probeDestination } from "./probe.ts";
import { slowestPropagationMs } from "./sends.ts";
import { findSlotProblem } from "./steps/preflight.ts";

/** What would keep the rotation from going on. */
export interface Blocker {
  /** `service`, `slot`, `connection` or the name of a destination. */
  what: string;
  problem: string;
  /** When it is expected to end by itself, milliseconds since the epoch; null when somebody has to act. */
  until: number | null;
}

export interface PlannedStep {
  step: "preflight" | "mint" | "test" | "deliver" | "promote" | "grace" | "revoke" | "confirm";
  does: string;
  /** There is no way back from it. */
  irreversible: boolean;
}

export interface PlannedDestination {
  id: string;
  name: string;
  as: string;
  required: boolean;
  /** Whether it answered just now. */
  ok: boolean;
  problem: string | null;
}

export interface RotationPlan {
  overlap: Overlap;
  /** Number of the version that would be replaced. */
  fromVersion: number | null;
  destinations: PlannedDestination[];
  blockers: Blocker[];
  steps: PlannedStep[];
  /** After this the old value would be put back everywhere, or the key be at risk. Milliseconds since the epoch. */
  deliverBy: number;
  /** When the old value would end, if all went well at once and nothing held it. Milliseconds since the epoch. */
  oldEndsAt: number | null;
  /** What might hold it beyond that; null where that is not for Rekey to say, or there is none. */
  hold: PlannedHold | null;
}

/** Looks at what a rotation of a key would meet and do now. */
export async function planRotation(
  context: EngineContext,
  key: KeyRow,
  grace: string | null,
): Promise<RotationPlan> {
  const { store } = context;
  const now = context.now();
  const provider = context.providerOf(key);
  const old = store.versions.current(key.id);
  const links = store.destinations.linksOfKey(key.id);
  const asks = providerContext(context, key, old);
  const [service, probes] = await Promise.all([
    askService(provider, asks),
    Promise.all(links.map((link) => ask(context, link))),
  ]);
  const destinations = probes.filter((probe) => probe !== undefined);
  const blockers = [
    ...ownBlockers(context, key),
    ...(service.kind === "red"
      ? [{ what: "service", problem: service.problem, until: untilOf(now, service.retryAfterMs) }]
      : []),
    ...destinations
      .filter(({ link, problem }) => link.required && problem !== null)
      .map(({ name, problem, until }) => ({ what: name, problem: problem ?? "", until })),
  ];
  const wanted = graceEndsAt(key.policy, grace, slowestPropagationMs(context, key.id), now);
  const endsAt = provider.overlap === "ours" ? firstDeadline(key.policy, wanted, now) : wanted;
  const hold = planHold(context, key, old);
  const effects = links.flatMap(({ destinationId }) => {
    const row = store.destinations.get(destinationId);
    return (row && destinationOf(row.type).effectOf?.(row.config)) ?? [];
  });
  return {
    overlap: provider.overlap,
    fromVersion: old?.number ?? null,
    destinations: destinations.toSorted(byName).map(({ link, name, problem }) => ({
      id: link.destinationId,
      name,
      as: link.name,
      required: link.required,
      ok: problem === null,
      problem,
    })),
    blockers,
    steps: stepsOf(provider, links, effects, graceMs(key.policy, grace), hold),
    deliverBy: deliverBy(key.policy, now),
    oldEndsAt: old === undefined ? null : provider.overlap === "none" ? now : endsAt,
    hold,
  };
}

/** What the provider answers to preflight. */
async function askService(provider: Provider, asks: ProviderContext): Promise<PreflightResult> {
  if (provider.connection && !provider.connection.isOptional && !asks.connection)
    return { kind: "red", problem: "its connection has no credential" };
  return provider.preflight(asks);
}

interface Asked {
  link: KeyDestinationRow;
  name: string;
  problem: string | null;
  until: number | null;
}

async function ask(context: EngineContext, link: KeyDestinationRow): Promise<Asked | undefined> {
  const row = context.store.destinations.get(link.destinationId);
  if (!row) return undefined;
  const now = context.now();
  const { name } = row;
  if (row.opensAt !== null && row.opensAt > now) {
    return { link, name, problem: "it is new, and receives no value yet", until: row.opensAt };
  }
  if (row.state === "disabled") {
    return { link, name, problem: "disabled, as it answered 410 Gone; test it or change it", until: null };
  }
  const { result }: Probe = await probeDestination(context, row);
  if (result.kind === "held") return { link, name, problem: null, until: null };
  const waitMs = result.kind === "failed" ? result.retryAfterMs : undefined;
  return { link, name, problem: result.problem, until: untilOf(now, waitMs) };
}

function byName(a: Asked, b: Asked): number {
  return a.name < b.name ? -1 : 1;
}

function ownBlockers(context: EngineContext, key: KeyRow): Blocker[] {
  const slot = findSlotProblem(context, key);
  const hold = findHold(context, key, NEW_ROTATION);
  return [
    ...(slot ? [{ what: "slot", problem: slot.problem, until: slot.freesAt ?? null }] : []),
    ...(hold ? [{ what: "connection", problem: hold, until: null }] : []),
  ];
}

function untilOf(now: number, waitMs: number | undefined): number | null {
  return waitMs === undefined ? null : now + waitMs;
}

function stepsOf(
  provider: Provider,
  links: readonly KeyDestinationRow[],
  effects: readonly string[],
  grace: number,
  hold: PlannedHold | null,
): PlannedStep[] {
  const { overlap, title } = provider;
  const required = links.filter(({ required: isRequired }) => isRequired).length;
  const canConfirm = provider.test !== undefined || provider.list !== undefined;
  const step = (name: PlannedStep["step"], does: string, irreversible = false): PlannedStep => ({
    step: name,
    does,
    irreversible,
  });
  const byHand = provider.runbook !== undefined;
  const mint = {
    ours: step("mint", `${title} makes a new value; the old one goes on working`),
    provider: step(
      "mint",
      `${title} makes a new value and ends the old one by itself, ${words(grace)} later: from here on only forward`,
      true,
    ),
    none: step(
      "mint",
      `${title} makes a new value, and the old one is dead at once: from here on only forward`,
      true,
    ),
  }[overlap];
  const back =
    overlap === "ours" ? "; if one does not confirm in time, the old value goes back everywhere" : "";
  const besides = effects.length > 0 ? `; each delivery ${[...new Set(effects)].join(" or ")}` : "";
  const endOfOld =
    overlap === "ours"
      ? `the old value is revoked at ${title}`
      : `${title} has ended the old value by itself`;
  const last = byHand
    ? "a person ends the old value as the runbook says, and is asked until it is done"
    : endOfOld;
  return [
    step("preflight", "the service, a free slot and every required destination are asked; nothing changes"),
    byHand
      ? step(
          "mint",
          "a person makes a new value as the runbook says and hands it in: PUT /v1/keys/{key}/value",
        )
      : mint,
    step(
      "test",
      `the new value is tried at ${title}${provider.test ? "" : ": it cannot be, and is believed"}`,
    ),
    step(
      "deliver",
      `it goes to ${count(links.length, "destination")}, of which ${required} must confirm${back}${besides}`,
    ),
    step("promote", "the new version is current"),
    ...(overlap === "none"
      ? []
      : [step("grace", `the old version stays valid for ${words(grace)} at least${untilWhat(hold)}`)]),
    step("revoke", last, true),
    step(
      "confirm",
      canConfirm
        ? "the old value is looked at until it is seen dead"
        : "nobody can say whether it is dead, so it stays unconfirmed",
    ),
  ];
}

/** What a grace waits for besides its time. */
function untilWhat(hold: PlannedHold | null): string {
  return hold && hold.waitsFor.length > 0 ? `, and until ${hold.waitsFor.join("; ")}: ${hold.atCeiling}` : "";
}

/** A length of time for people. */
function words(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 120) return count(minutes, "minute");
  return minutes < 48 * 60
    ? count(Math.round(minutes / 60), "hour")
    : count(Math.round(minutes / 1_440), "day");
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
