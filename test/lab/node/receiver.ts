/**
 * A webhook receiver that verifies with the reference library and keeps every version that it ever got. Each keyring has a path and
 * a signing secret of its own.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Webhook } from "standardwebhooks";
import { z } from "zod";

const messageSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ping") }),
  z.object({
    type: z.literal("key.version.ready"),
    data: z.object({
      keyName: z.string(),
      version: z.int(),
      revision: z.int(),
      fields: z.object({ secret: z.string() }),
    }),
  }),
]);

export interface Received {
  keyring: string;
  keyName: string;
  version: number;
  revision: number;
  secret: string;
  /** Milliseconds since the epoch. */
  at: number;
}

export class Receiver {
  readonly received: Received[] = [];
  /** Every address that was asked for. */
  readonly urls: string[] = [];
  /** Messages without a right signature. */
  refused = 0;
  readonly #webhooks = new Map<string, Webhook>();
  readonly #delayMs: () => number;
  readonly #server = createServer((request, response) => {
    this.#take(request)
      .catch(() => 400)
      .then((status) => response.writeHead(status).end());
  });

  /** @param delayMs how long each answer takes */
  constructor(delayMs: () => number) {
    this.#delayMs = delayMs;
  }

  /** @returns its host and port */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  trust(keyring: string, signingSecret: string): void {
    this.#webhooks.set(keyring, new Webhook(signingSecret));
  }

  /** What a key's consumer uses: what came with the highest revision. */
  newest(keyring: string, keyName: string): Received | undefined {
    return this.received
      .filter((one) => one.keyring === keyring && one.keyName === keyName)
      .reduce<Received | undefined>(
        (best, one) => (best && best.revision > one.revision ? best : one),
        undefined,
      );
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #take(request: IncomingMessage): Promise<number> {
    const url = request.url ?? "/";
    this.urls.push(url);
    const keyring = url.slice(1);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
    );
    const body = this.#verify(keyring, Buffer.concat(chunks).toString("utf8"), headers);
    if (body === undefined) {
      this.refused += 1;
      return 401;
    }
    const message = messageSchema.parse(body);
    const wait = this.#delayMs();
    await sleep(wait / 2);
    if (message.type === "key.version.ready") {
      const { keyName, version, revision, fields } = message.data;
      const { secret } = fields;
      this.received.push({ keyring, keyName, version, revision, secret, at: Date.now() });
    }
    await sleep(wait / 2);
    return 204;
  }

  #verify(keyring: string, text: string, headers: Record<string, string>): unknown {
    try {
      return this.#webhooks.get(keyring)?.verify(text, headers);
    } catch {
      return undefined;
    }
  }
}
