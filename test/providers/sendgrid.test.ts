/** Traps of SendGrid: a key without scopes that may do everything, a full account, two hosts, keys that outlive their end. */
import { http } from "msw";
import { describe, expect, it } from "vitest";
import { parseDuration } from "../../src/duration.ts";
import { sendgrid } from "../../src/providers/sendgrid.ts";
import type { FakeCredential } from "../lab/services/fake.ts";
import { FakeSendgrid } from "../lab/services/sendgrid.ts";
import { benchOf, INTENT, mintedOf } from "../support/bench.ts";
import { pass } from "../support/clock.ts";
import { quiet, runUntil } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { makeScene } from "../support/scene.ts";

function begin(config: Record<string, unknown> = {}, fake = new FakeSendgrid()) {
  const connection = { config: { baseUrl: fake.origin }, credential: { secret: fake.admin } };
  return { fake, ...benchOf(fake, { connection, config }) };
}

const known = ({ secret, reference }: FakeCredential) => ({ fields: { secret }, reference });

describe("a new key", () => {
  it("has the scopes of the old one, whatever the key's config says", async () => {
    const { fake, context } = begin({ scopes: ["mail.send"] });
    const old = known(fake.makeKey("by hand", ["templates.read", "stats.read"]));
    const { reference } = mintedOf(await sendgrid.mint(context({ old }), INTENT));
    expect(fake.scopes.get(reference)?.slice(0, 2)).toEqual(["templates.read", "stats.read"]);
    expect(fake.broken).toEqual([]);
  });

  it("reads them from an answer that is not wrapped in a list, too", async () => {
    const { fake, context } = begin();
    const one = { api_key_id: "old", name: "by hand", scopes: ["stats.read"] };
    network.use(http.get(`${fake.origin}/api_keys/old`, () => Response.json(one)));
    const old = { fields: undefined, reference: "old" };
    const { reference } = mintedOf(await sendgrid.mint(context({ old }), INTENT));
    expect(fake.scopes.get(reference)).toContain("stats.read");
  });

  it.each<[string, string[] | undefined, Record<string, unknown>]>([
    ["there is no old one", undefined, {}],
    ["the old one has only what every key has", [], { scopes: ["mail.send"] }],
  ])("is never asked for without scopes: %s", async (_, scopes, config) => {
    const { fake, went, context } = begin(config);
    const old = scopes && known(fake.makeKey("by hand", scopes));
    const result = await sendgrid.mint(context({ old }), INTENT);
    expect(result).toMatchObject({ kind: "refused", problem: expect.stringContaining("everything") });
    expect(went.map(({ method }) => method)).not.toContain("POST");
  });

  it("is not asked for when the old one's scopes cannot be read", async () => {
    const { fake, context } = begin({ scopes: ["mail.send"] });
    const old = known(fake.makeKey("by hand", ["stats.read"]));
    fake.fail("show", "garbage");
    expect(await sendgrid.mint(context({ old }), INTENT)).toMatchObject({ kind: "postponed" });
    expect(fake.journal).toHaveLength(1);
  });

  it("is refused in words where the account turns out to be full", async () => {
    const { fake, context } = begin({ scopes: ["mail.send"] });
    for (let index = 0; index < 100; index++) fake.makeKey(`person ${index}`, ["mail.send"], true);
    const result = await sendgrid.mint(context(), INTENT);
    expect(result).toMatchObject({ kind: "refused", problem: expect.stringContaining("100 keys") });
  });

  it("carries the marker, by which it is found", async () => {
    const { fake, context } = begin({ scopes: ["mail.send"] });
    fake.makeKey("billing rekey-rot_01-11");
    const { reference } = mintedOf(await sendgrid.mint(context(), INTENT));
    expect(await sendgrid.find?.(context(), INTENT.marker)).toMatchObject({ references: [reference] });
  });
});

it.each([403, 429, 500])(
  "says nothing of a key whose test is answered %i: it may lack that one scope",
  async (status) => {
    const { fake, context } = begin({ scopes: ["mail.send"] });
    const made = mintedOf(await sendgrid.mint(context(), INTENT));
    network.use(http.get(`${fake.origin}/scopes`, () => Response.json({ errors: [] }, { status })));
    expect(await sendgrid.test?.(context(), made)).toMatchObject({ kind: "indeterminate" });
  },
);

describe("an account in the EU", () => {
  it("is reached at its own address and nowhere else", async () => {
    const { went, context } = begin({ scopes: ["mail.send"] }, new FakeSendgrid("api.eu.sendgrid.com"));
    const made = mintedOf(await sendgrid.mint(context(), INTENT));
    await sendgrid.test?.(context(), made);
    await sendgrid.revoke?.(context(), made);
    expect(new Set(went.map(({ url }) => new URL(url).host))).toEqual(new Set(["api.eu.sendgrid.com"]));
  });
});

describe("a revoked key", () => {
  it("is accepted for a moment more, and refused then", async () => {
    const { fake, context } = begin();
    const one = fake.makeKey("billing");
    await sendgrid.revoke?.(context(), known(one));
    expect(await sendgrid.test?.(context(), known(one))).toMatchObject({ kind: "valid" });
    pass("10s");
    expect(await sendgrid.test?.(context(), known(one))).toMatchObject({ kind: "rejected" });
    expect(await sendgrid.revoke?.(context(), known(one))).toMatchObject({ kind: "revoked" });
  });
});

describe("a rotation in a full account", () => {
  it("waits for a slot, deletes nothing, and goes on once a person has made room", async () => {
    const fake = new FakeSendgrid();
    network.use(http.all(`${new URL(fake.origin).origin}/*`, ({ request }) => fake.answer(request)));
    const old = fake.makeKey("by hand");
    const strangers = Array.from({ length: 99 }, (_, at) =>
      fake.makeKey(`person ${at}`, ["mail.send"], true),
    );
    const scene = await makeScene();
    await scene.webhook("hook");
    const credential = { secret: fake.admin };
    await scene.must("POST", "/v1/connections", { name: "account", provider: "sendgrid", credential });
    await scene.must("POST", "/v1/keys", {
      name: "billing",
      provider: "sendgrid",
      connection: "account",
      fields: { secret: old.secret },
      reference: old.reference,
      destinations: [{ id: "hook" }],
      policy: { grace: "1h" },
    });
    await quiet(scene);
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ live: true, state: "needs-slot" });
    expect(fake.journal.some((line) => /^(mint|revoke)/.test(line))).toBe(false);
    const [gone] = strangers;
    if (gone) gone.endsAt = Date.now();
    await runUntil(scene, Date.now() + parseDuration("3h"));
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(fake.broken).toEqual([]);
  });
});
