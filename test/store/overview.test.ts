/** The keyring counted: counters that triggers keep, and looks that do not grow with the keys. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { KeyRow } from "../../src/store/keys.ts";
import { migrate, migrateTo, SCHEMA_VERSION } from "../../src/store/migrations.ts";
import { MAX_AGES, recountKeys } from "../../src/store/overview.ts";
import { durableObjectSql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import {
  deliveryRow,
  insertOld,
  keyRow,
  onEmptyDatabase,
  onFreshStore,
  rotationRow,
  versionRow,
} from "../support/database.ts";
import { meter } from "../support/meter.ts";

const STATES = ["pending", "active", "lost", "revoked", "deleting", "deleted"] as const;
const NONE = { pending: 0, active: 0, lost: 0, revoked: 0, deleting: 0, deleted: 0, paused: 0 };

/** The same counted one by one. */
function countByHand(keys: readonly KeyRow[]) {
  const counts = { ...NONE };
  for (const { state, paused, policy } of keys) {
    counts[state] += 1;
    if ((state === "pending" || state === "active") && (paused || policy.paused === true)) counts.paused += 1;
  }
  return counts;
}

const change = fc.record({
  n: fc.nat({ max: 4 }),
  what: fc.constantFrom("insert", "update", "remove", "roll-back"),
  state: fc.constantFrom(...STATES),
  paused: fc.boolean(),
  policy: fc.constantFrom({}, { paused: true }, { paused: false }, { maxAge: "30d" }),
});

describe("the counts of keys", () => {
  it("are right after any changes, those that were rolled back included", async () => {
    await onFreshStore((store) => {
      fc.assert(
        fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
          for (const { n, what, ...patch } of changes) {
            const id = `key_${n}`;
            const apply = () => {
              const row = store.keys.get(id);
              if (!row) store.keys.insert(keyRow({ id, name: crypto.randomUUID(), ...patch }));
              else if (what === "remove") store.keys.remove(row);
              else store.keys.update(row, patch);
            };
            if (what !== "roll-back") apply();
            else {
              const fail = () =>
                store.transaction(() => {
                  apply();
                  store.keys.list({}, "", 1);
                  throw new Error("no");
                });
              expect(fail).toThrow("no");
            }
          }
          expect(store.overview.keyCounts()).toEqual(countByHand(store.keys.select("")));
        }),
        { numRuns: 60 },
      );
    });
  });

  it.each<[string, Partial<KeyRow>, number]>([
    ["the key itself", { paused: true }, 1],
    ["its policy", { policy: { paused: true } }, 1],
    ["both", { paused: true, policy: { paused: true } }, 1],
    ["neither", { policy: { paused: false } }, 0],
    ["a key that would not rotate anyway", { paused: true, state: "revoked" }, 0],
  ])("say what is paused by %s, and what is not any more", async (_, patch, paused) => {
    await onFreshStore((store) => {
      const before = store.keys.insert(keyRow());
      const after = store.keys.update(before, patch);
      expect(store.overview.keyCounts().paused).toBe(paused);
      store.keys.update(after, { paused: false, policy: {}, state: "active" });
      expect(store.overview.keyCounts()).toEqual({ ...NONE, active: 1 });
    });
  });

  it("cost one row for a key that is made, none for what leaves its state as it is", async () => {
    await onFreshStore((store, state) => {
      const { statements } = meter(state);
      const written = () => statements().reduce((sum, { rowsWritten }) => sum + rowsWritten, 0);
      const key = store.keys.insert(keyRow());
      // The row, its name in an index, and the counter.
      expect(written()).toBe(3);
      const same = store.keys.update(key, { revision: 2, policy: { maxAge: "30d" } });
      expect(written()).toBe(4);
      store.keys.update(same, { state: "revoked" });
      expect(written()).toBe(8);
    });
  });

  it("begin with the keys that a keyring has already", async () => {
    const before = await versionBefore();
    await onEmptyDatabase((sql) => {
      migrateTo(sql, before);
      insertOld(sql, "key", keyRow({ id: "key_1", paused: true }));
      insertOld(sql, "key", keyRow({ id: "key_2", state: "deleted", paused: true }));
      migrate(sql);
      expect(new Store(sql).overview.keyCounts()).toEqual({ ...NONE, active: 1, deleted: 1, paused: 1 });
    });
  });

  it("are right again once they are counted anew", async () => {
    await onFreshStore((store, { storage }) => {
      store.keys.insert(keyRow({ paused: true }));
      const sql = durableObjectSql(storage);
      sql.all("UPDATE keyCount SET count = 7");
      recountKeys(sql);
      expect(store.overview.keyCounts()).toEqual({ ...NONE, active: 1, paused: 1 });
    });
  });
});

/** So many keys that their ages are sampled, each with one version that is over. */
function fill(store: Store, count: number): void {
  store.transaction(() => {
    for (let n = 0; n < count; n++) {
      const keyId = `key_${n}`;
      store.keys.insert(keyRow({ id: keyId, lastNumber: 2 }));
      store.versions.insert(versionRow({ id: idOf(n, "1"), keyId, stage: "revoked" }));
      store.versions.insert(versionRow({ id: idOf(n, "0"), keyId, number: 2, issuedAt: n }));
    }
  });
}

/** A version's id: the reverse of n as its time, then what a sample goes by, in order of n. */
function idOf(n: number, last: string): string {
  return `${9_999_999 - n}${String(n).padStart(9, "0")}${last}`;
}

describe("the ages of current versions", () => {
  it("are those of each key that has one", async () => {
    await onFreshStore((store) => {
      fill(store, 3);
      store.keys.insert(keyRow({ id: "key_dead", state: "revoked" }));
      store.versions.insert(versionRow({ id: "dead", keyId: "key_dead", stage: "revoked" }));
      store.keys.insert(keyRow({ id: "key_new", state: "pending" }));
      expect(store.overview.currentIssuedAt().toSorted()).toEqual([0, 1, 2]);
    });
  });

  it("are sampled from a place on, and from the first on when there are no more", async () => {
    await onFreshStore((store, state) => {
      fill(store, MAX_AGES + 500);
      const { statements } = meter(state);
      const early = store.overview.sampleIssuedAt("");
      expect(early).toEqual(Array.from({ length: MAX_AGES }, (_, n) => n));
      const late = store.overview.sampleIssuedAt("000001498z");
      expect(late[0]).toBe(1_499);
      expect(late.slice(1)).toEqual(Array.from({ length: MAX_AGES - 1 }, (_, n) => n));
      for (const { rowsRead } of statements()) expect(rowsRead).toBeLessThanOrEqual(MAX_AGES + 1);
    });
  });

  it("are sampled by the last digit of an id, so a letter there is left out, and so is what is over", async () => {
    await onFreshStore((store, state) => {
      store.transaction(() => {
        for (let n = 0; n < 2_000; n++) {
          const [last, stage] = n % 2 === 0 ? (["a", "current"] as const) : (["7", "revoked"] as const);
          store.versions.insert(versionRow({ id: idOf(n, last), keyId: `key_${n}`, stage }));
        }
        store.versions.insert(versionRow({ id: idOf(3_000, "9"), keyId: "key_found", issuedAt: 7 }));
      });
      const { statements } = meter(state);
      expect(store.overview.sampleIssuedAt("")).toEqual([7]);
      expect(Math.max(...statements().map(({ rowsRead }) => rowsRead))).toBeLessThanOrEqual(2);
    });
  });
});

describe("what is under way", () => {
  it("is counted from the queue, emergencies included, and from what is on hold", async () => {
    await onFreshStore((store, { storage }) => {
      store.versions.insert(versionRow({ id: "a", number: 1, stage: "previous", dueAt: 5 }));
      store.versions.insert(versionRow({ id: "b", number: 2, stage: "revoking", dueAt: 5, urgent: true }));
      store.versions.insert(versionRow({ id: "c", number: 3, stage: "revoking", dueAt: null }));
      store.versions.insert(versionRow({ id: "d", number: 4 }));
      store.versions.insert(versionRow({ id: "e", number: 5, stage: "previous", heldAt: 4, dueAt: 5 }));
      store.deliveries.insert(deliveryRow({ id: "dlv_1", dueAt: 5 }));
      store.deliveries.insert(deliveryRow({ id: "dlv_2", dueAt: 5, urgent: true }));
      store.deliveries.insert(deliveryRow({ id: "dlv_3", dueAt: null, state: "failing" }));
      store.deliveries.insert(deliveryRow({ id: "dlv_4", dueAt: null, state: "delivered" }));
      store.rotations.insert(rotationRow({ dueAt: 5, urgent: true }));
      expect(store.overview.hasHeld()).toBe(false);
      expect(store.overview.countRetiring()).toEqual({ inGrace: 2, held: 1, revoking: 1 });
      expect(store.overview.countPendingDeliveries()).toBe(2);
      // On hold, and one that somebody dealt with meanwhile.
      storage.sql.exec("INSERT INTO held VALUES ('version', 'c', 5), ('version', 'a', 5)");
      expect(store.overview.hasHeld()).toBe(true);
      expect(store.overview.countRetiring()).toEqual({ inGrace: 2, held: 1, revoking: 2 });
    });
  });
});

describe("the recent past", () => {
  it("is what began with an id or later", async () => {
    await onFreshStore((store) => {
      const over = (id: string, state: "succeeded" | "failed", live = false) =>
        store.rotations.insert(rotationRow({ id, keyId: `key_${id}`, live, state }));
      over("rot_1", "failed");
      over("rot_2", "failed");
      over("rot_3", "succeeded");
      store.rotations.insert(rotationRow({ id: "rot_4" }));
      expect(store.overview.endedSince("rot_2")).toEqual(
        new Map([
          ["failed", 1],
          ["succeeded", 1],
        ]),
      );
      store.deliveries.insert(deliveryRow({ id: "dlv_1", createdAt: 5, deliveredAt: 9, state: "delivered" }));
      store.deliveries.insert(deliveryRow({ id: "dlv_2", createdAt: 5, deliveredAt: 7, state: "delivered" }));
      store.deliveries.insert(deliveryRow({ id: "dlv_3", createdAt: 5 }));
      expect(store.overview.lagsSince("dlv_2")).toEqual([2]);
    });
  });
});

/** The last version of the schema without counters. */
function versionBefore(): Promise<number> {
  return onEmptyDatabase((sql) => {
    const has = () => sql.all("SELECT 1 FROM sqlite_master WHERE name = 'keyCount'").length > 0;
    for (let version = 1; version <= SCHEMA_VERSION; version++) {
      migrateTo(sql, version);
      if (has()) return version - 1;
    }
    throw new Error("no counters");
  });
}
