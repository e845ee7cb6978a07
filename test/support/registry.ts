/** Looks inside the registry's object, and fills it faster than the API could. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Registry } from "../../src/registry/registry.ts";
import { registryOf } from "../../src/registry/stub.ts";

export interface RegistryRow {
  /** Milliseconds since the epoch. */
  nextStartAt: number | null;
  visitedAt: number;
}

/** Runs `look` in the registry's own object. */
export async function inRegistry<T>(
  look: (registry: Registry, state: DurableObjectState) => T | Promise<T>,
): Promise<T> {
  // One call makes the object, and so its tables.
  await registryOf(env).find({ code: "nobody" });
  const stub = env.REGISTRY.get(env.REGISTRY.idFromName("registry"));
  return runInDurableObject(stub as unknown as DurableObjectStub<Registry>, look);
}

/** Cron has come every few minutes until now, as it does, and found nothing. */
export async function noteCron(at: number): Promise<void> {
  await inRegistry((_, { storage }) =>
    storage.sql.exec(
      `INSERT INTO setting (name, value) VALUES ('lastCronAt', ?)
       ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)`,
      at,
    ),
  );
}

/** Lists keyrings that were never made. Returns their codes. */
export function insertKeyrings(
  count: number,
  row: (n: number) => RegistryRow,
  initial = "T",
): Promise<string[]> {
  return inRegistry((_, { storage }) =>
    storage.transactionSync(() =>
      Array.from({ length: count }, (_, n) => {
        const code = `${initial}${String(n).padStart(7, "0")}`;
        const { nextStartAt, visitedAt } = row(n);
        storage.sql.exec(
          "INSERT INTO keyring (code, name, createdAt, nextStartAt, visitedAt) VALUES (?, ?, ?, ?, ?)",
          code,
          `listed-${initial}-${n}`,
          visitedAt,
          nextStartAt,
          visitedAt,
        );
        return code;
      }),
    ),
  );
}
