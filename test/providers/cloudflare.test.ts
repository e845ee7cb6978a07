/** Traps of Cloudflare's account tokens: what the service would do to who asks a little wrongly. */
import { http } from "msw";
import { describe, expect, it } from "vitest";
import { parseDuration } from "../../src/duration.ts";
import { Budgets } from "../../src/outbound/budget.ts";
import { cloudflare } from "../../src/providers/cloudflare.ts";
import { ACCOUNT, FakeCloudflare, POLICIES } from "../lab/services/cloudflare.ts";
import type { FakeCredential } from "../lab/services/fake.ts";
import { openAccount } from "../support/account.ts";
import { request } from "../support/api.ts";
import { benchOf, INTENT, mintedOf } from "../support/bench.ts";
import { quiet, runUntil } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { makeScene } from "../support/scene.ts";

const TIGHT = [
  {
    effect: "deny" as const,
    resources: { "com.cloudflare.api.account.zone.*": { nested: "*" } },
    permission_groups: [{ id: "tight" }],
  },
];

function begin(config: Record<string, unknown> = {}) {
  const fake = new FakeCloudflare();
  const connection = { config: { accountId: ACCOUNT }, credential: { secret: fake.manager } };
  return { fake, ...benchOf(fake, { connection, config }) };
}

const known = ({ secret, reference }: FakeCredential) => ({ fields: { secret }, reference });

describe("a new token", () => {
  it("has the policies and the condition of the old one, whatever the key's config says", async () => {
    const { fake, context } = begin({ policies: POLICIES });
    const condition = { request_ip: { in: ["192.0.2.0/24"] } };
    const old = fake.makeToken("billing", { policies: TIGHT, condition });
    const { reference } = mintedOf(await cloudflare.mint(context({ old: known(old) }), INTENT));
    expect(fake.tokens.get(reference)).toMatchObject({ policies: TIGHT, condition });
  });

  it("never gets an empty list of addresses, which would shut out everybody", async () => {
    const { fake, context } = begin();
    const condition = { request_ip: { in: [], not_in: ["192.0.2.0/24"] }, other: { in: [] } };
    const old = fake.makeToken("billing", { condition });
    const { fields, reference } = mintedOf(await cloudflare.mint(context({ old: known(old) }), INTENT));
    expect(fake.tokens.get(reference)?.condition).toEqual({ request_ip: { not_in: ["192.0.2.0/24"] } });
    expect(await cloudflare.test?.(context(), { fields, reference })).toMatchObject({ kind: "valid" });
  });

  it("that is the first has the policies in the key's config", async () => {
    const { fake, context } = begin({ policies: TIGHT });
    const { reference } = mintedOf(await cloudflare.mint(context(), INTENT));
    expect(fake.tokens.get(reference)?.policies).toEqual(TIGHT);
  });

  it("has them, too, when the old one is gone", async () => {
    const { fake, context } = begin({ policies: TIGHT });
    const old = { fields: { secret: "gone" }, reference: "gone" };
    const { reference } = mintedOf(await cloudflare.mint(context({ old }), INTENT));
    expect(fake.tokens.get(reference)?.policies).toEqual(TIGHT);
  });

  it.each([
    ["there is no old one", undefined],
    ["the old one is gone", { fields: { secret: "gone" }, reference: "gone" }],
  ])("is refused without any policies when %s, and nothing is made", async (_, old) => {
    const { went, context } = begin();
    const result = await cloudflare.mint(context({ old }), INTENT);
    expect(result).toMatchObject({ kind: "refused", problem: expect.stringContaining("policies") });
    expect(went.map(({ method }) => method)).not.toContain("POST");
  });

  it("is not asked for when the old one cannot be read, and is tried again", async () => {
    const { fake, went, context } = begin({ policies: POLICIES });
    fake.fail("show", "error-before");
    const old = known(fake.makeToken("billing"));
    expect(await cloudflare.mint(context({ old }), INTENT)).toMatchObject({ kind: "postponed" });
    expect(went).toHaveLength(1);
  });

  it("ends when it was asked to, in whole seconds", async () => {
    const { context } = begin({ policies: POLICIES, lifetime: "30d" });
    const now = Date.UTC(2040, 0, 1) + 123;
    const { expiresAt } = mintedOf(await cloudflare.mint(context({ now }), INTENT));
    expect(expiresAt).toBe(Date.UTC(2040, 0, 31));
  });

  it("that follows one with an end has an end, after as long a time", async () => {
    const { fake, context } = begin();
    // Issued on the first of January.
    const old = known(fake.makeToken("by hand", { expires_on: "2026-01-11T00:00:00Z" }));
    const now = Date.UTC(2040, 0, 1);
    const { expiresAt } = mintedOf(await cloudflare.mint(context({ old, now }), INTENT));
    expect(expiresAt).toBe(Date.UTC(2040, 0, 11));
  });

  it("is in nobody's hands when a 200 says that there was a failure", async () => {
    const { fake, context } = begin({ policies: POLICIES });
    const body = { success: false, errors: [{ code: 1001, message: "no" }], result: null };
    network.use(http.post(`${fake.origin}/*`, () => Response.json(body)));
    expect(await cloudflare.mint(context(), INTENT)).toMatchObject({ kind: "refused" });
  });

  it("waits when the calls of five minutes are used up", async () => {
    const { went, context } = begin({ policies: POLICIES });
    const result = await cloudflare.mint(context({ spend: () => 250 }), INTENT);
    expect(result).toMatchObject({ kind: "postponed", retryAfterMs: 250 });
    expect(went).toEqual([]);
  });
});

describe("what the account may ask for", () => {
  it("is 1,200 calls in five minutes, of each account by itself", () => {
    const budgets = new Budgets();
    const take = (account: string, now: number) => budgets.take(account, cloudflare.rateLimit, now, true);
    expect(Array.from({ length: 1_200 }, () => take("one", 0)).every((waitMs) => waitMs === 0)).toBe(true);
    expect(take("one", 0)).toBe(250);
    expect(take("other", 0)).toBe(0);
    expect(take("one", 250)).toBe(0);
    expect(take("one", 250)).toBe(250);
  });
});

describe("looking for what an attempt made", () => {
  it("reads every page, and takes no marker for another that it begins", async () => {
    const { fake, context } = begin({ policies: POLICIES });
    for (let index = 0; index < 25; index++) fake.makeToken(`person ${index}`, {}, true);
    fake.makeToken("billing rekey-rot_01-10");
    const { reference } = mintedOf(await cloudflare.mint(context(), INTENT));
    const found = await cloudflare.find?.(context({ name: "renamed" }), INTENT.marker);
    expect(found).toMatchObject({ kind: "listed", references: [reference] });
  });

  it("finds nothing out when one page fails", async () => {
    const { fake, context } = begin();
    for (let index = 0; index < 25; index++) fake.makeToken(`person ${index}`, {}, true);
    fake.fail("list", "slow-body");
    fake.fail("list", "error-before");
    expect(await cloudflare.find?.(context(), INTENT.marker)).toMatchObject({ kind: "failed" });
  });
});

describe("the test of a token", () => {
  it("is made with the token itself", async () => {
    const { fake, went, context } = begin();
    const token = fake.makeToken("billing");
    await cloudflare.test?.(context(), known(token));
    expect(went.map(({ headers }) => headers.get("authorization"))).toEqual([`Bearer ${token.secret}`]);
  });

  it("takes one that is disabled for rejected, and one that may not be used from here for unclear", async () => {
    const { fake, context } = begin();
    const disabled = fake.makeToken("billing", { status: "disabled" });
    expect(await cloudflare.test?.(context(), known(disabled))).toMatchObject({ kind: "rejected" });
    network.use(http.get(`${fake.origin}/*`, () => Response.json({ success: false }, { status: 403 })));
    expect(await cloudflare.test?.(context(), known(disabled))).toMatchObject({ kind: "indeterminate" });
  });
});

describe("the end of a token", () => {
  it("begins with disabling it, which keeps its name and its policies", async () => {
    const { fake, context } = begin();
    const token = fake.makeToken("billing", { policies: TIGHT });
    expect(await cloudflare.disable?.(context(), known(token))).toMatchObject({ kind: "revoked" });
    expect(fake.tokens.get(token.reference)).toMatchObject({
      name: "billing",
      policies: TIGHT,
      status: "disabled",
    });
    expect(fake.isLive(token)).toBe(true);
  });

  it("is reached when it is gone already", async () => {
    const { context } = begin();
    const gone = { fields: undefined, reference: "gone" };
    expect(await cloudflare.disable?.(context(), gone)).toMatchObject({ kind: "revoked" });
    expect(await cloudflare.revoke?.(context(), gone)).toMatchObject({ kind: "revoked" });
  });

  it("may wait until it is idle: the service says when it was last used, and whether it ever was", async () => {
    const { fake, context } = begin();
    const never = fake.makeToken("a");
    const used = fake.makeToken("b", { lastUsedOn: "2026-02-01T10:00:00Z" });
    expect(await cloudflare.lastUsed?.(context(), known(never))).toMatchObject({ kind: "told", at: null });
    expect(await cloudflare.lastUsed?.(context(), known(used))).toMatchObject({
      at: Date.UTC(2026, 1, 1, 10),
    });
  });
});

describe("a key at Cloudflare", () => {
  async function connect() {
    const fake = new FakeCloudflare();
    network.use(http.all(`${new URL(fake.origin).origin}/*`, ({ request }) => fake.answer(request)));
    const scene = await makeScene();
    await scene.must("POST", "/v1/connections", {
      name: "account",
      provider: "cloudflare",
      config: { accountId: ACCOUNT },
      credential: { secret: fake.manager },
    });
    await scene.webhook("hook");
    const key = { name: "billing", provider: "cloudflare", connection: "account" };
    return { fake, scene, key: { ...key, destinations: [{ id: "hook" }], policy: { grace: "1h" } } };
  }

  it("has its old token disabled before it is deleted", async () => {
    const { fake, scene, key } = await connect();
    const old = fake.makeToken("by hand");
    const adopted = { ...key, fields: { secret: old.secret }, reference: old.reference };
    await scene.must("POST", "/v1/keys", adopted);
    await quiet(scene);
    await scene.rotate();
    await runUntil(scene, Date.now() + parseDuration("2h"));
    const calls = fake.journal.map((line) => line.split(" ")[0]);
    expect(calls.slice(-4)).toEqual(["show", "disable", "revoke", "test"]);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });

  it("is not adopted without the id of its token", async () => {
    const { fake, scene, key } = await connect();
    const body = { ...key, fields: { secret: fake.makeToken("by hand").secret } };
    const { status, body: problem } = await scene.keyring.call("POST", "/v1/keys", { body });
    expect(status).toBe(422);
    expect(JSON.stringify(problem)).toContain('"reference"');
  });

  it("keeps its old token until Cloudflare says that the new one is used and the old one is not", async () => {
    const { fake, scene, key } = await connect();
    const policy = { grace: "1h", maxGrace: "3d", revokeWhen: ["newSeen", "oldIdle:1h"] };
    const old = fake.makeToken("by hand");
    const adopted = { ...key, policy, fields: { secret: old.secret }, reference: old.reference };
    await scene.must("POST", "/v1/keys", adopted);
    await quiet(scene);
    await scene.rotate();
    await runUntil(scene, Date.now() + parseDuration("6h"));
    expect(await scene.stages()).toEqual(["previous", "current"]);
    const [ending] = await scene.events("key.grace.ending");
    expect(ending?.data.waitsFor).toContain("the new version was not seen yet");
    const fresh = fake.credentials.at(-1)?.reference ?? "";
    const token = fake.tokens.get(fresh);
    if (token) token.lastUsedOn = new Date().toISOString();
    await runUntil(scene, Date.now() + parseDuration("3h"));
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });
});

it("may open a connection by a key's value for more than root, where values go nowhere else", async () => {
  const fake = new FakeCloudflare();
  const { scene } = await openAccount(fake, {
    connection: { config: { accountId: ACCOUNT }, credential: { secret: fake.manager } },
    key: { config: { policies: POLICIES } },
  });
  const { secret } = await scene.startKey({
    name: "operator",
    provider: "access",
    scopes: ["settings:read", "settings:write", "keys:read", "keys:reveal"],
  });
  const connect = (config: Record<string, unknown>) =>
    request<{ errors?: { path: string }[] }>(secret, "POST", "/v1/connections", {
      body: { name: "second", provider: "cloudflare", config, credential: { key: "billing" } },
    });
  expect((await connect({ accountId: ACCOUNT })).status).toBe(201);
  const elsewhere = await connect({ accountId: ACCOUNT, baseUrl: "https://api.elsewhere.acme.dev" });
  expect(elsewhere.body.errors).toMatchObject([{ path: "config" }]);
});
