/**
 * A consumer of keys in a process of its own, as a team would write one: it takes signed webhooks, verifies each with the
 * reference library, keeps the newest value of each key and refuses everything else. The demo speaks to it over IPC.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { z } from "zod";
import { type Notice, orderSchema } from "./receiver-protocol.ts";

const MAX_BODY_BYTES = 64 * 1024;

const messageSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ping") }),
  z.object({
    type: z.literal("key.version.ready"),
    data: z.object({
      keyId: z.string(),
      keyName: z.string(),
      version: z.int(),
      revision: z.int(),
      fields: z.object({ secret: z.string() }),
    }),
  }),
]);

let webhook: Webhook | undefined;
/** Resolves when new values may be put to use. */
let ready = Promise.resolve();
let resume = (): void => undefined;
/** The newest revision held of each key: messages may come twice or out of order. */
const held = new Map<string, number>();

process.on("message", (message) => {
  const order = orderSchema.parse(message);
  switch (order.kind) {
    case "trust":
      webhook = new Webhook(order.signingSecret);
      break;
    case "pause":
      ({ promise: ready, resolve: resume } = Promise.withResolvers<void>());
      break;
    case "resume":
      resume();
      break;
  }
});
// Whoever started it is gone.
process.on("disconnect", () => process.exit(0));
// Ctrl-C reaches the whole process group; who started it ends it, last.
process.on("SIGINT", () => undefined);

const server = createServer((request, response) => {
  take(request)
    .then((status) => response.writeHead(status).end())
    .catch(() => response.writeHead(400).end());
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  tell({ kind: "listening", port });
});

/** Handles one message. Returns the status to answer with. */
async function take(request: IncomingMessage): Promise<number> {
  const body = await readBody(request);
  if (body === undefined) return 413;
  const verified = verify(body, request);
  if (verified === undefined) {
    tell({ kind: "refused" });
    return 401;
  }
  const message = messageSchema.parse(verified);
  if (message.type === "ping") {
    tell({ kind: "ping" });
    return 204;
  }
  const { keyId, keyName, version, revision, fields } = message.data;
  if ((held.get(keyId) ?? 0) >= revision) return 204;
  tell({ kind: "arrived", keyName, version });
  await ready;
  held.set(keyId, revision);
  const digest = createHash("sha256").update(fields.secret).digest("hex");
  tell({ kind: "installed", keyName, version, hint: fields.secret.slice(-4), digest });
  return 204;
}

/** The message, when its signature is right and its time is now. */
function verify(body: string, { headers }: IncomingMessage): unknown {
  const named = (name: string) => String(headers[name] ?? "");
  try {
    return webhook?.verify(body, {
      "webhook-id": named("webhook-id"),
      "webhook-timestamp": named("webhook-timestamp"),
      "webhook-signature": named("webhook-signature"),
    });
  } catch {
    return undefined;
  }
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.byteLength;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function tell(notice: Notice): void {
  process.send?.(notice);
}
