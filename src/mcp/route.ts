/**
 * /mcp: agents, by the Model Context Protocol over HTTP. Who asks is looked at before what is asked: the page that it comes from, the
 * credential, then the keyring. The protocol itself is in server.ts, which is loaded when it is first needed.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { type AppContext, askKeyring, callOf, readCredential } from "../api/auth.ts";
import { Problem } from "../api/problem.ts";
import { readConfig } from "../env.ts";
import type { Welcome } from "./server.ts";

/** Refuses requests that a browser sends for a page of somebody else. Programs send no Origin. */
function checkOrigin(c: AppContext): void {
  const origin = c.req.header("origin");
  if (origin === undefined) return;
  const config = readConfig(c.env);
  const { publicUrl, allowedOrigins = [] } = config.ok ? config.value : {};
  if (![ownOrigin(c.req.url), publicUrl, ...allowedOrigins].includes(origin))
    throw new Problem({ code: "origin-refused" });
}

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
    checkOrigin(c);
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

/** What every answer of this Worker says. */
function withOurs(c: AppContext, headers: Headers): Headers {
  const all = new Headers(headers);
  for (const name of ["cache-control", "x-content-type-options"]) {
    const ours = c.res.headers.get(name);
    if (ours !== null) all.set(name, ours);
  }
  return all;
}
