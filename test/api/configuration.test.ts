/** A deployment that lacks a setting says which one and how to set it, never what it holds. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { createApp } from "../../src/app.ts";
import { Keyring } from "../../src/keyring/keyring.ts";
import { makeKeyring, ROOT, type TestKeyring } from "../support/api.ts";
import { makeKey, objectOf, readTables } from "./fixtures.ts";

const app = createApp();
const CANARY = "canary-value-of-a-setting";
const OLD = env.MASTER_KEYS;
const NEW = `new:${Buffer.alloc(32, 9).toString("base64")}`;

async function ask(path: string, settings: object) {
  const headers = { authorization: `Bearer ${ROOT}` };
  const response = await app.request(path, { headers }, { ...env, ...settings });
  return { status: response.status, text: await response.text() };
}

describe("a deployment", () => {
  it.each([
    [{ MASTER_KEYS: undefined }, "MASTER_KEYS", "wrangler secret put MASTER_KEYS"],
    [{ MASTER_KEYS: "" }, "MASTER_KEYS", "id:base64"],
    [{ MASTER_KEYS: CANARY }, "MASTER_KEYS", "id:base64"],
    [{ MASTER_KEYS: `k1:${Buffer.alloc(31).toString("base64")}` }, "MASTER_KEYS", "32 bytes"],
    [{ ROOT_TOKEN: undefined }, "ROOT_TOKEN", "wrangler secret put ROOT_TOKEN"],
    [{ ROOT_TOKEN: "" }, "ROOT_TOKEN", "at least 24 characters"],
    [{ ROOT_TOKEN: `${ROOT},` }, "ROOT_TOKEN", "at least 24 characters"],
    [{ ROOT_TOKEN: `${ROOT},short` }, "ROOT_TOKEN", "at least 24 characters"],
    [{ PUBLIC_URL: CANARY }, "PUBLIC_URL", "such as https://"],
    [{ PUBLIC_URL: "ftp://rekey.acme.dev" }, "PUBLIC_URL", "such as https://"],
    [{ ALLOWED_ORIGINS: `https://chat.acme.dev,${CANARY}` }, "ALLOWED_ORIGINS", "a comma list of origins"],
    [{ ALLOWED_ORIGINS: "https://chat.acme.dev/" }, "ALLOWED_ORIGINS", "a comma list of origins"],
  ])("with %o serves nothing and names %s", async (settings, name, advice) => {
    const health = await ask("/healthz", settings);
    expect(health.status).toBe(503);
    const call = await ask("/v1/keys", settings);
    expect(call).toMatchObject({ status: 503 });
    expect(JSON.parse(call.text)).toMatchObject({ code: "not-configured" });
    for (const { text } of [health, call]) {
      expect(text).toContain(name);
      expect(text).toContain(advice);
      expect(text).not.toContain(CANARY);
      expect(text).not.toContain(ROOT);
    }
  });

  it("lets the pages call /mcp that it lists, and no others", async () => {
    const status = async (origin: string) => {
      const settings = { ALLOWED_ORIGINS: "https://chat.acme.dev, https://desk.acme.dev" };
      const init = { method: "POST", headers: { authorization: `Bearer ${ROOT}`, origin } };
      const response = await app.request("/mcp", init, { ...env, ...settings });
      const { code } = z.object({ code: z.string() }).parse(await response.json());
      return code;
    };
    // Past the look at the page, a root token is refused.
    expect(await status("https://chat.acme.dev")).toBe("access-key-required");
    expect(await status("https://desk.acme.dev")).toBe("access-key-required");
    expect(await status("https://acme.dev")).toBe("origin-refused");
  });

  it("names everything that is missing at once", async () => {
    const { text } = await ask("/healthz", { MASTER_KEYS: undefined, ROOT_TOKEN: undefined });
    expect(JSON.parse(text)).toMatchObject({
      ok: false,
      missing: [expect.stringContaining("MASTER_KEYS"), expect.stringContaining("ROOT_TOKEN")],
    });
  });

  it("answers a bug with a number to ask for and none of its message", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const get = () => {
      throw new Error(CANARY);
    };
    const { status, text } = await ask("/v1/keys", { REGISTRY: { idFromName: get, get } });
    expect(status).toBe(500);
    const { code, instance } = JSON.parse(text);
    expect({ code, instance }).toEqual({
      code: "internal",
      instance: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(text).not.toContain(CANARY);
    const lines = logged.mock.calls.map(String).join("\n");
    expect(lines).toContain(instance);
    expect(lines).not.toContain(CANARY);
    logged.mockRestore();
  });
});

describe("a keyring", () => {
  const CALL = { credential: { kind: "root" }, route: "GET /v1/keys/billing" } as const;

  /** Opens a keyring's object as if the Worker had been deployed with other master keys. */
  function openWith<T>(ring: TestKeyring, masterKeys: string, use: (keyring: Keyring) => T): Promise<T> {
    return runInDurableObject(objectOf(ring), async (_, state) => {
      const keyring = new Keyring(state, { ...env, MASTER_KEYS: masterKeys });
      // What its constructor waits for, the platform would have it wait for.
      await state.blockConcurrencyWhile(async () => undefined);
      return use(keyring);
    });
  }

  it("that is told where it is reached sends people there, whatever they called it by", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    const url = await runInDurableObject(objectOf(ring), async (_, state) => {
      const keyring = new Keyring(state, { ...env, PUBLIC_URL: "https://rekey.acme.dev/somewhere" } as Env);
      await state.blockConcurrencyWhile(async () => undefined);
      const call = { ...CALL, origin: "https://other.acme.dev" };
      const answer = await keyring.rotateKey(call, "billing", { reveal: "claim" }, 0);
      return answer.ok ? answer.value.claim?.url : undefined;
    });
    expect(url).toBe("https://rekey.acme.dev/v1/claims");
  });

  it("still opens when a new master key is put before the one that wraps it", async () => {
    const ring = await makeKeyring();
    const made = await makeKey(ring, "billing");
    const verdict = await openWith(ring, `${NEW},${OLD}`, (keyring) =>
      keyring.verify(null, "test", made.secret, []),
    );
    expect(verdict).toMatchObject({ ok: true, value: expect.stringContaining('"code":"valid"') });
  });

  it("is wrapped by the first master key when it is made", async () => {
    const ring = { code: "freshly0" };
    await runInDurableObject(objectOf(ring), (_, state) => {
      const keyring = new Keyring(state, { ...env, MASTER_KEYS: `${NEW},${OLD}` });
      expect(keyring.make({ name: "fresh", code: "freshly0" })).toEqual({ ok: true, value: null });
    });
    const { setting } = await readTables(ring);
    expect(setting).toContainEqual({ name: "masterKeyId", value: "new" });
  });

  it("whose master key was taken away says which one to add back", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    expect(await openWith(ring, NEW, (keyring) => keyring.getKey(CALL, "billing"))).toEqual({
      ok: false,
      error: { code: "not-configured", detail: expect.stringContaining('"test"') },
    });
  });

  it("does not open with other bytes under the same id", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    const wrong = `test:${Buffer.alloc(32, 8).toString("base64")}`;
    await expect(openWith(ring, wrong, (keyring) => keyring.getKey(CALL, "billing"))).rejects.toThrow();
  });

  it("that was never made is not made by opening it", async () => {
    const ring = { code: "nothing0" };
    const answer = await runInDurableObject(objectOf(ring), (keyring) => keyring.getKey(CALL, "billing"));
    expect(answer).toEqual({ ok: false, error: { code: "keyring-unknown" } });
    expect(await readTables(ring)).toEqual({});
  });
});
