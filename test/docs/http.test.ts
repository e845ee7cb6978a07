/** The page about services that are described: its examples work as they stand, and what it says is refused is refused. */
import { http } from "msw";
import { describe, expect, it } from "vitest";
import page from "../../docs/http.md?raw";
import { parseDuration } from "../../src/duration.ts";
import type { ConnectionView } from "../../src/keyring/operations/connections.ts";
import { makeAccessKey } from "../api/fixtures.ts";
import { describedAs } from "../lab/services/described.ts";
import type { FakeService } from "../lab/services/fake.ts";
import { FakeNeon } from "../lab/services/neon.ts";
import { FakeResend } from "../lab/services/resend.ts";
import { FakeSpaces } from "../lab/services/spaces.ts";
import { quiet, runUntil } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { makeScene, type Scene } from "../support/scene.ts";

const SERVICES = {
  resend: () => new FakeResend(),
  neon: () => new FakeNeon(),
  spaces: () => new FakeSpaces(),
} as const;

type Name = keyof typeof SERVICES;

/** The account that the page describes, its credential that of the fake. */
async function connect(name: Name) {
  const fake = SERVICES[name]();
  network.use(http.all(`${new URL(fake.origin).origin}/*`, ({ request }) => fake.answer(request)));
  const scene = await makeScene();
  await scene.kv("kv", { propagation: "0" });
  const { connection, key } = describedAs(page, name);
  const [field = ""] = Object.keys(connection.credential ?? {});
  const body = { ...connection, credential: { [field]: fake.admin } };
  const made = await scene.must<ConnectionView>("POST", "/v1/connections", body);
  return { fake, scene, connection: body, key, made };
}

async function makeKey(scene: Scene, fake: FakeService, key: object): Promise<void> {
  await scene.must("POST", "/v1/keys", key);
  await quiet(scene);
  fake.journal.length = 0;
}

describe.each(Object.keys(SERVICES) as Name[])("the example for %s", (name) => {
  it("is let in, makes a key, rotates it and sees the old one dead", async () => {
    const { fake, scene, key, made } = await connect(name);
    expect(JSON.stringify(made)).not.toContain(fake.admin);
    const tried = await scene.must<{ ok: boolean }>("POST", `/v1/connections/${name}/test`);
    expect(tried.ok).toBe(true);
    await makeKey(scene, fake, key);
    const before = await scene.inKv(key.name);
    await scene.rotate(key.name, { grace: "1h" });
    await runUntil(scene, Date.now() + parseDuration("2h"));
    const after = await scene.inKv(key.name);
    expect(after).not.toBe(before);
    const [one, ...more] = fake.live();
    expect(more).toEqual([]);
    const value = name === "spaces" ? JSON.parse(after ?? "{}") : { secret: after };
    expect(value).toEqual({
      secret: one?.secret,
      ...(name === "spaces" && { access_key: one?.reference }),
    });
    expect((await scene.read(key.name)).versions).toMatchObject([{ stage: "revoked", confirmed: true }, {}]);
  });

  it("is not let in with another credential", async () => {
    const { scene, connection } = await connect(name);
    const [field = ""] = Object.keys(connection.credential);
    const body = { ...connection, name: "another", credential: { [field]: "not-the-admin" } };
    const answer = await scene.keyring.call("POST", "/v1/connections", { body });
    expect(answer).toMatchObject({ status: 409, body: { code: "connection-rejected" } });
  });
});

describe("a connection that is saved", () => {
  it.each<[what: string, change: object, path: string]>([
    ["a word that means nothing", { mint: { json: { name: "{{nonsense}}" } } }, "config.mint.json.name"],
    [
      "a secret in an address",
      { revoke: { url: "https://api.resend.com/{{value.secret}}" } },
      "config.revoke.url",
    ],
    ["a private host", { preflight: { url: "https://10.0.0.1/x" } }, "config"],
    ["a host that is no name", { preflight: { url: "https://localhost/x" } }, "config"],
  ])("with %s is refused, and the answer names the field", async (_, change, path) => {
    const { scene, connection } = await connect("resend");
    const [[part, more] = ["", {}]] = Object.entries(change);
    const config = { ...connection.config, [part]: { ...(connection.config?.[part] as object), ...more } };
    const body = { ...connection, name: "another", config };
    const answer = await scene.keyring.call<{ errors: { path: string }[] }>("POST", "/v1/connections", {
      body,
    });
    expect(answer.status).toBe(422);
    expect(answer.body.errors.map((error) => error.path)).toContain(path);
  });

  it("has exactly the credential that its settings name", async () => {
    const { scene, connection } = await connect("resend");
    for (const [credential, path] of [
      [undefined, "credential"],
      [{ token: "x" }, "credential.secret"],
      [{ secret: "x", token: "y" }, "credential.token"],
    ] as const) {
      const body = { ...connection, name: "another", credential };
      const answer = await scene.keyring.call<{ errors: { path: string }[] }>("POST", "/v1/connections", {
        body,
      });
      expect(answer.status).toBe(422);
      expect(answer.body.errors.map((error) => error.path)).toContain(path);
    }
  });

  it("asks each key for the settings and fields that it names", async () => {
    const { scene, key } = await connect("spaces");
    const refused = async (body: object) =>
      (
        await scene.keyring.call<{ errors: { path: string }[] }>("POST", "/v1/keys", { body })
      ).body.errors.map(({ path }) => path);
    expect(await refused({ ...key, config: {} })).toEqual(["config.grants"]);
    expect(await refused({ ...key, config: { ...key.config, region: "x" } })).toEqual(["config.region"]);
    expect(await refused({ ...key, fields: { secret: "a-value-of-a-person" } })).toEqual([
      "fields.access_key",
      "reference",
    ]);
  });

  it("whose service ends the old key is no surprise to a shared policy either", async () => {
    const { scene, connection, key } = await connect("neon");
    const config = { ...connection.config, overlap: { kind: "none" } };
    await scene.must("POST", "/v1/connections", { ...connection, name: "strict", config });
    await scene.must("POST", "/v1/policies", { name: "unplanned", policy: {} });
    await scene.must("POST", "/v1/keys", { ...key, connection: "strict", policy: "unplanned" });
    await quiet(scene);
    const body = { policy: { maxAge: "30d" } };
    const answer = await scene.keyring.call("PATCH", "/v1/policies/unplanned", { body });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ path: "policy.allowDowntime" }] } });
  });
});

describe("a change of a connection that keys use", () => {
  async function inUse() {
    const begun = await connect("resend");
    await makeKey(begun.scene, begun.fake, begun.key);
    const patch = (body: object, call = begun.scene.keyring.call) =>
      call<{ code: string; usedBy: string[] }>("PATCH", "/v1/connections/resend", { body });
    const config = begun.connection.config as Record<string, Record<string, unknown>>;
    return { ...begun, patch, config };
  }

  it.each<[what: string, change: (config: Record<string, Record<string, unknown>>) => object]>([
    ["its overlap", () => ({ overlap: { kind: "none" } })],
    ["an ability", () => ({ test: undefined })],
    ["a host", ({ test }) => ({ test: { ...test, url: "https://api.acme.dev/me" } })],
    [
      "the fields of a value",
      ({ mint }) => ({
        mint: { ...mint, answer: { fields: { secret: "/token", user: "/user" }, reference: "/id" } },
      }),
    ],
    [
      "the settings of its keys",
      ({ mint }) => ({ mint: { ...mint, json: { name: "{{marker}}", team: "{{config.team}}" } } }),
    ],
  ])("in %s is refused, whoever asks", async (_, change) => {
    const { scene, patch, config, key } = await inUse();
    const answer = await patch({ config: { ...config, ...change(config) } });
    const { id } = await scene.read(key.name);
    expect(answer).toMatchObject({ status: 409, body: { code: "in-use", usedBy: [id] } });
  });

  it("in anything else is root's alone", async () => {
    const { scene, fake, patch, config, key } = await inUse();
    const { call } = await makeAccessKey(scene.keyring, ["settings:write", "settings:read"]);
    const test = { ...config.test, url: "https://api.resend.com/api-keys?limit=1&x=1" };
    expect((await patch({ config: { ...config, test } }, call)).body.code).toBe("root-required");
    expect((await patch({ config: { ...config, test } })).status).toBe(200);
    await scene.rotate(key.name);
    await quiet(scene);
    expect((await scene.rotations(key.name))[0]).toMatchObject({ state: "succeeded" });
    expect(fake.journal.join("\n")).toContain("test GET /api-keys 200");
  });

  it("is nobody's but root's either while it keeps a credential that somebody else gave", async () => {
    const { scene, connection, fake } = await connect("resend");
    const { call } = await makeAccessKey(scene.keyring, ["settings:write", "settings:read"]);
    const { config } = connection;
    const patch = (body: object) => call<{ code: string }>("PATCH", "/v1/connections/resend", { body });
    expect((await patch({ config })).body.code).toBe("root-required");
    expect((await patch({ config, credential: { secret: fake.admin } })).status).toBe(200);
    expect((await patch({ name: "mails" })).status).toBe(200);
  });

  it("takes a new credential where its settings name other fields", async () => {
    const { scene, connection } = await connect("resend");
    const text = JSON.stringify(connection.config).replaceAll("credential.secret", "credential.token");
    const answer = await scene.keyring.call("PATCH", "/v1/connections/resend", {
      body: { config: JSON.parse(text) },
    });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ path: "credential" }] } });
  });
});
