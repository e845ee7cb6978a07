/** Places in a Cloudflare account, through the whole engine: when a value counts as held, whose names are whose, and what the account shares. */
import { describe, expect, it } from "vitest";
import type { PlanView } from "../../src/keyring/operations/plan.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { PROVIDERS } from "../../src/providers/registry.ts";
import { expectInvalid, expectProblem, makeAccessKey, snapshot } from "../api/fixtures.ts";
import { ACCOUNT } from "../lab/services/cloudflare.ts";
import { NAMESPACE, SCRIPT, STORE } from "../lab/services/cloudflare-stores.ts";
import { serveCloudflare } from "../support/cloudflare.ts";
import { inside, quiet, ring, runUntil } from "../support/inside.ts";
import { makeScene, type Scene } from "../support/scene.ts";

const HOUR = 3_600_000;
const OTHER_ACCOUNT = "fedcba9876543210fedcba9876543210";

/** Each type, with settings for a place of its kind and the call that brings a value there. */
const TYPES: [type: string, config: Record<string, unknown>, write: string][] = [
  ["secrets-store", { storeId: STORE }, "change"],
  ["worker-secret", { script: SCRIPT }, "bind"],
  ["kv-rest", { namespaceId: NAMESPACE }, "write"],
];

/** A keyring with a connection `cloudflare` to an account. */
async function begin() {
  const { fake, connection } = serveCloudflare();
  const scene = await makeScene();
  const body = { name: "cloudflare", provider: "cloudflare", ...connection };
  const { id } = await scene.must<{ id: string }>("POST", "/v1/connections", body);
  return { fake, scene, connection: id };
}

interface Made {
  id: string;
  config: Record<string, unknown>;
}

function place(scene: Scene, type: string, config: object, name = "place"): Promise<Made> {
  return scene.must("POST", "/v1/destinations", {
    name,
    type,
    config: { connection: "cloudflare", ...config },
  });
}

describe.each(TYPES)("a destination of type %s", (type, config, write) => {
  it("gets the first value and each that follows", async () => {
    const { fake, scene } = await begin();
    await place(scene, type, config);
    const { secret } = await scene.key({ destinations: ["place"] });
    expect(fake.held("billing_secret")).toBe(secret);
    await scene.rotate();
    await quiet(scene);
    expect(await scene.stages()).toEqual(["previous", "current"]);
    expect(fake.held("billing_secret")).not.toBe(secret);
    expect(await scene.verdict(fake.held("billing_secret") ?? "")).toBe("valid");
  });

  it("keeps an old version for as long as a reader may still see it", async () => {
    const { scene } = await begin();
    await place(scene, type, config);
    await scene.key({ destinations: ["place"], policy: { grace: "0" } });
    const { id } = await scene.rotate();
    await quiet(scene);
    expect((await scene.rotation(id)).state).toBe("succeeded");
    const [old] = (await scene.read()).versions;
    expect(Date.parse(old?.graceEndsAt ?? "") - Date.now()).toBe(60_000);
  });

  it("names a connection by id or name, and only one to Cloudflare", async () => {
    const { scene, connection } = await begin();
    const made = await place(scene, type, config);
    expect(made.config).toMatchObject({ connection, names: "{key}_{field}" });
    await place(scene, type, { ...config, connection }, "by-id");
    for (const wrong of ["nobody", made.id]) {
      const body = { name: "wrong", type, config: { ...config, connection: wrong } };
      expectInvalid(await scene.keyring.call("POST", "/v1/destinations", { body }), "config.connection");
    }
    const body = { name: "wrong", type, config };
    expectInvalid(await scene.keyring.call("POST", "/v1/destinations", { body }), "config.connection");
  });

  it("keeps its connection from being deleted, or pointed at another account", async () => {
    const { fake, scene, connection } = await begin();
    const { id } = await place(scene, type, config);
    const { keyring } = scene;
    fake.journal.length = 0;
    const before = await snapshot(keyring);
    const deleted = await keyring.call("DELETE", "/v1/connections/cloudflare");
    expect(expectProblem(deleted, 409, "in-use").usedBy).toEqual([id]);
    const elsewhere = { config: { accountId: OTHER_ACCOUNT } };
    const moved = await keyring.call("PATCH", "/v1/connections/cloudflare", { body: elsewhere });
    expect(expectProblem(moved, 409, "in-use").usedBy).toEqual([id]);
    expect(fake.journal).toEqual([]);
    expect(await snapshot(keyring)).toEqual(before);
    expect(await scene.must("GET", "/v1/connections/cloudflare")).toMatchObject({
      id: connection,
      usedBy: [id],
    });
    await scene.must("DELETE", "/v1/destinations/place");
    expect((await keyring.call("DELETE", "/v1/connections/cloudflare")).status).toBe(204);
  });

  it("takes up its connection's new credential, and what waited is sent at once", async () => {
    const { fake, scene } = await begin();
    await place(scene, type, config);
    await scene.key({ destinations: ["place"] });
    fake.fail(write, "expired");
    const { id } = await scene.rotate();
    await scene.reaches(id, { step: "deliver" });
    await quiet(scene);
    for (const one of fake.live()) fake.end(one);
    expect(await scene.rotation(id)).toMatchObject({ live: true });
    const credential = { secret: fake.make("the next token").secret };
    await scene.must("PATCH", "/v1/connections/cloudflare", { credential });
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ live: false, state: "succeeded" });
    expect(await scene.verdict(fake.held("billing_secret") ?? "")).toBe("valid");
  });

  it("is written to by one key under each name, whatever it is called here", async () => {
    const { scene } = await begin();
    await place(scene, type, config);
    await place(scene, type, { ...config, names: "{key}" }, "bare");
    const { id } = await scene.key({ name: "billing_eu", destinations: ["place"] });
    const attempt = (name: string, destination: string) =>
      scene.keyring.call("POST", "/v1/keys", {
        body: { name: `other-${name}`, provider: "issuer", destinations: [{ id: destination, as: name }] },
      });
    const before = await snapshot(scene.keyring);
    // The same by another destination, and what one of its fields may be called.
    for (const taken of ["billing_eu_secret", "billing_eu_user"]) {
      expect(expectProblem(await attempt(taken, "bare"), 409, "target-taken").holder).toBe(id);
    }
    expect(expectProblem(await attempt("billing_eu", "place"), 409, "target-taken").holder).toBe(id);
    expect(await snapshot(scene.keyring)).toEqual(before);
    for (const [free, destination] of [
      ["billing", "place"],
      ["billing_eu_2_secret", "bare"],
      ["invoice", "bare"],
    ] as const) {
      expect((await attempt(free, destination)).status, free).toBe(201);
    }
    // And the other way round: a name that is taken by itself is in the way of every field that would be called so.
    expectProblem(await attempt("billing_eu_2", "place"), 409, "target-taken");
    await quiet(scene);
  });

  it("pointed to where another key writes is refused, and stays as it was", async () => {
    const { scene } = await begin();
    await place(scene, type, config);
    await place(scene, type, { ...config, names: "OTHER_{key}_{field}" }, "other");
    const { id } = await scene.key({ name: "one", destinations: [{ id: "place", as: "shared" }] });
    await scene.key({ name: "two", destinations: [{ id: "other", as: "shared" }] });
    const before = await snapshot(scene.keyring);
    const body = { config: { ...config, connection: "cloudflare" } };
    const refused = await scene.keyring.call("PATCH", "/v1/destinations/other", { body });
    expect(expectProblem(refused, 409, "target-taken").holder).toBe(id);
    expect(await snapshot(scene.keyring)).toEqual(before);
  });

  it("shows nothing of a value or the token anywhere, whatever went wrong", async () => {
    const { fake, scene } = await begin();
    await place(scene, type, config);
    const { secret } = await scene.key({ destinations: ["place"] });
    fake.fail("*", "garbage", 2);
    fake.fail("*", "error-after", 2);
    await scene.rotate();
    await runUntil(scene, Date.now() + HOUR);
    const secrets = [secret, fake.held("billing_secret") ?? "", ...fake.credentials.map((one) => one.secret)];
    for (const path of [
      "/v1/destinations",
      "/v1/deliveries",
      "/v1/events?limit=100",
      "/v1/rotations",
      "/v1/status",
    ]) {
      const text = JSON.stringify(await scene.must("GET", path));
      for (const one of secrets) expect(text, path).not.toContain(one);
    }
  });
});

describe("the Secrets Store", () => {
  it("holds a value once it is active, and is not written to again while that is pending", async () => {
    const { fake, scene } = await begin();
    await place(scene, "secrets-store", { storeId: STORE });
    await scene.key({ destinations: ["place"] });
    fake.pendingLooks = 9;
    fake.journal.length = 0;
    const { id } = await scene.rotate();
    await scene.reaches(id, { step: "deliver" });
    await quiet(scene);
    const delivery = (await scene.deliveries()).find(({ version }) => version === 2);
    expect(delivery).toMatchObject({ state: "pending", attempts: 1 });
    expect((await scene.rotation(id)).live).toBe(true);
    await runUntil(scene, Date.now() + HOUR);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(fake.journal.filter((line) => line.startsWith("change"))).toHaveLength(1);
    expect(await scene.verdict(fake.held("billing_secret") ?? "")).toBe("valid");
  });

  it("is written to anew when a delivery is sent again by hand", async () => {
    const { fake, scene } = await begin();
    await place(scene, "secrets-store", { storeId: STORE });
    const { secret } = await scene.key({ destinations: ["place"] });
    const [held] = fake.secrets;
    if (held) held.value = "changed by a person";
    const [delivery] = await scene.deliveries();
    await scene.must("POST", `/v1/deliveries/${delivery?.id}/replay`);
    await quiet(scene);
    expect(fake.held("billing_secret")).toBe(secret);
  });

  it("finds its own among more than one page shows", async () => {
    const { fake, scene } = await begin();
    for (let count = 0; count < 120; count++) {
      fake.secrets.push({
        id: `other-${count}`,
        name: `other_${count}`,
        comment: "",
        value: "x",
        next: undefined,
      });
    }
    fake.quota = 200;
    await place(scene, "secrets-store", { storeId: STORE });
    await scene.key({ destinations: ["place"] });
    await scene.rotate();
    await quiet(scene);
    expect(await scene.stages()).toEqual(["previous", "current"]);
    expect(fake.secrets.filter(({ name }) => name === "billing_secret")).toHaveLength(1);
  });

  it("that is full says so in words", async () => {
    const { fake, scene } = await begin();
    await place(scene, "secrets-store", { storeId: STORE });
    fake.othersSecrets = 100;
    await scene.key({ destinations: ["place"] });
    await ring(scene);
    const [unwell] = (await scene.must<{ items: { code: string }[] }>("GET", "/v1/destinations")).items;
    expect(unwell).toMatchObject({ state: "ready", lastCall: { status: 400 } });
    fake.othersSecrets = 0;
    await runUntil(scene, Date.now() + HOUR);
    expect(fake.held("billing_secret")).toBeDefined();
  });
});

describe("a Worker's secrets", () => {
  it("change in one deployment for all fields, and others stay as they are", async () => {
    const { fake, scene } = await begin();
    fake.bindings.set("OTHER", "kept");
    await place(scene, "worker-secret", { script: SCRIPT });
    await scene.key({ fields: { secret: "the-value-itself", user: "u" }, destinations: ["place"] });
    expect(fake.deployments).toBe(1);
    expect(Object.fromEntries(fake.bindings)).toEqual({
      OTHER: "kept",
      billing_secret: "the-value-itself",
      billing_user: "u",
    });
  });

  it("are said to deploy it by the dry run of a rotation, which does not", async () => {
    const { fake, scene } = await begin();
    await place(scene, "worker-secret", { script: SCRIPT });
    await scene.key({ destinations: ["place"] });
    const body = { dryRun: true };
    const { plan } = await scene.must<{ plan: PlanView }>("POST", "/v1/keys/billing/rotate", body);
    const { does = "" } = plan.steps.find(({ step }) => step === "deliver") ?? {};
    expect(does).toMatch(/; each delivery deploys the Worker shop$/);
    expect(fake.deployments).toBe(1);
  });
});

describe("Workers KV over REST", () => {
  it("that wrote only some of the names holds nothing yet", async () => {
    const { fake, scene } = await begin();
    await place(scene, "kv-rest", { namespaceId: NAMESPACE });
    fake.unwritable.add("billing_user");
    await scene.key({ fields: { secret: "the-value-itself", user: "u" }, destinations: ["place"] });
    expect((await scene.deliveries())[0]).toMatchObject({ state: "pending" });
    fake.unwritable.clear();
    await runUntil(scene, Date.now() + HOUR);
    expect((await scene.deliveries())[0]).toMatchObject({ state: "delivered" });
  });
});

describe("what a connection is allowed", () => {
  it("is shared by all that goes through it; what is too much was not sent, and comes later", async () => {
    const providers: Record<string, Provider> = PROVIDERS;
    const { cloudflare } = providers;
    if (!cloudflare) throw new Error("no provider");
    const { fake, scene } = await begin();
    await place(scene, "kv-rest", { namespaceId: NAMESPACE });
    await scene.must("POST", "/v1/destinations/place/test");
    try {
      providers.cloudflare = { ...cloudflare, rateLimit: { calls: 2, perMs: 5 * 60_000 } };
      for (const ok of [true, true, false]) {
        expect(await scene.must("POST", "/v1/connections/cloudflare/test")).toMatchObject({ ok });
      }
    } finally {
      providers.cloudflare = cloudflare;
    }
    fake.journal.length = 0;
    await scene.key({ destinations: ["place"] });
    expect(fake.journal).toEqual([]);
    const landing = await inside(scene, (store) =>
      store.deliveries.list(undefined, "", 10).map(({ landsUntil }) => landsUntil),
    );
    expect(landing).toEqual([null]);
    await runUntil(scene, Date.now() + 60_000);
    expect(fake.held("billing_secret")).toBeDefined();
  });

  it("is each connection's own", async () => {
    const { fake, scene } = await begin();
    await place(scene, "kv-rest", { namespaceId: NAMESPACE });
    const { secret } = fake.make("another token");
    await scene.must("POST", "/v1/connections", {
      name: "second",
      provider: "cloudflare",
      config: { accountId: ACCOUNT },
      credential: { secret },
    });
    expect(await scene.must("POST", "/v1/destinations/place/test")).toMatchObject({ ok: true });
  });
});

describe("an access key", () => {
  it("goes through no connection of anybody else's, and through its own gets its first value one cooldown later", async () => {
    const { fake, scene } = await begin();
    const { call } = await makeAccessKey(scene.keyring, ["settings:write", "keys:write"]);
    const make = (connection: string) => {
      const config = { connection, namespaceId: NAMESPACE };
      return call("POST", "/v1/destinations", { body: { name: "place", type: "kv-rest", config } });
    };
    // With the power of root's connection it could write over Rekey's own secrets and records.
    expectProblem(await make("cloudflare"), 403, "root-required");
    const { secret } = fake.make("a token of their own");
    const own = {
      name: "own",
      provider: "cloudflare",
      config: { accountId: ACCOUNT },
      credential: { secret },
    };
    expect((await call("POST", "/v1/connections", { body: own })).status).toBe(201);
    const made = await make("own");
    expect(made.body).toMatchObject({ opensAt: expect.any(String) });
    await scene.key({ destinations: ["place"] });
    expect(fake.pairs.size).toBe(0);
    await runUntil(scene, Date.now() + 2 * HOUR);
    expect(fake.pairs.size).toBe(1);
  });
});
