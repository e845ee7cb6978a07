/**
 * /mcp: agents, by the Model Context Protocol over HTTP. Who asks is looked at before what is asked: the page that it comes from, the
 * credential, then the keyring. The protocol itself is in server.ts, which is loaded when it is first needed.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { type AppContext, askKeyring, callOf, readCredential } from "../api/auth.ts";
import { Problem } from "../api/problem.ts";
import { readConfig } from "../env.ts";
import type { Welcome } from "./server.ts";

/**
 * The page that a browser asks for, or undefined where no browser does: programs send no Origin.
 * @throws for a page of somebody else
 */
function pageOf(c: AppContext): string | undefined {
  const origin = c.req.header("origin");
  if (origin === undefined) return undefined;
  const config = readConfig(c.env);
  const { publicUrl, allowedOrigins = [] } = config.ok ? config.value : {};
  if (![ownOrigin(c.req.url), publicUrl, ...allowedOrigins].includes(origin))
    throw new Problem({ code: "origin-refused" });
  return origin;
}

/** What lets a page read the answer, and ask at all. Pages send their credential themselves: no cookies. */
function open(c: AppContext, page: string): void {
  c.header("access-control-allow-origin", page);
  c.header("access-control-expose-headers", "www-authenticate, retry-after");
  c.header("vary", "origin");
  if (c.req.method !== "OPTIONS") return;
  c.header("access-control-allow-methods", "POST");
  c.header("access-control-allow-headers", PAGE_HEADERS);
  c.header("access-control-max-age", "600");
}

const PAGE_HEADERS = "authorization, content-type, accept, mcp-protocol-version, mcp-method, mcp-name";
const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Where the request came to, as far as that can be believed: without TLS a page of anybody may have had its own name point here, unless it
 * is a name that only ever means this machine.
 */
function ownOrigin(url: string): string | undefined {
  const { protocol, hostname, origin } = new URL(url);
  return protocol === "https:" || LOOPBACK.includes(hostname) ? origin : undefined;
}

export function addMcp(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.all("/mcp", async (c) => {
    const page = pageOf(c);
    if (page !== undefined) open(c, page);
    if (page !== undefined && c.req.method === "OPTIONS") return c.body(null, 204);
    if (readCredential(c).kind === "root") throw new Problem({ code: "access-key-required" });
    const base = callOf(c);
    const self = await askKeyring(c, base, (keyring, call) => keyring.whoAmI(call));
    const welcome: Welcome = (client, isDestructive) => ({
      self,
      ask: (work, reason) =>
        askKeyring(
          c,
          { ...base, agent: { client, isDestructive, ...(reason !== undefined && { reason }) } },
          work,
        ),
    });
    const { serveMcp } = await import("./server.ts");
    const { body, status, headers } = await serveMcp(c.req.raw, self.scopes, welcome);
    return new Response(body, { status, headers: withOurs(c, headers) });
  });
}

/** What this Worker says besides, of every answer and to a page. */
function withOurs(c: AppContext, headers: Headers): Headers {
  const all = new Headers(headers);
  for (const [name, value] of c.res.headers) all.set(name, value);
  return all;
}
