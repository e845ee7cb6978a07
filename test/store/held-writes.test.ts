/** What a transaction writes is held back to its end, and what is known is as true as the database. */
import { describe, expect, it } from "vitest";
import { LANES } from "../../src/store/due.ts";
import { durableObjectSql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { keyRow, onFreshStore, rotationRow, versionRow } from "../support/database.ts";
import { findQueueDisagreements } from "../support/invariants.ts";
import { meter } from "../support/meter.ts";

/** Runs `work` over a store that is its database's only writer, and so remembers what it read. */
function onOnlyWriter<T>(work: (store: Store, state: DurableObjectState) => T | Promise<T>): Promise<T> {
  return onFreshStore((_, state) =>
    work(new Store(durableObjectSql(state.storage), { isOnlyWriter: true }), state),
  );
}

describe("a transaction", () => {
  it("writes a row once, however often it changes", async () => {
    await onFreshStore((store, state) => {
      const key = store.keys.insert(keyRow());
      const { statements } = meter(state);
      store.transaction(() => {
        const raised = store.keys.update(key, { revision: 2 });
        store.keys.update(raised, { revision: 3, dueAt: 7 });
        store.keys.update({ ...raised, revision: 3, dueAt: 7 }, { dueAt: 9 });
      });
      const written = statements().filter(({ rowsWritten }) => rowsWritten > 0);
      expect(written).toHaveLength(2);
      expect(store.keys.get(key.id)).toMatchObject({ revision: 3, dueAt: 9 });
      expect(findQueueDisagreements(state)).toEqual([]);
    });
  });

  it("writes nothing to the queue for what comes and goes within it", async () => {
    await onFreshStore((store, state) => {
      const { writtenByTable } = meter(state);
      store.transaction(() => {
        store.due.move("rotation", "r", null, 5);
        store.due.move("rotation", "r", 5, 6);
        store.due.move("rotation", "r", 6, null);
      });
      expect(writtenByTable()).toEqual({});
    });
  });

  it("lets any other statement see what was written before it", async () => {
    await onFreshStore((store) => {
      store.transaction(() => {
        const row = store.rotations.insert(rotationRow({ dueAt: 5 }));
        store.rotations.update(row, { reason: "why" });
        expect(store.rotations.select("WHERE reason = 'why'")).toHaveLength(1);
        expect(store.due.workDue(LANES.rotations, 5, 10)).toHaveLength(1);
      });
    });
  });

  it("that fails leaves nothing behind, in the database or in memory", async () => {
    await onOnlyWriter((store, state) => {
      const key = store.keys.insert(keyRow());
      store.rotations.insert(rotationRow({ dueAt: 50 }));
      expect(store.due.earliestAt(LANES.rotations)).toBe(50);
      expect(() =>
        store.transaction(() => {
          store.keys.update(key, { revision: 2 });
          store.versions.insert(versionRow({ dueAt: 3 }));
          store.rotations.update(store.rotations.live(key.id) ?? rotationRow(), { live: false, dueAt: null });
          expect(store.due.earliestAt(LANES.versions)).toBe(3);
          throw new Error("no");
        }),
      ).toThrow("no");
      expect(store.keys.get(key.id)?.revision).toBe(1);
      expect(store.versions.get("v1")).toBeUndefined();
      expect(store.versions.alive(key.id)).toEqual([]);
      expect(store.rotations.live(key.id)?.dueAt).toBe(50);
      expect(store.due.earliestAt(LANES.rotations)).toBe(50);
      expect(store.due.earliestAt(LANES.versions)).toBeNull();
      expect(findQueueDisagreements(state)).toEqual([]);
    });
  });

  it("that fails inside another one takes only its own changes along", async () => {
    await onOnlyWriter((store) => {
      const key = store.keys.insert(keyRow());
      store.transaction(() => {
        const changed = store.keys.update(key, { revision: 2 });
        expect(() =>
          store.transaction(() => {
            store.keys.update(changed, { revision: 3 });
            throw new Error("no");
          }),
        ).toThrow("no");
        expect(store.keys.get(key.id)?.revision).toBe(2);
      });
      expect(store.keys.get(key.id)?.revision).toBe(2);
    });
  });

  it("that breaks a rule of the schema at its end leaves nothing behind", async () => {
    await onOnlyWriter((store, state) => {
      store.rotations.insert(rotationRow({ id: "rot_1" }));
      expect(() =>
        store.transaction(() => void store.rotations.insert(rotationRow({ id: "rot_2", dueAt: 5 }))),
      ).toThrow(/UNIQUE/);
      expect(store.rotations.get("rot_2")).toBeUndefined();
      expect(store.rotations.live("key_1")?.id).toBe("rot_1");
      expect(findQueueDisagreements(state)).toEqual([]);
    });
  });
});

describe("the only writer of a database", () => {
  it("reads no row twice, and finds each as it was written last", async () => {
    await onOnlyWriter((store, state) => {
      store.transaction(() => {
        store.keys.insert(keyRow());
        store.versions.insert(versionRow());
        store.rotations.insert(rotationRow());
      });
      const { statements } = meter(state);
      const look = () => [
        store.keys.get("key_1")?.revision,
        store.versions.current("key_1")?.id,
        store.versions.byNumber("key_1", 1)?.stage,
        store.rotations.live("key_1")?.id,
      ];
      expect(look()).toEqual([1, "v1", "current", "rot_1"]);
      const before = statements().length;
      expect(look()).toEqual([1, "v1", "current", "rot_1"]);
      expect(statements()).toHaveLength(before);
      store.versions.update(versionRow(), { stage: "revoked" });
      store.rotations.update(rotationRow(), { live: false });
      expect(look()).toEqual([1, undefined, "revoked", undefined]);
    });
  });

  it("reads nothing to know that nothing is due, with later work in every lane", async () => {
    await onOnlyWriter((store, state) => {
      for (const kind of ["rotation", "version", "delivery", "start"] as const) {
        store.due.move(kind, kind, null, 100);
      }
      const lanes = [LANES.rotations, LANES.versions, LANES.deliveries, LANES.emergencies, LANES.starts];
      for (const lane of lanes) store.due.earliestAt(lane);
      const { statements } = meter(state);
      expect(lanes.map((lane) => store.due.earliestAt(lane))).toEqual([100, 100, 100, null, 100]);
      store.due.move("rotation", "sooner", null, 50);
      expect(store.due.earliestAt(LANES.rotations)).toBe(50);
      expect(statements().reduce((sum, { rowsRead }) => sum + rowsRead, 0)).toBe(0);
      // The earliest went: what comes next is not known without a look.
      store.due.move("rotation", "sooner", 50, null);
      expect(store.due.earliestAt(LANES.rotations)).toBe(100);
    });
  });
});
