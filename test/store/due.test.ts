/** The work queue: the earliest of each lane first, one row read. */
import { describe, expect, it } from "vitest";
import { LANES } from "../../src/store/due.ts";
import type { Store } from "../../src/store/store.ts";
import { onFreshStore } from "../support/database.ts";
import { meter } from "../support/meter.ts";
import { earliestWorkAt, workDue } from "../support/queue.ts";

/** Fills two lanes: deliveries from `at` on, starts long before it. */
function fill(store: Store, rows: number): void {
  store.transaction(() => {
    for (let n = 0; n < rows; n++) {
      store.due.move("start", `key_${n}`, null, n);
      store.due.move("delivery", `dlv_${n}`, null, 1_000_000 + n);
    }
  });
}

describe("the queue", () => {
  it("gives work in order of time, whatever its kind", async () => {
    await onFreshStore(({ due }) => {
      due.move("version", "v", null, 30);
      due.move("rotation", "r", null, 10);
      due.move("delivery", "d", null, 20);
      due.move("idempotency", "i", null, 40);
      expect(workDue(due, 30, 10).map(({ id }) => id)).toEqual(["r", "d", "v"]);
      expect(workDue(due, 30, 2).map(({ id }) => id)).toEqual(["r", "d"]);
      expect(workDue(due, 9, 10)).toEqual([]);
    });
  });

  it("keeps scheduled starts in a lane of their own: they never wake the alarm", async () => {
    await onFreshStore(({ due }) => {
      due.move("start", "key", null, 5);
      expect(earliestWorkAt(due)).toBeNull();
      expect(workDue(due, 1_000, 10)).toEqual([]);
      expect(due.earliestStartAt()).toBe(5);
      due.move("rotation", "r", null, 50);
      expect(earliestWorkAt(due)).toBe(50);
      expect(due.startsDue(1_000, 10)).toEqual([{ kind: "start", id: "key", at: 5 }]);
    });
  });

  it("moves an entry, takes it out, and leaves alone what does not move", async () => {
    await onFreshStore(({ due }) => {
      due.move("rotation", "r", null, 10);
      due.move("rotation", "r", 10, 20);
      expect(workDue(due, 100, 10)).toEqual([{ kind: "rotation", id: "r", at: 20 }]);
      due.move("rotation", "r", 20, 20);
      expect(workDue(due, 100, 10)).toHaveLength(1);
      due.move("rotation", "r", 20, null);
      expect(earliestWorkAt(due)).toBeNull();
    });
  });

  it("makes an entry that is missing, and leaves alone one that is there", async () => {
    await onFreshStore(({ due }) => {
      due.ensure("rotation", "r", 20, LANES.rotations);
      due.ensure("rotation", "r", 20, LANES.rotations);
      expect(workDue(due, 100, 10)).toEqual([{ kind: "rotation", id: "r", at: 20 }]);
    });
  });

  it("holds any number of entries of one moment", async () => {
    await onFreshStore(({ due }) => {
      for (let n = 0; n < 50; n++) due.move("delivery", `d${n}`, null, 7);
      due.move("version", "d1", null, 7);
      expect(workDue(due, 7, 100)).toHaveLength(51);
    });
  });
});

describe("reading the queue", () => {
  const ROWS = 3_000;

  it("for the alarm is one row, whatever waits in any lane", async () => {
    await onFreshStore((store, state) => {
      fill(store, ROWS);
      const { statements } = meter(state);
      expect(earliestWorkAt(store.due)).toBe(1_000_000);
      expect(store.due.earliestStartAt()).toBe(0);
      // Lanes without work cost nothing.
      expect(statements().map(({ rowsRead }) => rowsRead)).toEqual([0, 0, 0, 0, 0, 1, 0, 0, 1]);
    });
  });

  it("for a claim is one row, and so is an idle poll", async () => {
    await onFreshStore((store, state) => {
      fill(store, ROWS);
      const { statements } = meter(state);
      expect(workDue(store.due, 2_000_000, 1)).toHaveLength(1);
      expect(workDue(store.due, 999_999, 1)).toEqual([]);
      for (const { rowsRead } of statements()) expect(rowsRead).toBeLessThanOrEqual(1);
    });
  });

  it("writes one row for an entry, and one for each move of it", async () => {
    await onFreshStore(({ due }, state) => {
      const { statements } = meter(state);
      const written = () => statements().reduce((sum, { rowsWritten }) => sum + rowsWritten, 0);
      due.move("rotation", "r", null, 1);
      expect(written()).toBe(1);
      due.move("rotation", "r", 1, 2);
      expect(written()).toBe(2);
      due.move("rotation", "r", 2, null);
      expect(written()).toBe(3);
    });
  });
});
