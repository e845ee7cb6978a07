/** A receiver that answers as fast as it can and checks nothing, so that what is measured is the sender. A held path answers after a minute. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Notice, orderSchema } from "./receiver-protocol.ts";

const SLOW_MS = 60_000;

const paths: Extract<Notice, { kind: "tally" }>["paths"] = {};
const held = new Set<string>();

const server = createServer((request, response) => {
  take(request).then(
    () => response.writeHead(204).end(),
    () => response.destroy(),
  );
});
// Between two rounds no connection ends that the sender still thinks open.
server.keepAliveTimeout = 10 * SLOW_MS;
server.listen(0, "127.0.0.1", () =>
  tell({ kind: "listening", port: (server.address() as AddressInfo).port }),
);

process.on("message", (message) => {
  const order = orderSchema.parse(message);
  if (order.kind === "hold") held.add(order.path);
  else tell({ kind: "tally", paths });
});
// Whoever started it is gone.
process.on("disconnect", () => process.exit(0));
process.on("SIGINT", () => undefined);

async function take(request: IncomingMessage): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  const body = Buffer.concat(chunks).toString("utf8");
  const path = (request.url ?? "/").slice(1);
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
  );
  paths[path] = { count: (paths[path]?.count ?? 0) + 1, headers, body };
  if (held.has(path) && !body.startsWith('{"type":"ping"')) await sleep(SLOW_MS);
}

function tell(notice: Notice): void {
  process.send?.(notice);
}
