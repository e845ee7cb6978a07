/** Traps of AWS IAM: two slots, no labels, signed requests, XML that may be anything, and an answer that is late to be true. */
import { http } from "msw";
import { describe, expect, it } from "vitest";
import { parseDuration } from "../../src/duration.ts";
import { awsIam } from "../../src/providers/aws-iam.ts";
import { FakeAwsIam } from "../lab/services/aws-iam.ts";
import type { FakeCredential } from "../lab/services/fake.ts";
import { benchOf, INTENT, mintedOf } from "../support/bench.ts";
import { quiet, runUntil } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { makeScene } from "../support/scene.ts";

function begin() {
  const fake = new FakeAwsIam();
  const connection = { config: {}, credential: fake.admin };
  return { fake, ...benchOf(fake, { connection, config: { userName: fake.user } }) };
}

const known = ({ secret, reference }: FakeCredential) => ({
  fields: { secret, accessKeyId: reference },
  reference,
});

/** Answers the next calls with something. */
function answerWith({ origin }: FakeAwsIam, body: string, status = 200): void {
  network.use(http.post(`${origin}/*`, () => new Response(body, { status })));
}

describe("a request", () => {
  it("is signed as AWS checks it, for IAM by the admin's key and for STS by the key in question", async () => {
    const { fake, went, context } = begin();
    const made = mintedOf(await awsIam.mint(context(), INTENT));
    expect(made.fields).toMatchObject({ accessKeyId: made.reference });
    expect(await awsIam.test?.(context(), made)).toMatchObject({ kind: "valid" });
    expect(went.map(({ headers }) => headers.get("authorization"))).toEqual([
      expect.stringMatching(`Credential=${fake.admin.accessKeyId}/\\d{8}/us-east-1/iam/`),
      expect.stringMatching(`Credential=${made.reference}/\\d{8}/us-east-1/sts/`),
    ]);
  });

  it("asks for XML, and has no secret in it", async () => {
    const { fake, went, context } = begin();
    const one = fake.make(fake.user);
    await awsIam.test?.(context(), known(one));
    await awsIam.list?.(context());
    for (const { url, text, headers } of went) {
      expect(headers.get("accept")).toBe("text/xml");
      const all = `${url} ${text} ${[...headers.values()].join(" ")}`;
      expect([one.secret, fake.admin.secret].filter((secret) => all.includes(secret))).toEqual([]);
    }
  });

  it("whose signature is wrong says nothing of the key", async () => {
    const { fake, context } = begin();
    const { reference } = fake.make(fake.user);
    const wrong = { fields: { secret: "another/secret+of/nobody", accessKeyId: reference }, reference };
    expect(await awsIam.test?.(context(), wrong)).toMatchObject({ kind: "indeterminate" });
  });
});

describe("an answer", () => {
  const whole =
    "<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata></AccessKeyMetadata><IsTruncated>false</IsTruncated></ListAccessKeysResult></ListAccessKeysResponse>";

  it("with an empty list says that there are no keys", async () => {
    const { fake, context } = begin();
    answerWith(fake, whole);
    expect(await awsIam.list?.(context())).toMatchObject({ kind: "listed", references: [] });
  });

  it.each([
    ["nothing", ""],
    ["a page of a proxy", "<html><body><b>Welcome</b></body></html>"],
    ["JSON", '{"ListAccessKeysResponse":{}}'],
    ["another action's answer", whole.replaceAll("ListAccessKeysResponse", "ListUsersResponse")],
    ["one that was cut off", whole.slice(0, -10)],
    ["a member without its id", whole.replace("<AccessKeyMetadata>", "<AccessKeyMetadata><member></member>")],
  ])("that is %s is no empty list", async (_, body) => {
    const { fake, context } = begin();
    answerWith(fake, body);
    expect(await awsIam.list?.(context())).toMatchObject({ kind: "failed" });
  });

  it("to CreateAccessKey that cannot be read leaves it in doubt", async () => {
    const { fake, context } = begin();
    answerWith(fake, "<CreateAccessKeyResponse><AccessKey></AccessKey></CreateAccessKeyResponse>");
    expect(await awsIam.mint(context(), INTENT)).toMatchObject({ kind: "in-doubt" });
  });

  it("of 400 Throttling means later, not never", async () => {
    const { fake, context } = begin();
    fake.fail("mint", "rate-limited");
    expect(await awsIam.mint(context(), INTENT)).toMatchObject({ kind: "postponed" });
  });
});

describe("the two slots", () => {
  it("are counted before anything is asked for, inactive keys included", async () => {
    const { fake, context } = begin();
    const [old] = [fake.make(fake.user), fake.make(fake.user, { byPerson: true })];
    fake.inactive.add(old.reference);
    expect(await awsIam.preflight(context())).toMatchObject({ kind: "red", noSlot: true });
  });

  it("that are taken meanwhile are a refusal in words", async () => {
    const { fake, context } = begin();
    fake.make(fake.user);
    fake.make(fake.user);
    const result = await awsIam.mint(context(), INTENT);
    expect(result).toMatchObject({
      kind: "refused",
      problem: expect.stringContaining("2 access keys already"),
    });
  });

  it("are no matter of a connection that is tried: that is STS's to say", async () => {
    const { context } = begin();
    const result = await awsIam.preflight(context({ name: "", config: {} }));
    expect(result).toMatchObject({ kind: "green", account: "123456789012" });
  });
});

describe("the last use", () => {
  it("is a time, or never", async () => {
    const { fake, context } = begin();
    const one = fake.make(fake.user);
    expect(await awsIam.lastUsed?.(context(), known(one))).toMatchObject({ kind: "told", at: null });
    fake.usedOn.set(one.reference, "2026-02-01T10:00:00Z");
    expect(await awsIam.lastUsed?.(context(), known(one))).toMatchObject({ at: Date.UTC(2026, 1, 1, 10) });
  });
});

describe("a key at AWS", () => {
  /** One that a person made and handed in, in a grace of an hour. */
  async function adopt(named?: { reference?: string }) {
    const fake = new FakeAwsIam();
    for (const address of [fake.origin, ...fake.others])
      network.use(http.all(`${address}/*`, ({ request }) => fake.answer(request)));
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const credential = fake.admin;
    await scene.must("POST", "/v1/connections", { name: "account", provider: "aws-iam", credential });
    const old = fake.make(fake.user);
    await scene.must("POST", "/v1/keys", {
      name: "billing",
      provider: "aws-iam",
      connection: "account",
      config: { userName: fake.user },
      fields: { secret: old.secret, accessKeyId: old.reference },
      ...(named ?? { reference: old.reference }),
      destinations: [{ id: "hook" }],
      policy: { grace: "1h" },
    });
    await quiet(scene);
    fake.journal.length = 0;
    return { fake, scene, hook, old };
  }

  it("is not adopted without its id among its fields, which every later value has", async () => {
    const { fake, scene } = await adopt();
    const body = {
      name: "other",
      provider: "aws-iam",
      connection: "account",
      config: { userName: fake.user },
      fields: { secret: "another/secret+of/somebody" },
      reference: "AKIAFAKE000000000099",
    };
    const { status, body: refusal } = await scene.keyring.call("POST", "/v1/keys", { body });
    expect(status).toBe(422);
    expect(JSON.stringify(refusal)).toContain('"fields.accessKeyId"');
  });

  it("is known by the id among its fields, so that nobody need say it again", async () => {
    const { fake, scene, old } = await adopt({});
    await scene.rotate();
    await runUntil(scene, Date.now() + parseDuration("3h"));
    expect(fake.live()).not.toContain(old);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    expect(fake.broken).toEqual([]);
  });

  it("is not adopted under another name, whose bearer would be deleted in its place", async () => {
    const { fake, scene, old } = await adopt();
    const body = {
      name: "other",
      provider: "aws-iam",
      connection: "account",
      config: { userName: fake.user },
      fields: { secret: "another/secret+of/somebody", accessKeyId: "AKIAFAKE000000000099" },
      reference: old.reference,
    };
    const { status, body: refusal } = await scene.keyring.call("POST", "/v1/keys", { body });
    expect(status).toBe(422);
    expect(refusal).toMatchObject({ errors: [{ path: "reference" }] });
    expect(JSON.stringify(refusal)).not.toContain(body.fields.secret);
  });

  const callsOf = ({ journal }: FakeAwsIam) => journal.map((line) => line.split(" ")[0]);

  it("is made inactive, then deleted, and frees its slot", async () => {
    const { fake, scene } = await adopt();
    await scene.rotate();
    await runUntil(scene, Date.now() + parseDuration("2h"));
    expect(callsOf(fake).slice(-3)).toEqual(["disable", "revoke", "test"]);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    expect(fake.broken).toEqual([]);
  });

  it("waits as IAM takes its time to know the new key and to forget the old one", async () => {
    const { fake, scene, hook, old } = await adopt();
    fake.lagMs = 40_000;
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(hook.secret).toBe(old.secret);
    await runUntil(scene, Date.now() + parseDuration("3h"));
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });

  it("is made again after a lost answer, once the one of that call was found in the list and deleted", async () => {
    const { fake, scene, hook } = await adopt();
    fake.fail("mint", "cut-after");
    await scene.rotate();
    await runUntil(scene, Date.now() + parseDuration("3h"));
    const calls = callsOf(fake);
    expect(calls.filter((name) => name === "mint")).toHaveLength(2);
    const second = calls.lastIndexOf("mint");
    expect(calls.slice(0, second)).toContain("revoke");
    expect(fake.live().map(({ secret }) => secret)).toEqual([hook.secret]);
    expect(fake.broken).toEqual([]);
  });

  it("has its doubt settled without touching what a person made long after the call", async () => {
    const { fake, scene } = await adopt();
    // Nothing came of the call, and the list was not to be had for an hour.
    fake.fail("mint", "cut-before");
    const { id } = await scene.rotate();
    await quiet(scene);
    fake.fail("list", "error-before", 5);
    await runUntil(scene, Date.now() + parseDuration("20m"));
    const stranger = fake.make(fake.user, { byPerson: true });
    await runUntil(scene, Date.now() + parseDuration("3h"));
    expect(fake.isLive(stranger)).toBe(true);
    expect(fake.broken).toEqual([]);
    expect(await scene.rotation(id)).toMatchObject({ live: true, state: "needs-slot" });
  });
});
