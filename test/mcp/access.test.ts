/** Who is let in at /mcp, and what others hear, before anything of the protocol is read. */
import { describe, expect, it } from "vitest";
import { ROOT, request } from "../support/api.ts";
import { makeMcpScene } from "./caller.ts";

const NOT_JSON = "{ this is no JSON-RPC";

describe("POST /mcp", () => {
  it("answers 401 with WWW-Authenticate to whoever has no credential, before it reads the body", async () => {
    const scene = await makeMcpScene();
    const { token } = await scene.caller();
    const broken = `${token.slice(0, -1)}${token.endsWith("0") ? "1" : "0"}`;
    const cases: [token: string | null, code: string][] = [
      [null, "credential-missing"],
      ["nonsense", "credential-unknown"],
      [broken, "credential-malformed"],
    ];
    for (const [credential, code] of cases) {
      const { status, headers, body } = await request(credential, "POST", "/mcp", { rawBody: NOT_JSON });
      expect({ status, code: body.code }, code).toEqual({ status: 401, code });
      expect(headers.get("www-authenticate")).toBe("Bearer");
    }
    const headers = { accept: "application/json, text/event-stream" };
    const known = await request<unknown>(token, "POST", "/mcp", { rawBody: NOT_JSON, headers });
    expect(known).toMatchObject({ status: 400, body: { error: { code: -32700 } } });
  });

  it("answers 401 to a key that opens nothing, and to one that was revoked", async () => {
    const scene = await makeMcpScene();
    const { secret = "" } = await scene.key({ name: "customer", provider: "issuer", scopes: ["keys:read"] });
    expect(await request(secret, "POST", "/mcp", { rawBody: NOT_JSON })).toMatchObject({
      status: 401,
      body: { code: "credential-unknown" },
    });
    const caller = await scene.caller();
    await scene.ring.call("POST", `/v1/keys/${caller.id}/revoke`, { body: { reason: "a test" } });
    expect(await caller.send("tools/list")).toMatchObject({
      status: 401,
      body: { code: "credential-revoked" },
    });
  });

  it("tells a root token how to make an access key", async () => {
    const { status, body } = await request(ROOT, "POST", "/mcp", { rawBody: NOT_JSON });
    expect({ status, code: body.code }).toEqual({ status: 403, code: "access-key-required" });
    expect(body.remedy).toContain("POST /v1/keys with provider access");
    // It opens no keyring, and so it is in no history.
    const { ring } = await makeMcpScene();
    expect(await ring.call("POST", "/mcp", { rawBody: NOT_JSON })).toMatchObject({ status: 403 });
    const events = await ring.call("GET", "/v1/events?type=root.used");
    expect(JSON.stringify(events.body)).not.toContain("POST /mcp");
  });

  it("refuses the pages of others, and no program", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const status = async (origin: string) =>
      (await caller.send("tools/list", {}, { headers: { origin } })).status;
    expect((await caller.send("tools/list")).status).toBe(200);
    expect(await status("https://rekey.test")).toBe(200);
    for (const origin of [
      "https://evil.example",
      "http://rekey.test",
      "null",
      "https://rekey.test.evil.example",
    ])
      expect(await status(origin), origin).toBe(403);
    // A page hears that even before it is asked for a credential.
    const nobody = await request(null, "POST", "/mcp", { headers: { origin: "https://evil.example" } });
    expect(nobody).toMatchObject({ status: 403, body: { code: "origin-refused" } });
  });

  it("lets its own pages ask from a browser and read the answer", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const origin = "https://rekey.test";
    const asked = await request(null, "OPTIONS", "/mcp", {
      headers: { origin, "access-control-request-method": "POST" },
    });
    expect(asked.status).toBe(204);
    expect(asked.headers.get("access-control-allow-methods")).toBe("POST");
    expect(asked.headers.get("access-control-allow-headers")).toContain("authorization");
    const refused = await request(null, "POST", "/mcp", { headers: { origin } });
    for (const { headers } of [
      asked,
      refused,
      await caller.send("tools/list", {}, { headers: { origin } }),
    ]) {
      expect(headers.get("access-control-allow-origin")).toBe(origin);
      expect(headers.get("vary")).toBe("origin");
    }
    const program = await caller.send("tools/list");
    expect(program.headers.get("access-control-allow-origin")).toBeNull();
    expect(program.headers.get("content-type")).toBe("application/json");
    expect(
      (await request(null, "OPTIONS", "/mcp", { headers: { origin: "https://evil.example" } })).status,
    ).toBe(403);
  });

  it("has no sessions to open or close, and stores nothing in caches", async () => {
    const scene = await makeMcpScene();
    const { token } = await scene.caller();
    for (const method of ["GET", "DELETE"]) {
      const { status, headers } = await request(token, method, "/mcp", {
        headers: { accept: "text/event-stream" },
      });
      expect(status, method).toBe(405);
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
    }
  });

  it("takes no more than other routes do", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { status } = await caller.send("tools/call", {
      name: "get_status",
      arguments: { x: "x".repeat(70_000) },
    });
    expect(status).toBe(413);
  });

  it("is no other keyring's", async () => {
    const [one, other] = [await makeMcpScene(), await makeMcpScene()];
    await one.key({ name: "mine", provider: "issuer" });
    const caller = await other.caller();
    expect(await caller.refusal("get_api_key", { key: "mine" })).toBe("not-found");
  });
});
