/** Traps of GitLab: a token that dies of its rotation, a family that dies of a second one, an end that comes in a week. */
import { http } from "msw";
import { describe, expect, it } from "vitest";
import { parseDuration } from "../../src/duration.ts";
import { gitlab } from "../../src/providers/gitlab.ts";
import type { FakeCredential, LabFault } from "../lab/services/fake.ts";
import { FakeGitlab } from "../lab/services/gitlab.ts";
import { benchOf, INTENT, mintedOf } from "../support/bench.ts";
import { at } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { crash, quiet, runUntil } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { makeScene } from "../support/scene.ts";

function begin(config: Record<string, unknown> = {}, fake = new FakeGitlab()) {
  const connection = { config: { baseUrl: fake.origin }, credential: { secret: fake.admin } };
  return { fake, connection, ...benchOf(fake, { connection, config }) };
}

const known = ({ secret, reference }: FakeCredential) => ({ fields: { secret }, reference });

describe("a rotation", () => {
  it("is asked for by the token's id, with another token", async () => {
    const { fake, went, context } = begin();
    const old = fake.makeToken();
    const { reference } = mintedOf(await gitlab.mint(context({ old: known(old) }), INTENT));
    expect(went.map(({ url }) => new URL(url).pathname)).toEqual([
      `/api/v4/personal_access_tokens/${old.reference}/rotate`,
    ]);
    expect(went[0]?.headers.get("private-token")).toBe(fake.admin);
    expect(fake.byReference(reference)).toBeDefined();
    expect(fake.broken).toEqual([]);
  });

  it.each(["preflight", "mint"] as const)(
    "with the token itself is not even asked for (%s)",
    async (step) => {
      const { fake, went, context, connection } = begin();
      const old = known(fake.makeToken());
      const itself = context({
        old,
        connection: { ...connection, credential: { secret: old.fields.secret } },
      });
      const result = await gitlab[step](itself, INTENT);
      expect(["red", "refused"]).toContain(result.kind);
      expect(went).toEqual([]);
    },
  );

  it("asks for an end, as GitLab would else end the token in a week, and says when it comes", async () => {
    const { fake, context } = begin({ lifetime: "30d" });
    const old = known(fake.makeToken());
    const { expiresAt, reference } = mintedOf(await gitlab.mint(context({ old }), INTENT));
    const wanted = Date.now() + parseDuration("30d");
    expect(expiresAt).toBe(wanted - (wanted % parseDuration("1d")));
    expect(fake.byReference(reference)?.endsAt).toBe(expiresAt);
  });

  it("of a project's token goes to the project, whose path may have slashes", async () => {
    const { fake, went, context } = begin({ project: "acme/billing" });
    const old = known(fake.makeToken("acme/billing"));
    expect(await gitlab.preflight(context({ old }))).toMatchObject({ kind: "green" });
    mintedOf(await gitlab.mint(context({ old }), INTENT));
    const paths = went.map(({ url }) => url.replace(/^.*api\/v4/, "").replace(old.reference, "{id}"));
    expect(paths).toEqual([
      "/projects/acme%2Fbilling/access_tokens/{id}",
      "/personal_access_tokens/self",
      "/projects/acme%2Fbilling/access_tokens/{id}/rotate",
    ]);
  });

  it("goes to an instance of one's own when the connection says so", async () => {
    const { fake, went, context } = begin({}, new FakeGitlab("https://git.acme.dev/api/v4"));
    mintedOf(await gitlab.mint(context({ old: known(fake.makeToken()) }), INTENT));
    expect(went.map(({ url }) => new URL(url).host)).toEqual(["git.acme.dev"]);
  });

  it("of a token that was rotated before ends the whole family: what the tests below look for", async () => {
    const { fake, context } = begin();
    const old = known(fake.makeToken());
    mintedOf(await gitlab.mint(context({ old }), INTENT));
    expect(await gitlab.mint(context({ old }), INTENT)).toMatchObject({ kind: "refused" });
    expect(fake.live()).toEqual([]);
    expect(fake.broken).toHaveLength(1);
  });

  it.each([400, 401, 403, 404, 405])("that is answered %i has not happened", async (status) => {
    const { fake, context } = begin();
    network.use(http.post(`${fake.origin}/*`, () => Response.json({ message: "no" }, { status })));
    const old = known(fake.makeToken());
    expect(await gitlab.mint(context({ old }), INTENT)).toMatchObject({ kind: "refused" });
  });

  it.each([500, 502, 503])("that is answered %i may have happened", async (status) => {
    const { fake, context } = begin();
    network.use(http.post(`${fake.origin}/*`, () => new Response("no", { status })));
    const old = known(fake.makeToken());
    expect(await gitlab.mint(context({ old }), INTENT)).toMatchObject({ kind: "in-doubt" });
  });
});

describe("the test of a token", () => {
  it("takes only 401 for a refusal: 403 may be of where it is used from", async () => {
    const { fake, context } = begin();
    const one = known(fake.makeToken());
    expect(await gitlab.test?.(context(), one)).toMatchObject({ kind: "valid" });
    network.use(http.get(`${fake.origin}/*`, () => Response.json({ message: "no" }, { status: 403 })));
    expect(await gitlab.test?.(context(), one)).toMatchObject({ kind: "indeterminate" });
  });
});

describe("a key at GitLab", () => {
  /** A token that a person made and handed in. */
  async function adopt() {
    const fake = new FakeGitlab();
    network.use(http.all(`${new URL(fake.origin).origin}/*`, ({ request }) => fake.answer(request)));
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const credential = { secret: fake.admin };
    await scene.must("POST", "/v1/connections", { name: "account", provider: "gitlab", credential });
    const old = fake.makeToken();
    await scene.must("POST", "/v1/keys", {
      name: "billing",
      provider: "gitlab",
      connection: "account",
      fields: { secret: old.secret },
      reference: old.reference,
      destinations: [{ id: "hook" }],
    });
    await quiet(scene);
    fake.journal.length = 0;
    const rotations = () => fake.journal.filter((line) => line.startsWith("mint "));
    return { fake, scene, hook, old, rotations };
  }

  it("whose reference is another token's is not rotated: that one would die in its place", async () => {
    const { fake, scene, rotations } = await adopt();
    const [value, bearer] = [fake.makeToken(), fake.makeToken()];
    await scene.must("POST", "/v1/keys", {
      name: "other",
      provider: "gitlab",
      connection: "account",
      fields: { secret: value.secret },
      reference: bearer.reference,
      destinations: [{ id: "hook" }],
    });
    await quiet(scene);
    const { id } = await scene.rotate("other");
    await quiet(scene);
    expect((await scene.rotation(id)).problem).toContain("the id of another token");
    expect(rotations()).toEqual([]);
    expect(fake.live()).toContain(bearer);
  });

  it("knows when GitLab ends the new token", async () => {
    const { scene } = await adopt();
    await scene.rotate();
    await quiet(scene);
    const [, current] = (await scene.read()).versions;
    expect(at(current?.expiresAt)).toBeGreaterThan(Date.now() + parseDuration("88d"));
  });

  it.each<LabFault>(["cut-after", "error-after", "garbage"])(
    "whose answer was lost (%s) is rotated no second time, by nobody: it is lost, and its family lives",
    async (fault) => {
      const { fake, scene, rotations } = await adopt();
      fake.fail("mint", fault);
      const { id } = await scene.rotate();
      await runUntil(scene, Date.now() + parseDuration("1d"));
      expect((await scene.read()).state).toBe("lost");
      await scene.keyring.call("POST", `/v1/rotations/${id}/retry`, { body: {} });
      await scene.keyring.call("POST", "/v1/keys/billing/rotate", { body: {} });
      await runUntil(scene, Date.now() + parseDuration("1d"));
      expect(rotations()).toHaveLength(1);
      expect(fake.live()).toHaveLength(1);
      expect(fake.broken).toEqual([]);
    },
  );

  it("goes on after a person handed in a value for what was lost", async () => {
    const { fake, scene, hook } = await adopt();
    fake.fail("mint", "cut-after");
    await scene.rotate();
    await runUntil(scene, Date.now() + parseDuration("1d"));
    const { secret, reference } = fake.makeToken();
    await scene.must("PUT", "/v1/keys/billing/value", { fields: { secret }, reference });
    await quiet(scene);
    await scene.rotate();
    await runUntil(scene, Date.now() + parseDuration("1h"));
    expect(fake.holderOf(hook.secret)?.reference).not.toBe(reference);
    expect(fake.broken).toEqual([]);
  });

  it("is rotated again when nothing had come of the first call", async () => {
    const { fake, scene, hook, rotations } = await adopt();
    fake.fail("mint", "cut-before");
    await scene.rotate();
    await runUntil(scene, Date.now() + parseDuration("1h"));
    expect(rotations()).toHaveLength(2);
    expect(fake.holderOf(hook.secret)).toBeDefined();
    expect(fake.broken).toEqual([]);
  });

  it("is rotated no second time after a crash while GitLab was asked", async () => {
    const { fake, scene, rotations } = await adopt();
    // GitLab has done it, and its answer never comes.
    network.use(
      http.post(
        `${fake.origin}/*/rotate`,
        async ({ request }) => {
          await fake.answer(request);
          return new Promise<never>(() => {});
        },
        { once: true },
      ),
    );
    await scene.rotate();
    await eventually(async () => {
      if (rotations().length === 0) throw new Error("it was not asked yet");
    });
    await crash(scene);
    await runUntil(scene, Date.now() + parseDuration("1d"));
    expect((await scene.read()).state).toBe("lost");
    expect(rotations()).toHaveLength(1);
    expect(fake.broken).toEqual([]);
  });

  it("that a person revoked at GitLab is never rotated: preflight sees it first", async () => {
    const { fake, scene, old, rotations } = await adopt();
    old.endsAt = Date.now();
    const { id } = await scene.rotate();
    await quiet(scene);
    const { state, problem } = await scene.rotation(id);
    expect(state).toBe("blocked");
    expect(problem).toContain("family");
    await runUntil(scene, Date.now() + parseDuration("1d"));
    expect(rotations()).toEqual([]);
    expect(fake.broken).toEqual([]);
  });

  it("is ended at GitLab when it is revoked here", async () => {
    const { fake, scene, old } = await adopt();
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "a test" });
    await runUntil(scene, Date.now() + parseDuration("1h"));
    expect(fake.isLive(old)).toBe(false);
    expect(await scene.stages()).toEqual(["revoked"]);
  });

  it("with a schedule says that there will be downtime, and what there is instead", async () => {
    const { fake, scene } = await adopt();
    const { secret, reference } = fake.makeToken();
    const body = {
      name: "other",
      provider: "gitlab",
      connection: "account",
      fields: { secret },
      reference,
      destinations: [{ id: "hook" }],
      policy: { maxAge: "30d" },
    };
    const { status, body: refusal } = await scene.keyring.call("POST", "/v1/keys", { body });
    expect(status).toBe(422);
    expect(JSON.stringify(refusal)).toContain("deploy tokens");
  });
});
