/** /v1/keyrings/rewrap: every keyring's data key under the newest master key, now. Root only. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { readConfig } from "../env.ts";
import type { Failure } from "../errors/catalogue.ts";
import { badCursor } from "../keyring/operations/keys.ts";
import { decodeCursor, encodeCursor } from "../keyring/page.ts";
import { keyringOf } from "../keyring/stub.ts";
import { Gate } from "../outbound/gate.ts";
import { registryOf } from "../registry/stub.ts";
import { err, ok, type Result } from "../result.ts";
import type { KeyringIdentity } from "../store/settings.ts";
import { requireRoot } from "./auth.ts";
import { Problem } from "./problem.ts";
import { answer, pageQuerySchema, problems, security } from "./schemas.ts";

const AT_ONCE = 6;

const rewrap = createRoute({
  method: "post",
  path: "/v1/keyrings/rewrap",
  summary: "Wrap every keyring's data key with the newest master key",
  description:
    "One page of those that are not known to be wrapped by it. Call again with `cursor` until `nextCursor` is null; an older master key may be taken out of MASTER_KEYS when `left` is 0. Doing it again does no harm.",
  tags: ["keyrings"],
  security,
  request: { query: pageQuerySchema },
  responses: {
    200: answer(
      "How far it is",
      z
        .object({
          masterKeyId: z.string().openapi({ description: "Id of the newest master key." }),
          done: z.int().openapi({ description: "Keyrings of this page that it wraps now." }),
          left: z.int().openapi({ description: "Keyrings of this deployment that it does not wrap yet." }),
          failing: z.array(z.object({ name: z.string(), code: z.string(), detail: z.string().nullable() })),
          nextCursor: z.string().nullable(),
        })
        .openapi("Rewrapped"),
    ),
    ...problems,
  },
});

export function addMasterKeys(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(rewrap, async (c) => {
    requireRoot(c);
    const { limit, cursor } = c.req.valid("query");
    const after = decodeCursor(cursor, "name");
    if (after === undefined) throw new Problem(badCursor());
    const config = readConfig(c.env);
    const masterKeyId = (config.ok ? config.value.masterKeys[0]?.id : undefined) ?? "";
    const registry = registryOf(c.env);
    const page = await registry.wrappedByOthers(masterKeyId, after, limit + 1);
    const shown = page.slice(0, limit);
    const gate = new Gate(AT_ONCE);
    const tried = await Promise.all(
      shown.map((keyring) =>
        gate.run(async () => ({ ...keyring, result: await open(c.env, keyring, masterKeyId) })),
      ),
    );
    await registry.noteMasterKeys(
      tried.flatMap(({ code, result }) => (result.ok ? [{ code, masterKeyId: result.value }] : [])),
    );
    const last = shown.at(-1);
    return c.json(
      {
        masterKeyId,
        done: tried.filter(({ result }) => result.ok).length,
        left: await registry.countWrappedByOthers(masterKeyId),
        failing: tried.flatMap(({ name, result }) =>
          result.ok ? [] : [{ name, code: result.error.code, detail: result.error.detail ?? null }],
        ),
        nextCursor: page.length > limit && last ? encodeCursor(last.name) : null,
      },
      200,
    );
  });
}

/** Opens a keyring, which is what wraps its data key anew. One that was listed and never made is made. */
async function open(
  env: Env,
  keyring: KeyringIdentity,
  masterKeyId: string,
): Promise<Result<string, Failure>> {
  const stub = keyringOf(env, keyring.code);
  let seen = await stub.masterKey();
  if (!seen.ok && seen.error.code === "keyring-unknown") {
    const made = await stub.make(keyring);
    seen = made.ok ? await stub.masterKey() : made;
  }
  if (!seen.ok) return seen;
  // An object that was not restarted since the secret was changed still has the older ones.
  return seen.value.masterKeyId === masterKeyId
    ? ok(masterKeyId)
    : err({
        code: "not-configured",
        detail: "it still runs with the settings of before; try again in a minute",
      });
}
