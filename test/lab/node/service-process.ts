/**
 * The lab in a process of its own: it outlives whatever is done to Rekey, and remembers. It prints its address; `GET /inspect` tells
 * the truth of every service, `POST /make/<kind>/<label>` makes a credential by hand.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { KIND_NAMES } from "../kinds.ts";
import { Lab } from "../lab.ts";
import { createRandom } from "../random.ts";
import { whenOrphaned } from "./parent.ts";

/** Each call takes up to this long, and a mint four times that: its answer is what must not be lost. */
const MAX_DELAY_MS = Number(process.env.LAB_MAX_DELAY_MS ?? 0);
const MINT_TAKES = 4;

const random = createRandom(Number(process.env.LAB_SEED ?? 1));
const lab = new Lab({
  plan: (_, call) => ({ kind: "delay", ms: random() * MAX_DELAY_MS * (call === "mint" ? MINT_TAKES : 1) }),
});

const server = createServer((request, response) => {
  serve(request).then(
    (answer) => send(answer, response),
    () => response.writeHead(400).end(),
  );
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.log(`The lab listens at http://127.0.0.1:${port}`);
});

whenOrphaned(() => process.exit(0));

async function serve(incoming: IncomingMessage): Promise<Response> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
  const method = incoming.method ?? "GET";
  const url = new URL(incoming.url ?? "/", `http://${incoming.headers.host}`);
  const [, first, second, label = ""] = url.pathname.split("/");
  if (method === "GET" && first === "inspect") {
    return Response.json(Object.fromEntries([...lab.services].map(([name, one]) => [name, one.inspect()])));
  }
  if (method === "POST" && first === "make") {
    const kind = KIND_NAMES.find((name) => name === second);
    return kind ? Response.json(lab.service(kind).make(label)) : new Response(null, { status: 404 });
  }
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) headers.set(name, String(value));
  const body = method === "POST" ? { body: Buffer.concat(chunks).toString("utf8") } : {};
  return lab.handle(new Request(url, { method, headers, ...body }));
}

/** A connection that breaks has no status. */
async function send(answer: Response, response: ServerResponse): Promise<void> {
  if (answer.type === "error") {
    response.destroy();
    return;
  }
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.end(Buffer.from(await answer.arrayBuffer()));
}
