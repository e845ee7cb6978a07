/** Brings a database up to date by an append-only list of statements. The version is in a table of our own. */
import type { Sql } from "./sql.ts";

/** True once any migration was applied. Reads only. */
export function isMigrated(sql: Sql): boolean {
  return sql.all("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schemaVersion'").length > 0;
}

/** Applies what is new, in one transaction. Safe to run at any time. */
export function applyMigrations(sql: Sql, migrations: readonly string[]): void {
  sql.transaction(() => {
    sql.all("CREATE TABLE IF NOT EXISTS schemaVersion (version INTEGER NOT NULL) STRICT");
    const [row] = sql.all<{ version: number }>("SELECT version FROM schemaVersion");
    const applied = row?.version ?? 0;
    if (applied === migrations.length) return;
    for (const statements of migrations.slice(applied)) sql.all(statements);
    sql.all(
      row ? "UPDATE schemaVersion SET version = ?" : "INSERT INTO schemaVersion VALUES (?)",
      migrations.length,
    );
  });
}
