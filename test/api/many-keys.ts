/** Keys made by the thousand, faster than the API could. */
import { runInDurableObject } from "cloudflare:test";
import type { TestKeyring } from "../support/api.ts";
import { objectOf } from "./fixtures.ts";

/** Copies a key with its versions, so many times; ids go on in order. */
export function copyKeys(ring: TestKeyring, name: string, count: number): Promise<void> {
  return runInDurableObject(objectOf(ring), (_, { storage }) => {
    const columns = (table: string) =>
      storage.sql
        .exec<{ name: string }>(`SELECT name FROM pragma_table_info('${table}')`)
        .toArray()
        .map((column) => column.name);
    const copied = (table: string, own: Record<string, string>) =>
      columns(table)
        .map((column) => own[column] ?? `"${column}"`)
        .join(", ");
    const [key] = storage.sql.exec<{ id: string }>("SELECT id FROM key WHERE name = ?", name).toArray();
    if (!key) throw new Error("no such key");
    for (let n = 0; n < count; n++) {
      const id = `'${key.id.slice(0, -4)}${String(n).padStart(4, "0")}'`;
      storage.sql.exec(
        `INSERT INTO key SELECT ${copied("key", { id, name: `'${name}-${n}'`, dueAt: "NULL" })} FROM key WHERE id = ?`,
        key.id,
      );
      storage.sql.exec(
        `INSERT INTO version SELECT ${copied("version", { id: `substr(id, 1, 12) || '${endOf(n)}'`, keyId: id })}
         FROM version WHERE keyId = ?`,
        key.id,
      );
      storage.sql.exec(
        `INSERT INTO keyDestination SELECT ${copied("keyDestination", { keyId: id, target: `target || '-${n}'` })}
         FROM keyDestination WHERE keyId = ?`,
        key.id,
      );
    }
  });
}

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Five digits of base62 that end a version's id, the last one of any kind. */
function endOf(n: number): string {
  return String(n).padStart(4, "0") + DIGITS.charAt(n % DIGITS.length);
}

/** How many keys have exactly this policy and a next rotation. */
export function countPlanned(ring: TestKeyring, policy: string): Promise<number> {
  return runInDurableObject(
    objectOf(ring),
    (_, { storage }) =>
      storage.sql
        .exec<{ n: number }>("SELECT COUNT(*) AS n FROM key WHERE policy = ? AND dueAt IS NOT NULL", policy)
        .one().n,
  );
}
