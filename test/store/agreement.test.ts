/** A row's dueAt and the queue never disagree, whatever is written in whatever order. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DeliveryRow, NEW_DELIVERY } from "../../src/store/deliveries.ts";
import type { Store } from "../../src/store/store.ts";
import { keyRow, onFreshStore, rotationRow, versionRow } from "../support/database.ts";
import { findQueueDisagreements } from "../support/invariants.ts";

const dueAt = fc.option(fc.nat({ max: 5 }), { nil: null });
const table = fc.constantFrom("keys", "rotations", "versions", "deliveries", "idempotency");
const operation = fc.record({
  table,
  n: fc.nat({ max: 3 }),
  kind: fc.constantFrom("insert", "reschedule", "touch", "remove", "roll-back"),
  dueAt,
});

type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

describe("random operations on the tables", () => {
  it("leave every dueAt with its entry in the queue, and no entry without its row", async () => {
    await onFreshStore((store, state) => {
      fc.assert(
        fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
          for (const step of operations) run(store, step);
          expect(findQueueDisagreements(state)).toEqual([]);
        }),
      );
    });
  });
});

describe("the checker", () => {
  it("sees an entry without a row, a row without its entry, and one in the wrong lane", async () => {
    await onFreshStore((store, state) => {
      store.due.move("rotation", "rot_ghost", null, 5);
      expect(findQueueDisagreements(state)).toEqual(["without an owner: 0 5 rotation rot_ghost"]);
      store.due.move("rotation", "rot_ghost", 5, null);
      const row = store.keys.insert(keyRow({ dueAt: 7 }));
      expect(findQueueDisagreements(state)).toEqual([]);
      store.due.move("start", row.id, 7, null);
      store.due.move("version", row.id, null, 7);
      expect(findQueueDisagreements(state)).toHaveLength(2);
    });
  });
});

/** Does one operation; what makes no sense at the moment is left out. */
function run(store: Store, step: Operation): void {
  const id = `${step.table}-${step.n}`;
  switch (step.kind) {
    case "insert":
      insert(store, step, id);
      return;
    case "roll-back":
      try {
        store.transaction(() => {
          run(store, { ...step, kind: "reschedule" });
          run(store, { ...step, kind: "insert" });
          throw new Error("rolled back");
        });
      } catch {
        // As meant.
      }
      return;
    default:
      change(store, step, id);
  }
}

function insert(store: Store, { table, n, dueAt }: Operation, id: string): void {
  if (store[table].get(id)) return;
  switch (table) {
    case "keys":
      store.keys.insert(keyRow({ id, dueAt }));
      return;
    case "rotations":
      store.rotations.insert(rotationRow({ id, keyId: id, dueAt }));
      return;
    case "versions":
      store.versions.insert(versionRow({ id, number: n, dueAt }));
      return;
    case "deliveries":
      store.deliveries.insert(deliveryRow(id, dueAt));
      return;
    case "idempotency":
      store.idempotency.insert({
        id,
        bodyHash: new Uint8Array(1),
        resource: "key_1",
        sealed: null,
        createdAt: 0,
        dueAt,
      });
  }
}

function change(store: Store, { table, kind, dueAt }: Operation, id: string): void {
  const rows = store[table] as Store["rotations"];
  const row = rows.get(id);
  if (!row) return;
  if (kind === "remove") rows.remove(row);
  else rows.update(row, kind === "touch" ? {} : { dueAt });
}

function deliveryRow(id: string, dueAt: number | null): DeliveryRow {
  return {
    ...NEW_DELIVERY,
    id,
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
    dueAt,
  };
}
