/**
 * A service that issues keys, as late as the first part of each path says (`/250/keys`). It knows each of its keys by what it is called, so
 * that a benchmark can have ten thousand there already, and says how often it was called.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const calls: Record<string, number> = {};
const revoked = new Set<string>();

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () =>
  process.send?.({ kind: "listening", port: (server.address() as AddressInfo).port }),
);

process.on("message", () => process.send?.({ kind: "calls", calls }));
// Whoever started it is gone.
process.on("disconnect", () => process.exit(0));
process.on("SIGINT", () => undefined);

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  for await (const _ of request);
  const [, late = "0", what = "", id = ""] = (request.url ?? "/").split("/");
  calls[late] = (calls[late] ?? 0) + 1;
  const lateMs = Number(late);
  if (lateMs > 0) await sleep(lateMs);
  const held = request.headers.authorization?.replace("Bearer service-secret-", "") ?? "";
  switch (`${request.method} ${what}`) {
    case "GET account":
      return send(response, 200, { account: late });
    case "POST keys": {
      const made = randomUUID();
      return send(response, 201, { id: made, secret: `service-secret-${made}` });
    }
    case "GET whoami":
      return revoked.has(held) ? send(response, 401, {}) : send(response, 200, { id: held });
    case "DELETE keys":
      revoked.add(id);
      return send(response, 200, {});
    default:
      return send(response, 404, {});
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
