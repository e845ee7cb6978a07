/** The two kinds of key that Rekey issues: the same machine, and two doors. */
import { describe, expect, it } from "vitest";
import { PROVIDERS } from "../../src/providers/registry.ts";
import { request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { quiet, ring } from "../support/inside.ts";
import { makeScene } from "../support/scene.ts";

describe("an access key", () => {
  it("opens the API before, during and after its rotation, the old one until its grace ends", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const { secret: old } = await scene.key({
      provider: "access",
      scopes: ["keys:read"],
      destinations: ["hook"],
      policy: { grace: "1h" },
    });
    const status = async (secret: string) => (await request(secret, "GET", "/v1/keys")).status;
    expect(await status(old)).toBe(200);
    await scene.rotate();
    await quiet(scene);
    const fresh = hook.secret ?? "";
    expect([await status(old), await status(fresh)]).toEqual([200, 200]);
    pass("1h");
    await ring(scene);
    expect([await status(old), await status(fresh)]).toEqual([401, 200]);
  });

  it("is the only kind that does: a customer's key with the same scopes opens nothing", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({ provider: "issuer", scopes: ["keys:read", "keys:write"] });
    expect(await scene.verdict(secret)).toBe("valid");
    const answer = await request<{ code: string }>(secret, "GET", "/v1/keys");
    expect(answer).toMatchObject({ status: 401, body: { code: "credential-unknown" } });
  });
});

describe("the issuers", () => {
  it("overlap as we like, so that a rotation never breaks a key", () => {
    for (const provider of [PROVIDERS.issuer, PROVIDERS.access]) expect(provider.overlap).toBe("ours");
  });

  it("make values with the key's prefix, the keyring's code and 74 digits after the last underscore", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ prefix: "sk_live", destinations: ["hook"] });
    await scene.rotate();
    await quiet(scene);
    expect(hook.secret).toMatch(new RegExp(`^sk_live_${scene.code}[0-9A-Za-z]{66}$`));
  });

  it("keep no value that nobody is to receive, only its hash", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const refused = await scene.keyring.call("PATCH", "/v1/keys/billing", {
      body: { destinations: [{ id: "hook" }] },
    });
    expect(refused.status).toBe(422);
    await scene.webhook("hook");
    const needs = await scene.keyring.call("PATCH", "/v1/keys/billing", {
      body: { destinations: [{ id: "hook" }] },
    });
    expect(needs).toMatchObject({ status: 409, body: { code: "needs-rotation" } });
    expect(await scene.verdict(secret)).toBe("valid");
  });
});
