/** What a monitoring system takes at each scrape: numbers only, no name and nothing of any value. Reads a bounded number of rows. */

import { randomBase62 } from "../../crypto/base62.ts";
import { newId } from "../../ids.ts";
import type { EngineContext } from "../../rotation/context.ts";
import { factsOfKeyring, healthOf } from "../../rotation/health.ts";
import type { KeyState } from "../../store/keys.ts";
import { MAX_AGES } from "../../store/overview.ts";
import type { Health } from "../../store/settings.ts";
import { countRotations, type LastCron } from "./status.ts";

/** Values at 0.5, 0.9 and 0.99, in seconds; empty when there is nothing to measure. */
export type Quantiles = readonly { quantile: number; seconds: number }[];

export interface Metrics {
  keys: Record<Exclude<KeyState, "deleted">, number>;
  keysOverdue: number;
  keyAge: Quantiles;
  keyRotationFailures: number;
  /** What only a person can do, and is asked for. */
  personAsked: Record<"new-value" | "revocation", number>;
  rotationsLive: Record<string, number>;
  rotationsLastDay: Record<"succeeded" | "failed" | "cancelled", number>;
  deliveryLag: Quantiles;
  deliveries: { pending: number; failing: number };
  versionsInGrace: number;
  gracesHeld: number;
  versionsRevoking: number;
  health: Health;
  /** Milliseconds since the epoch. */
  lastCronAt: LastCron;
  hold: boolean;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const QUANTILES = [0.5, 0.9, 0.99];
/** As many places to begin a sample at as matter. */
const SAMPLED_DIGITS = 10;

export function readMetrics(context: EngineContext): Omit<Metrics, "lastCronAt"> {
  const { store } = context;
  const { overview } = store;
  const now = context.now();
  const facts = factsOfKeyring(store, now);
  const { pending, active, lost, revoked, deleting } = overview.keyCounts();
  const { live, blocked, needsSlot, needsAttention, needsHuman } = countRotations(context);
  const ended = overview.endedSince(firstIdAt("rot", now - DAY_MS));
  const { inGrace, held, revoking } = overview.countRetiring();
  return {
    keys: { pending, active, lost, revoked, deleting },
    keysOverdue: facts.overdue,
    keyAge: quantilesOf(issuedAt(context).map((at) => now - at)),
    keyRotationFailures: facts.failedOnce + facts.failedOften,
    personAsked: { "new-value": facts.due, revocation: facts.endsDue },
    rotationsLive: {
      running: live - blocked - needsSlot - needsAttention - needsHuman,
      blocked,
      "needs-slot": needsSlot,
      "needs-attention": needsAttention,
      "needs-human": needsHuman,
    },
    rotationsLastDay: {
      succeeded: ended.get("succeeded") ?? 0,
      failed: ended.get("failed") ?? 0,
      cancelled: ended.get("cancelled") ?? 0,
    },
    deliveryLag: quantilesOf(overview.lagsSince(firstIdAt("dlv", now - HOUR_MS))),
    deliveries: { pending: overview.countPendingDeliveries(), failing: facts.failingDeliveries },
    versionsInGrace: inGrace,
    gracesHeld: held,
    versionsRevoking: revoking,
    health: healthOf(facts).health,
    hold: store.settings.hold(now) !== null,
  };
}

/** When current versions were issued: all of them where keys are few, else a sample from a random place on. */
function issuedAt({ store, random }: EngineContext): number[] {
  const { paused: _, ...states } = store.overview.keyCounts();
  const rows = Object.values(states).reduce((sum, count) => sum + count, 0);
  return rows <= MAX_AGES
    ? store.overview.currentIssuedAt()
    : store.overview.sampleIssuedAt(randomBase62(random, SAMPLED_DIGITS));
}

/** The least id that something made at a time may have: ids begin with their time. */
function firstIdAt(kind: "rot" | "dlv", at: number): string {
  return newId(kind, Math.max(0, at), (length) => new Uint8Array(length));
}

/** Quantiles by the nearest rank of durations in milliseconds. */
export function quantilesOf(durationsMs: readonly number[]): Quantiles {
  const sorted = durationsMs.toSorted((a, b) => a - b);
  return QUANTILES.flatMap((quantile) => {
    const value = sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)];
    return value === undefined ? [] : [{ quantile, seconds: value / 1000 }];
  });
}
