import { expect, it } from "vitest";
import { makeKeyring, request } from "../support/api.ts";

it("answers tools/list and a call", async () => {
  const ring = await makeKeyring();
  const made = await ring.call<{ secret: string }>("POST", "/v1/keys", {
    body: { name: "agent", provider: "access", scopes: ["keys:rotate", "keys:reveal", "keys:read"] },
  });
  const token = made.body.secret;
  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "t", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const call = async (method: string, params: Record<string, unknown>, name?: string) => {
    const r = await request<unknown>(token, "POST", "/mcp", {
      body: { jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: meta } },
      headers: {
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
        ...(name && { "mcp-name": name }),
      },
    });
    console.log(r.status, JSON.stringify(r.body, null, 1).slice(0, 6000));
    return r;
  };
  await call("tools/list", {});
  await call("tools/call", { name: "rotate_api_key", arguments: {} }, "rotate_api_key");
  await call(
    "tools/call",
    { name: "rotate_api_key", arguments: { confirm: "rotate-now", reveal: "inline", reason: "why" } },
    "rotate_api_key",
  );
  expect(1).toBe(1);
});
