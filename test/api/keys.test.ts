import { describe, expect, it } from "vitest";
import { makeKeyring } from "../support/api.ts";

describe("creating a key", () => {
  it("shows the issued value once and verifies it", async () => {
    const ring = await makeKeyring();
    const made = await ring.call<{ id: string; secret: string }>("POST", "/v1/keys", {
      body: { name: "billing", provider: "issuer", prefix: "sk_live" },
    });
    expect(made.status).toBe(201);
    expect(made.body.secret).toMatch(/^sk_live_[0-9A-Za-z]{74}$/);
    const read = await ring.call("GET", "/v1/keys/billing");
    expect(JSON.stringify(read.body)).not.toContain(made.body.secret);
    const verdict = await ring.call("POST", "/v1/verify", { body: { key: made.body.secret } });
    expect(verdict.body).toMatchObject({ code: "valid", keyId: made.body.id, version: 1 });
  });
});
