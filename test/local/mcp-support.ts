/** A Rekey on loopback with an access key in it, and ways to it: a proxy that adds the credential, and the official client. */
import { request as ask, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Client, type ClientOptions, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterEach } from "vitest";
import { z } from "zod";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { keepForAll, makeFolder, type Running as Program, serve } from "./support.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

export interface Rekey {
  origin: string;
  /** Sends a request as root, or with another credential, and answers its body. Fails unless the answer is a success. */
  call<Schema extends z.ZodType>(
    schema: Schema,
    method: string,
    path: string,
    body?: unknown,
    token?: string,
  ): Promise<z.output<Schema>>;
  /** Makes an access key. */
  makeAccessKey(input?: Record<string, unknown>): Promise<{ id: string; secret: string }>;
}

const createdSchema = z.object({ id: z.string(), secret: z.string() });

/** A Rekey that runs, and what ends it. */
export interface Running {
  origin: string;
  root: string;
  end(): void;
}

/** Starts a Rekey for all tests of a file, and a lab beside it, whose services it may call, when it is asked for. */
export async function startForAll(lab?: { port: number; program: Program }): Promise<Running> {
  const folder = makeFolder();
  const allowlist = lab && { PRIVATE_ALLOWLIST: `127.0.0.1:${lab.port}` };
  const program = await serve({ REKEY_DATA: folder, ...allowlist });
  const [, root = ""] = await program.printed(/^Root token.*\n\n +(\S+)$/m);
  const end = keepForAll([program, ...(lab ? [lab.program] : [])], folder);
  return { origin: program.origin, root, end };
}

let keyrings = 0;

/** A keyring of its own in a Rekey that runs. */
export async function openKeyring({ origin, root }: Running): Promise<Rekey> {
  keyrings += 1;
  const name = `ring-${keyrings}`;
  const call: Rekey["call"] = async (schema, method, path, body, token = root) => {
    const response = await fetch(`${origin}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        ...(token === root && { "rekey-keyring": name }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return schema.parse(text === "" ? null : JSON.parse(text));
  };
  await call(z.unknown(), "POST", "/v1/keyrings", { name });
  let count = 0;
  return {
    origin,
    call,
    makeAccessKey(input = {}) {
      count += 1;
      const body = { name: `access-${count}`, provider: "access", scopes: SCOPES, ...input };
      return call(createdSchema, "POST", "/v1/keys", body);
    },
  };
}

/** A proxy on loopback that adds a credential to whatever it passes on. Returns its origin. */
export async function startProxy(origin: string, token: string): Promise<string> {
  const { hostname, port } = new URL(origin);
  const server = createServer((incoming, response) => {
    const { method, url: path, headers } = incoming;
    const options = {
      hostname,
      port,
      method,
      path,
      headers: { ...headers, authorization: `Bearer ${token}` },
    };
    const passed = ask(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    incoming.pipe(passed);
  });
  closers.push(() => server.close());
  closers.push(() => server.closeAllConnections());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/**
 * The official client, connected with an access key. Closed after the test.
 * @param prepare before it connects
 */
export async function connect(
  origin: string,
  token: string,
  options: ClientOptions = { versionNegotiation: { mode: "auto" } },
  prepare: (client: Client) => void = () => undefined,
): Promise<Client> {
  const client = new Client({ name: "test-agent", version: "1.2.3" }, options);
  prepare(client);
  const transport = new StreamableHTTPClientTransport(new URL("/mcp", origin), {
    requestInit: { headers: { authorization: `Bearer ${token}` } },
  });
  await client.connect(transport);
  closers.push(() => client.close());
  return client;
}
