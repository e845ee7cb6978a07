/** What the facts come to, and that each fact is found in the tables, for a keyring and for one key. */
import { describe, expect, it } from "vitest";
import { factsOfKey, factsOfKeyring, type HealthFacts, healthOf } from "../../src/rotation/health.ts";
import { type DeliveryRow, NEW_DELIVERY } from "../../src/store/deliveries.ts";
import type { Store } from "../../src/store/store.ts";
import { NEW_SUBSCRIPTION } from "../../src/store/subscriptions.ts";
import { keyRow, onFreshStore, rotationRow, versionRow } from "../support/database.ts";
import { meter } from "../support/meter.ts";

const NOW = 100 * 3_600_000;

const WELL: HealthFacts = {
  lost: 0,
  needAttention: 0,
  blocked: 0,
  failedOnce: 0,
  failedOften: 0,
  stuckRevocations: 0,
  failingDeliveries: 0,
  failingDestinations: 0,
  failingSubscriptions: 0,
  overdue: 0,
  due: 0,
  endsDue: 0,
  leaksDue: 0,
};

describe("health", () => {
  it("is healthy when nothing is stuck", () => {
    expect(healthOf(WELL)).toEqual({ health: "healthy", reasons: [] });
  });

  it.each<[keyof HealthFacts, string, string]>([
    ["lost", "failing", "2 keys have lost the value"],
    ["needAttention", "failing", "2 rotations need somebody's attention"],
    ["blocked", "failing", "2 rotations are blocked past the time to deliver"],
    ["failedOften", "failing", "2 keys fail to rotate again and again"],
    ["stuckRevocations", "failing", "2 old values could not be revoked yet"],
    ["overdue", "failing", "2 rotations are overdue and not started"],
    ["leaksDue", "failing", "2 leaked values wait for somebody"],
    ["due", "degraded", "2 keys wait for a value that somebody makes"],
    ["endsDue", "degraded", "2 old values wait for its end by hand"],
    ["failedOnce", "degraded", "the last rotation of 2 keys failed"],
    ["failingDeliveries", "degraded", "2 deliveries were given up"],
    ["failingDestinations", "degraded", "2 destinations do not answer"],
    ["failingSubscriptions", "degraded", "2 subscriptions do not answer"],
  ])("with %s is %s, and says why", (fact, health, reason) => {
    expect(healthOf({ ...WELL, [fact]: 2 })).toEqual({ health, reasons: [reason] });
  });

  it("is as bad as the worst, and names all", () => {
    expect(healthOf({ ...WELL, failingDeliveries: 1, lost: 1 })).toEqual({
      health: "failing",
      reasons: ["1 key has lost the value", "1 delivery was given up"],
    });
  });
});

function delivery(state: DeliveryRow["state"]): DeliveryRow {
  return {
    ...NEW_DELIVERY,
    id: "dlv_1",
    keyId: "key_1",
    versionId: "v1",
    number: 1,
    rotationId: null,
    destinationId: "dst_1",
    revision: 1,
    required: true,
    mustAcknowledge: false,
    name: "billing",
    urgent: false,
    createdAt: 0,
    state,
  };
}

/** Each way to be stuck: what is so of the tables, and which facts it makes of a keyring and of its key. */
const STUCK: [what: string, fill: (store: Store) => void, ofBoth: Partial<HealthFacts>][] = [
  ["a lost key", (store) => store.keys.update(keyOf(store), { state: "lost" }), { lost: 1 }],
  ["a failed rotation", (store) => store.keys.update(keyOf(store), { failures: 2 }), { failedOnce: 1 }],
  ["three failed ones", (store) => store.keys.update(keyOf(store), { failures: 3 }), { failedOften: 1 }],
  [
    "an old failure of a deleted key",
    (store) => store.keys.update(keyOf(store), { failures: 3, state: "deleted" }),
    {},
  ],
  [
    "a rotation that needs a human",
    (store) => store.rotations.insert(rotationRow({ state: "needs-human" })),
    { needAttention: 1 },
  ],
  [
    "one that is at risk",
    (store) => store.rotations.insert(rotationRow({ state: "needs-attention", deadlineAt: NOW + 1 })),
    { needAttention: 1 },
  ],
  [
    "one that is blocked in its time",
    (store) => store.rotations.insert(rotationRow({ state: "blocked", deadlineAt: NOW + 1 })),
    {},
  ],
  [
    "one that is blocked past it",
    (store) => store.rotations.insert(rotationRow({ state: "blocked", deadlineAt: NOW })),
    { blocked: 1 },
  ],
  [
    "one that waits for a slot past it",
    (store) => store.rotations.insert(rotationRow({ state: "needs-slot", deadlineAt: NOW })),
    { blocked: 1 },
  ],
  ["one that runs", (store) => store.rotations.insert(rotationRow()), {}],
  [
    "one that needed a human and is over",
    (store) => store.rotations.insert(rotationRow({ state: "needs-human", live: false })),
    {},
  ],
  [
    "a revocation on the table",
    (store) => store.versions.insert(versionRow({ stage: "revoking", attempt: 6 })),
    {},
  ],
  [
    "one past the table",
    (store) => store.versions.insert(versionRow({ stage: "revoking", attempt: 7 })),
    { stuckRevocations: 1 },
  ],
  ["a delivery given up", (store) => store.deliveries.insert(delivery("failing")), { failingDeliveries: 1 }],
  ["a delivery on its way", (store) => store.deliveries.insert(delivery("pending")), {}],
  [
    "a start that is an hour late",
    (store) => store.keys.update(keyOf(store), { dueAt: NOW - 3_600_000 }),
    { overdue: 1 },
  ],
  [
    "a value that a person is asked for",
    (store) => store.keys.update(keyOf(store), { askedAt: NOW }),
    { due: 1 },
  ],
  [
    "one that is asked for no more, as its key is over",
    (store) => store.keys.update(keyOf(store), { askedAt: NOW, state: "revoked" }),
    {},
  ],
  [
    "one that is asked for as the present one leaked",
    (store) => {
      store.versions.insert(versionRow({ compromisedAt: NOW }));
      store.keys.update(keyOf(store), { askedAt: NOW });
    },
    { leaksDue: 1 },
  ],
  [
    "an old value that a person is asked to end",
    (store) => store.versions.insert(versionRow({ stage: "revoking", askedAt: NOW })),
    { endsDue: 1 },
  ],
  [
    "one of these that leaked",
    (store) => store.versions.insert(versionRow({ stage: "revoking", askedAt: NOW, compromisedAt: NOW })),
    { leaksDue: 1 },
  ],
  ["a start that is due", (store) => store.keys.update(keyOf(store), { dueAt: NOW - 3_599_999 }), {}],
];

function keyOf(store: Store) {
  const key = store.keys.get("key_1");
  if (!key) throw new Error("no key");
  return key;
}

describe("the facts", () => {
  it.each(STUCK)("of %s", async (_, fill, expected) => {
    await onFreshStore((store) => {
      store.keys.insert(keyRow());
      expect(factsOfKeyring(store, NOW)).toEqual(WELL);
      fill(store);
      expect(factsOfKeyring(store, NOW)).toEqual({ ...WELL, ...expected });
      expect(factsOfKey(store, keyOf(store), NOW)).toEqual({ ...WELL, ...expected });
    });
  });

  it("of destinations and subscriptions are the keyring's, not a key's", async () => {
    await onFreshStore((store) => {
      const key = store.keys.insert(keyRow());
      const common = { createdAt: 0, createdBy: "root", provenAt: null, lastCall: null, sealed: null };
      for (const state of ["unproven", "ready", "failing", "disabled"] as const) {
        const name = { id: state, name: state, state, revision: 1 };
        store.destinations.insert({
          ...common,
          ...name,
          type: "kv",
          config: {},
          probeAttempt: 0,
          opensAt: null,
          claimDigest: null,
        });
        const filter = { format: "standard" as const, host: "", hint: "", types: [], labels: {}, sentSeq: 0 };
        store.subscriptions.insert({ ...NEW_SUBSCRIPTION, ...common, ...filter, ...name });
      }
      const found = factsOfKeyring(store, NOW);
      expect(found).toEqual({ ...WELL, failingDestinations: 2, failingSubscriptions: 2 });
      expect(factsOfKey(store, key, NOW)).toEqual(WELL);
    });
  });

  it("of a keyring of many keys cost what is stuck, not what there is", async () => {
    await onFreshStore((store, state) => {
      store.transaction(() => {
        for (let n = 0; n < 500; n++) {
          const keyId = `key_${n}`;
          store.keys.insert(keyRow({ id: keyId, dueAt: NOW + n, failures: n === 7 ? 1 : 0 }));
          store.versions.insert(versionRow({ id: `v${n}`, keyId }));
          store.rotations.insert(rotationRow({ id: `rot_${n}`, keyId }));
          store.deliveries.insert({ ...delivery("delivered"), id: `dlv_${n}`, keyId });
        }
      });
      const { statements } = meter(state);
      expect(factsOfKeyring(store, NOW)).toEqual({ ...WELL, failedOnce: 1 });
      const read = statements().reduce((sum, { rowsRead }) => sum + rowsRead, 0);
      expect(read).toBeLessThanOrEqual(10);
    });
  });
});
