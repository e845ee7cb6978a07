/** Exports and imports whole keyrings, and takes a keyring's database away as a lost deployment would. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { type Answer, ROOT, request } from "./api.ts";

export const PASSPHRASE = "correct horse battery staple";

/** Of the example in RFC 7517, appendix A.1. */
export const PUBLIC_KEY = {
  kty: "EC",
  crv: "P-256",
  x: "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
  y: "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
};

/** The file of a keyring. */
export async function exportFile(name: string, to: object): Promise<string> {
  const { status, body } = await request<string>(ROOT, "POST", `/v1/keyrings/${name}/export`, { body: to });
  if (status !== 200) throw new Error(`export: ${JSON.stringify(body)}`);
  return body;
}

/** Sends a file with what opens it. */
export function importFile<Body = Record<string, unknown>>(
  name: string,
  opener: object,
  file: string,
): Promise<Answer<Body>> {
  return request<Body>(ROOT, "POST", `/v1/keyrings/${name}/import`, {
    rawBody: `${JSON.stringify(opener)}\n${file}`,
    headers: { "content-type": "application/x-ndjson" },
  });
}

/** Takes away all that a keyring's object holds, as if it had never been made. The registry still lists it. */
export async function wipe({ code }: { code: string }): Promise<void> {
  await runInDurableObject(env.KEYRING.get(env.KEYRING.idFromName(code)), async (_, { storage }) => {
    await storage.deleteAlarm();
    for (const name of tablesOf(storage)) storage.sql.exec(`DROP TABLE ${name}`);
  });
  await abortAllDurableObjects();
}

function tablesOf({ sql }: DurableObjectStorage): string[] {
  return sql
    .exec<{ name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
    )
    .toArray()
    .map(({ name }) => name);
}
