import { describe, expect, it } from "vitest";
import { isMade, migrate } from "../../src/store/migrations.ts";
import type { Sql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { keyRow, onEmptyDatabase } from "../support/database.ts";

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

  it("are not looked for by a mere reader: isMade writes nothing", async () => {
    await onEmptyDatabase((sql, { storage }) => {
      const before = storage.sql.databaseSize;
      isMade(sql);
      expect(storage.sql.databaseSize).toBe(before);
      expect(schemaOf(sql)).toEqual([]);
    });
  });
});
