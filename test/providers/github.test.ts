/** GitHub tokens: tested, read alerts with, and handed in where GitHub ends them when they leaked. */

import { env } from "cloudflare:workers";
import { HttpResponse, http } from "msw";
import { describe, expect, it } from "vitest";
import { createOutbound } from "../../src/outbound/port.ts";
import { createTransport } from "../../src/outbound/transport.ts";
import { findDesk } from "../../src/providers/leak-desk.ts";
import type { EngineContext } from "../../src/rotation/context.ts";
import { handIn } from "../../src/rotation/leak-desks.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { quiet, ring } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { makeScene, type Scene } from "../support/scene.ts";

const tokenOf = (name: string) => `ghp_fake_${name.replaceAll("-", "_")}_`.padEnd(44, "x");

interface Github {
  /** Bodies of what was handed in, with the credential that came along. */
  handedIn: { credentials: string[]; authorization: string | null }[];
  accepted: Set<string>;
  /** What the next calls to hand in are answered. */
  answers: number[];
}

function serve(...tokens: string[]): Github {
  const github: Github = { handedIn: [], accepted: new Set(tokens), answers: [] };
  network.use(
    http.get("https://api.github.com/rate_limit", ({ request }) => {
      const token = request.headers.get("authorization")?.slice("Bearer ".length) ?? "";
      return github.accepted.has(token)
        ? HttpResponse.json({ resources: {} })
        : HttpResponse.json({ message: "Bad credentials" }, { status: 401 });
    }),
    http.post("https://api.github.com/credentials/revoke", async ({ request }) => {
      const { credentials } = (await request.json()) as { credentials: string[] };
      github.handedIn.push({ credentials, authorization: request.headers.get("authorization") });
      const status = github.answers.shift() ?? 202;
      if (status !== 202) return new HttpResponse("no", { status });
      for (const one of credentials) github.accepted.delete(one);
      return new HttpResponse(null, { status });
    }),
  );
  return github;
}

const RUNBOOK = { text: "Settings, tokens, new token." };

function makeManual(scene: Scene, name: string, secret: string, more: object = {}) {
  return scene.must<{ id: string }>("POST", "/v1/keys", {
    name,
    provider: "manual",
    config: { runbook: RUNBOOK },
    fields: { secret },
    ...more,
  });
}

const leak = (scene: Scene, secret: string) =>
  scene.must<{ items: { action: string }[] }>("POST", "/v1/compromises", {
    secret,
    source: "a public repository",
  });

describe("a GitHub token that only a person can replace", () => {
  it("and that leaked in its grace is handed in at once, and seen dead", async () => {
    const [first, second] = [tokenOf("first"), tokenOf("second")];
    const github = serve(first, second);
    const scene = await makeScene();
    await scene.must("POST", "/v1/keys", {
      name: "bot",
      provider: "github",
      fields: { secret: first },
      policy: { grace: "1h" },
    });
    await scene.must("PUT", "/v1/keys/bot/value", { fields: { secret: second } });
    await quiet(scene);
    expect(await scene.stages("bot")).toEqual(["previous", "current"]);
    expect((await leak(scene, first)).items).toMatchObject([{ action: "revoked" }]);
    await quiet(scene);
    expect(github.handedIn).toEqual([{ credentials: [first], authorization: null }]);
    const [version] = (await scene.read("bot")).versions;
    expect(version).toMatchObject({ stage: "revoked", confirmed: true, endReason: "compromised" });
  });

  it("and that leaked while it is current is handed in at once, and a person asked for the next one", async () => {
    const token = tokenOf("current");
    const github = serve(token);
    const scene = await makeScene();
    await makeManual(scene, "bot", token);
    expect((await leak(scene, token)).items).toMatchObject([{ action: "asked" }]);
    const [event] = await scene.events("key.compromised");
    expect(event?.data).toMatchObject({ do: "replace", runbook: RUNBOOK.text });
    await quiet(scene);
    expect(github.handedIn).toEqual([{ credentials: [token], authorization: null }]);
    // Nothing tests this key, so that it is dead is GitHub's word.
    expect((await scene.read("bot")).versions).toMatchObject([{ stage: "revoked", confirmed: false }]);
  });

  it("and that is to be held lives until a person hands in the next one", async () => {
    const [token, next] = [tokenOf("held"), tokenOf("next")];
    const github = serve(token, next);
    const scene = await makeScene();
    await makeManual(scene, "bot", token, { policy: { onCompromise: "hold" } });
    expect((await leak(scene, token)).items).toMatchObject([{ action: "asked" }]);
    pass("1h");
    await ring(scene);
    expect(github.handedIn).toEqual([]);
    await scene.must("PUT", "/v1/keys/bot/value", { fields: { secret: next } });
    await quiet(scene);
    expect(github.handedIn).toEqual([{ credentials: [token], authorization: null }]);
  });

  it("of another service is never handed in: a person ends it, as the event says", async () => {
    const github = serve();
    const scene = await makeScene();
    await makeManual(scene, "other", "xoxb-fake-token-of-another-service", {
      policy: { onCompromise: "revoke-only" },
    });
    expect((await leak(scene, "xoxb-fake-token-of-another-service")).items).toMatchObject([
      { action: "revoked" },
    ]);
    await quiet(scene);
    const [event] = await scene.events("key.compromised");
    expect(event?.data).toMatchObject({
      do: "revoke",
      runbook: RUNBOOK.text,
      todo: expect.stringContaining("End the value"),
    });
    expect(github.handedIn).toEqual([]);
    expect(await scene.stages("other")).toEqual(["revoking"]);
  });

  it("that did not leak is a person's to end", async () => {
    const [first, second] = [tokenOf("first"), tokenOf("second")];
    const github = serve(first, second);
    const scene = await makeScene();
    await makeManual(scene, "bot", first, { policy: { grace: "0" } });
    await scene.must("PUT", "/v1/keys/bot/value", { fields: { secret: second } });
    await quiet(scene);
    pass("2m");
    await ring(scene);
    expect(github.handedIn).toEqual([]);
    expect((await scene.read("bot")).versions[0]).toMatchObject({
      stage: "revoking",
      due: { todo: expect.any(String) },
    });
  });
});

describe("handing in", () => {
  it("takes many tokens a call", async () => {
    const names = Array.from({ length: 30 }, (_, index) => `bot-${index}`);
    const github = serve(...names.map(tokenOf));
    const scene = await makeScene();
    for (const name of names) {
      await makeManual(scene, name, tokenOf(name), { policy: { onCompromise: "revoke-only" } });
    }
    for (const name of names) await leak(scene, tokenOf(name));
    await eventually(() =>
      expect(github.handedIn.flatMap(({ credentials }) => credentials)).toHaveLength(30),
    );
    await quiet(scene);
    expect(new Set(github.handedIn.flatMap(({ credentials }) => credentials))).toEqual(
      new Set(names.map(tokenOf)),
    );
  });

  it("takes a thousand a call, and no more", async () => {
    const names = Array.from({ length: 1_001 }, (_, index) => tokenOf(`bot-${index}`));
    const github = serve(...names);
    const desk = findDesk({ secret: tokenOf("any") });
    if (!desk) throw new Error("no desk for a token of GitHub");
    const outbound = createOutbound({
      allowlist: undefined,
      transport: createTransport(env.KEYS),
      now: () => Date.now(),
    });
    const context = { outbound, spend: () => 0 } as unknown as EngineContext;
    const results = await Promise.all(names.map((secret) => handIn(context, desk, secret)));
    expect(new Set(results.map(({ kind }) => kind))).toEqual(new Set(["revoked"]));
    expect(github.handedIn.map(({ credentials }) => credentials.length)).toEqual([1_000, 1]);
  });

  it("keeps to 60 calls an hour, and goes on when there are more", async () => {
    const names = Array.from({ length: 62 }, (_, index) => `bot-${index}`);
    const github = serve(...names.map(tokenOf));
    const scene = await makeScene();
    for (const name of names) {
      await makeManual(scene, name, tokenOf(name), { policy: { onCompromise: "revoke-only" } });
    }
    // One at a time, so that each takes a call of its own.
    for (const name of names) {
      await leak(scene, tokenOf(name));
      await quiet(scene);
    }
    expect(github.handedIn).toHaveLength(60);
    expect(await scene.stages("bot-61")).toEqual(["revoking"]);
    pass("5m");
    await ring(scene);
    expect(github.handedIn.flatMap(({ credentials }) => credentials)).toHaveLength(62);
    expect(await scene.stages("bot-61")).toEqual(["revoked"]);
  });

  it("is tried again when GitHub does not take it", async () => {
    const token = tokenOf("again");
    const github = serve(token);
    github.answers.push(422, 503);
    const scene = await makeScene();
    await makeManual(scene, "bot", token, { policy: { onCompromise: "revoke-only" } });
    await leak(scene, token);
    await quiet(scene);
    expect(await scene.stages("bot")).toEqual(["revoking"]);
    for (const wait of ["6s", "34s"]) {
      pass(wait);
      await ring(scene);
    }
    expect(github.handedIn).toHaveLength(3);
    expect(await scene.stages("bot")).toEqual(["revoked"]);
  });
});

describe("a connection to GitHub", () => {
  it("is tested by a call that any token may make", async () => {
    const token = "github_pat_fake_token_that_reads_alerts";
    serve(token);
    const scene = await makeScene();
    const made = await scene.keyring.call("POST", "/v1/connections", {
      body: { name: "github", provider: "github", credential: { token } },
    });
    expect(made.status).toBe(201);
    expect(JSON.stringify(made.body)).not.toContain(token);
    const refused = await scene.keyring.call("POST", "/v1/connections", {
      body: { name: "other", provider: "github", credential: { token: "github_pat_fake_token_of_nobody" } },
    });
    expect(refused.status).toBe(409);
  });

  it("makes no token: a key of it begins with one that is handed in", async () => {
    const scene = await makeScene();
    const answer = await scene.keyring.call("POST", "/v1/keys", {
      body: { name: "bot", provider: "github" },
    });
    expect(answer).toMatchObject({ status: 422 });
  });
});
