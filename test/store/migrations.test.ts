import { describe, expect, it } from "vitest";
import { isMade, migrate, migrateTo } from "../../src/store/migrations.ts";
import type { Sql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { deliveryRow, insertOld, keyRow, onEmptyDatabase } from "../support/database.ts";
import { meter } from "../support/meter.ts";

const schemaOf = (sql: Sql) =>
  sql.all("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY name");

describe("migrations", () => {
  it("make every table, and a second run changes nothing", async () => {
    await onEmptyDatabase((sql) => {
      expect(isMade(sql)).toBe(false);
      migrate(sql);
      const schema = schemaOf(sql);
      const store = new Store(sql);
      store.keys.insert(keyRow({ name: "kept" }));
      migrate(sql);
      expect(isMade(sql)).toBe(true);
      expect(schemaOf(sql)).toEqual(schema);
      expect(store.keys.byName("kept")).toBeDefined();
      expect(sql.all("SELECT version FROM schemaVersion")).toHaveLength(1);
    });
  });

  it("leave nothing behind when one of them fails, so that the next try begins at the same place", async () => {
    await onEmptyDatabase((sql) => {
      const failing: Sql = {
        ...sql,
        all: (query, ...params) => {
          if (query.startsWith("INSERT INTO schemaVersion")) throw new Error("the disk is full");
          return sql.all(query, ...params);
        },
      };
      expect(() => migrate(failing)).toThrow("the disk is full");
      expect(schemaOf(sql)).toEqual([]);
      expect(isMade(sql)).toBe(false);
      migrate(sql);
      expect(isMade(sql)).toBe(true);
    });
  });

  it("give a keyring that exists the index of calls that may still land, with those that it has", async () => {
    await onEmptyDatabase((sql, state) => {
      migrateTo(sql, 4);
      const waiting = deliveryRow({ id: "dlv_2", revision: 2 });
      insertOld(sql, "delivery", deliveryRow({ id: "dlv_1", state: "superseded", leaseUntil: 70 }));
      insertOld(sql, "delivery", waiting);
      insertOld(sql, "delivery", deliveryRow({ id: "dlv_3", keyId: "key_2" }));
      const store = new Store(sql);
      migrate(sql);
      expect(store.deliveries.landingAt([waiting])).toEqual(new Map([["dlv_2", 70]]));
      store.deliveries.update(deliveryRow({ id: "dlv_1", leaseUntil: 70 }), { leaseUntil: null });
      const { statements } = meter(state);
      expect(store.deliveries.landingAt([waiting])).toEqual(new Map());
      // The scan of an empty index counts as one row, for however many that wait.
      expect(statements().map(({ rowsRead }) => rowsRead)).toEqual([1]);
    });
  });

  it("are not looked for by a mere reader: isMade writes nothing", async () => {
    await onEmptyDatabase((sql, { storage }) => {
      const before = storage.sql.databaseSize;
      isMade(sql);
      expect(storage.sql.databaseSize).toBe(before);
      expect(schemaOf(sql)).toEqual([]);
    });
  });
});
