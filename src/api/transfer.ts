/** /v1/keyrings/{name}/export, import and release: a whole keyring as a sealed file, out and in. Root only. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import {
  findFileKey,
  makeFileKey,
  passphraseSchema,
  privateKeySchema,
  publicKeySchema,
} from "../crypto/file-key.ts";
import { secureRandom } from "../crypto/random.ts";
import type { Failure } from "../errors/catalogue.ts";
import { fieldErrorsOf } from "../errors/fields.ts";
import type { Keyring } from "../keyring/keyring.ts";
import { keyringOf } from "../keyring/stub.ts";
import { type Header, headerSchema } from "../keyring/transfer/format.ts";
import { registryOf } from "../registry/stub.ts";
import type { Remote } from "../remote.ts";
import { type AppContext, requireRoot } from "./auth.ts";
import { findByName, publish } from "./directory.ts";
import { readLines } from "./lines.ts";
import { Problem, unwrap } from "./problem.ts";
import { answer, jsonBody, nameSchema, problems, security, timeOutSchema } from "./schemas.ts";

const NDJSON = "application/x-ndjson";
/** One part, sealed and in base64. */
const MAX_LINE_BYTES = 32 * 1024 * 1024;
/** Text of lines that go to the object at once. */
const MAX_BATCH = 1024 * 1024;

const params = z.object({ name: z.string().max(64) });
const FILE = "One part a line; see docs/export.md.";

/** Typed as no JSON: the handler answers a stream. */
const theFile: { description: string } = Object.assign(
  { description: "The file" },
  { content: { [NDJSON]: { schema: z.string().openapi({ description: FILE }) } } },
);

const exporting = createRoute({
  method: "post",
  path: "/v1/keyrings/{name}/export",
  summary: "Export a keyring as a sealed file",
  description:
    "Everything that the keyring holds as it stands at one moment, sealed to a passphrase or a public key (a JWK, P-256 or X25519). A file whose last line lacks `last` was cut off.",
  tags: ["keyrings"],
  security,
  request: {
    params,
    body: jsonBody(
      z.union([
        z.strictObject({ passphrase: passphraseSchema }),
        z.strictObject({ publicKey: publicKeySchema }),
      ]),
    ),
  },
  responses: {
    200: theFile,
    ...problems,
  },
});

const importing = createRoute({
  method: "post",
  path: "/v1/keyrings/{name}/import",
  summary: "Import a keyring from a sealed file",
  description:
    'The body is one line with what opens the file, {"passphrase":"…"} or {"privateKey":{…}}, and then the file as it is. The keyring keeps its code. Nothing is taken unless all of it is whole; what was under way is on hold until the keyring is released. The same file again gets the same answer.',
  tags: ["keyrings"],
  security,
  request: {
    params: z.object({ name: nameSchema }),
    body: { required: true, content: { [NDJSON]: { schema: z.string().openapi({ description: FILE }) } } },
  },
  responses: {
    201: answer(
      "What was imported",
      z
        .object({
          name: z.string(),
          code: z.string(),
          headSeq: z.int().openapi({ description: "Sequence number of the last event of the file." }),
          exportedAt: timeOutSchema,
          revoked: z.int().openapi({ description: "Versions that died since the file was made." }),
          held: z.int().openapi({ description: "Entries of work that wait for the release." }),
        })
        .openapi("Imported"),
    ),
    ...problems,
  },
});

const release = createRoute({
  method: "post",
  path: "/v1/keyrings/{name}/release",
  summary: "Let an imported keyring go on with what was under way",
  description:
    "Say so only when the keyring goes on nowhere else. Call again until `left` is 0. Does nothing to a keyring that has nothing on hold.",
  tags: ["keyrings"],
  security,
  request: { params },
  responses: {
    200: answer("How far it is", z.object({ released: z.int(), left: z.int() }).openapi("Released")),
    ...problems,
  },
});

export function addTransfer(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(exporting, async (c) => {
    requireRoot(c);
    const { code, name } = unwrap(await findByName(c.env, c.req.valid("param").name));
    const fileKey = await makeFileKey(c.req.valid("json"), secureRandom);
    if (!fileKey) throw invalid("publicKey", "is not a point of its curve");
    const keyring = keyringOf(c.env, code);
    const begun = unwrap(
      await keyring.beginExport(fileKey.sealing, fileKey.key, "POST /v1/keyrings/{name}/export"),
    );
    return c.body(streamExport(keyring, begun), 200, {
      "content-type": NDJSON,
      "content-disposition": `attachment; filename="${name}.rekey.ndjson"`,
    });
  });

  app.openapi(importing, async (c) => {
    requireRoot(c);
    const { name } = c.req.valid("param");
    const lines = readLines(c.req.raw.body, MAX_LINE_BYTES);
    const opener = openerSchema.safeParse(parseJson((await lines.next()).value));
    if (!opener.success) throw new Problem({ code: "invalid", errors: fieldErrorsOf(opener.error.issues) });
    const headerLine = (await lines.next()).value ?? "";
    const header = readHeader(headerLine);
    const { code } = header.keyring;
    const problem = await registryOf(c.env).findAdoptionProblem({ name, code });
    if (problem) throw new Problem(problem);
    const key = await findFileKey(header.sealing, opener.data);
    if (!key) throw refused("it is sealed to another key, or the other way");
    const keyring = keyringOf(c.env, code);
    const { id, done } = unwrap(await keyring.beginImport(name, header, headerLine, key));
    const imported = done ?? (await feed(keyring, id, lines));
    await publish(c.env, { name, code });
    return c.json(imported, 201);
  });

  app.openapi(release, async (c) => {
    requireRoot(c);
    const { code } = unwrap(await findByName(c.env, c.req.valid("param").name));
    const call = { credential: { kind: "root" }, route: "POST /v1/keyrings/{name}/release" } as const;
    return c.json(unwrap(await keyringOf(c.env, code).release(call)), 200);
  });
}

/** True for a request whose body is streamed and may be as large as the platform allows. */
export function isStreamed(c: AppContext): boolean {
  return c.req.method === "POST" && /^\/v1\/keyrings\/[^/]+\/import$/.test(c.req.path);
}

const openerSchema = z.union([
  z.strictObject({ passphrase: passphraseSchema }),
  z.strictObject({ privateKey: privateKeySchema }),
]);

function streamExport(keyring: Remote<Keyring>, { id, line }: { id: string; line: string }) {
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(`${line}\n`)),
    async pull(controller) {
      const { lines, isDone } = unwrap(await keyring.readExport(id));
      controller.enqueue(encoder.encode(lines.map((text) => `${text}\n`).join("")));
      if (isDone) controller.close();
    },
    cancel: () => keyring.endExport(id),
  });
}

/** Hands the file's parts to the object and has it take them in. Whatever goes wrong, it forgets them. */
async function feed(keyring: Remote<Keyring>, id: string, lines: AsyncGenerator<string, undefined>) {
  try {
    let batch: string[] = [];
    let size = 0;
    for await (const line of lines) {
      if (line === "") continue;
      batch.push(line);
      size += line.length;
      if (size < MAX_BATCH) continue;
      unwrap(await keyring.addImport(id, batch));
      [batch, size] = [[], 0];
    }
    unwrap(await keyring.addImport(id, batch));
    return unwrap(await keyring.endImport(id));
  } catch (error) {
    await keyring.dropImport(id);
    throw error;
  }
}

function readHeader(line: string): Header {
  const header = headerSchema.safeParse(parseJson(line));
  if (!header.success) throw refused("its first line is not that of an exported keyring");
  return header.data;
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

function refused(detail: string): Problem {
  const failure: Failure = { code: "file-refused", detail };
  return new Problem(failure);
}

function invalid(path: string, message: string): Problem {
  return new Problem({ code: "invalid", errors: [{ path, message }] });
}
