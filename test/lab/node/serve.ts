/** `npm run lab`: every fake service as a real HTTP server on loopback, one port for all, until Ctrl-C. */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { listenForStop } from "../../../src/local/signals.ts";
import { describedFakes } from "../services/described.ts";
import { Desk } from "../services/desk.ts";
import type { Asked } from "../services/fake.ts";

const DEFAULT_PORT = 8790;
const HOST = "127.0.0.1";

const port = Number(process.env.LAB_PORT ?? DEFAULT_PORT);
let desk: Desk | undefined;

const server = createServer((request, response) => {
  serve(request, response).catch(() => response.destroy());
});
server.on("error", (error) => {
  console.error(`The lab cannot listen on ${HOST}:${port}: ${error.message}. LAB_PORT names another port.`);
  process.exitCode = 1;
});
server.listen(port, HOST, () => {
  const { port: given } = server.address() as AddressInfo;
  const page = readFileSync(new URL("../../../docs/http.md", import.meta.url), "utf8");
  desk = new Desk(`http://${HOST}:${given}`, Object.values(describedFakes(page)));
  console.log(describe(desk, `${HOST}:${given}`));
});
const stop = listenForStop();
void stop.received.then(() => {
  server.close(() => console.log("The lab has stopped."));
  server.closeAllConnections();
});

async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
  const body = new Uint8Array(Buffer.concat(chunks));
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) headers.set(name, String(value));
  const request: Asked = {
    url: new URL(incoming.url ?? "/", `http://${HOST}:${incoming.socket.localPort}`).href,
    method: incoming.method ?? "GET",
    headers,
    arrayBuffer: async () => body.buffer,
  };
  const answer = (await desk?.handle(request)) ?? new Response(null, { status: 503 });
  // A connection that breaks has no status.
  if (answer.type === "error") {
    response.destroy();
    return;
  }
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  for await (const part of answer.body ?? []) response.write(part);
  response.end();
}

/** What to do with it, for whoever started it. */
function describe(services: Desk, host: string): string {
  const pointers = services.names.flatMap((name) => services.begin(name) ?? []);
  const lines = pointers.flatMap(({ service, address, connection, key }) => [
    "",
    `${service} at ${address}`,
    `  POST /v1/connections ${JSON.stringify(connection)}`,
    ...(key ? [`  POST /v1/keys ${JSON.stringify(key)}`] : []),
  ]);
  return [
    `The lab runs at http://${host}. Every service there is a fake, and so is every secret.`,
    `Start Rekey so that it may call it: PRIVATE_ALLOWLIST=${host} npm start`,
    ...lines,
    "",
    `What was called and what lives: GET http://${host}/control/{service}`,
    `What goes wrong next:           POST http://${host}/control/{service}/faults {"call":"*","fault":"error-after","times":1}`,
    "docs/lab.md says more. Ctrl-C stops it.",
  ].join("\n");
}
