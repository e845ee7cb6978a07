/** Leak reports from outside, over HTTP: who is believed, what follows, and what a stranger can tell from the answer. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createHmac } from "node:crypto";
import { HttpResponse, http } from "msw";
import { Webhook } from "standardwebhooks";
import { beforeEach, describe, expect, it } from "vitest";
import { sha256 } from "../../src/crypto/hash.ts";
import { secureRandom } from "../../src/crypto/random.ts";
import { formatToken, newPublicId } from "../../src/issuer/token.ts";
import type { CompromiseSummaryView, CompromiseView } from "../../src/keyring/compromise-view.ts";
import { request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { makeSigner, type Signer } from "../support/ecdsa.ts";
import { eventually } from "../support/eventually.ts";
import { stubOf } from "../support/inside.ts";
import { meter, type Statement } from "../support/meter.ts";
import { network } from "../support/network.ts";
import { makeScene, type Scene } from "../support/scene.ts";

const KEYS_URL = "https://api.github.com/meta/public_keys/secret_scanning";

let github: Signer;
/** Identifiers of GitHub's keys, each of its own in every test, as what an isolate knows outlives one. */
let identifier: string;
let fetched: { headers: Headers }[];

beforeEach(async () => {
  github = await makeSigner("P-256");
  identifier = crypto.randomUUID().replaceAll("-", "");
  fetched = [];
  serveKeys({ [identifier]: github.pem });
});

function serveKeys(keys: Record<string, string>): void {
  network.use(
    http.get(KEYS_URL, ({ request: asked }) => {
      fetched.push(asked);
      const list = Object.entries(keys).map(([key_identifier, key]) => ({
        key_identifier,
        key,
        is_current: false,
      }));
      return HttpResponse.json({ public_keys: list });
    }),
  );
}

interface Found {
  token: string;
  type?: string;
  url?: string | null;
  source?: string;
}

async function partner(
  path: string,
  tokens: readonly Found[],
  more: { body?: string; signature?: string } = {},
) {
  const body = more.body ?? JSON.stringify(tokens.map((one) => ({ type: "rekey_key", url: "", ...one })));
  const signature = more.signature ?? (await github.sign(Buffer.from(body)));
  return request<Feedback[]>(null, "POST", path, {
    rawBody: body,
    headers: { "github-public-key-identifier": identifier, "github-public-key-signature": signature },
  });
}

interface Feedback {
  token_hash: string;
  token_type: string;
  label: string;
}

const hashOf = (token: string) => Buffer.from(sha256(token)).toString("hex");

const reports = async (scene: Scene) =>
  (await scene.must<{ items: CompromiseSummaryView[] }>("GET", "/v1/compromises")).items;

/** The newest report, once all that it named is seen dead. */
function closed(scene: Scene): Promise<CompromiseView> {
  return eventually(async () => {
    const [newest] = await reports(scene);
    const body = await scene.must<CompromiseView>("GET", `/v1/compromises/${newest?.id}`);
    expect(body.state).toBe("closed");
    return body;
  }, 10_000);
}

async function setUp(scene: Scene, source: string, body: object = {}): Promise<string> {
  const made = await scene.keyring.call<{ secret: string }>("PUT", `/v1/signals/${source}`, { body });
  expect(made.status).toBe(200);
  return made.body.secret;
}

/** A token in our format with the right checksum that nobody issued. */
const strangersToken = (code: string) => formatToken("rekey", code, newPublicId(secureRandom), secureRandom);

function standardHeaders(secret: string, body: string, at = Date.now()) {
  const id = `msg_${crypto.randomUUID()}`;
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at / 1_000)),
    "webhook-signature": new Webhook(secret).sign(id, new Date(at), body),
  };
}

function sendStandard(scene: Scene, secret: string, data: object, type = "secret.leaked") {
  const body = JSON.stringify({ type, timestamp: new Date().toISOString(), data });
  return request(null, "POST", `/hooks/${scene.code}/standard`, {
    rawBody: body,
    headers: standardHeaders(secret, body),
  });
}

describe("GitHub's partner programme", () => {
  it("reports tokens of several keyrings to one address: each finds its own, and GitHub is told which were real", async () => {
    const [one, other] = [await makeScene(), await makeScene()];
    const [mine, theirs] = [await one.key({}), await other.key({ name: "shipping" })];
    const nobodys = strangersToken(one.code);
    const elsewhere = strangersToken("00000000");
    const { status, body } = await partner("/hooks/github", [
      { token: mine.secret, url: "https://github.com/acme/app/blob/main/.env", source: "Commit" },
      { token: nobodys, source: "SOMETHING_NEW" },
      { token: theirs.secret, url: null },
      { token: elsewhere },
      { token: "no-key-of-ours" },
    ]);
    expect(status).toBe(200);
    expect(body).toEqual([
      { token_hash: hashOf(mine.secret), token_type: "rekey_key", label: "true_positive" },
      { token_hash: hashOf(nobodys), token_type: "rekey_key", label: "false_positive" },
      { token_hash: hashOf(theirs.secret), token_type: "rekey_key", label: "true_positive" },
      { token_hash: hashOf(elsewhere), token_type: "rekey_key", label: "false_positive" },
      { token_hash: hashOf("no-key-of-ours"), token_type: "rekey_key", label: "false_positive" },
    ]);
    for (const [scene, secret] of [
      [one, mine.secret],
      [other, theirs.secret],
    ] as const) {
      const report = await closed(scene);
      expect(report).toMatchObject({ source: "github", reporter: "signal", leaks: 1 });
      expect(await scene.verdict(secret)).toBe("revoked");
    }
    const [item] = (await closed(one)).items;
    expect(item).toMatchObject({ source: "Commit", url: "https://github.com/acme/app/blob/main/.env" });
  });

  it("may report to one keyring, where values of another format count, too", async () => {
    const scene = await makeScene();
    await scene.key({ fields: { secret: "an-old-value-of-ours" } });
    const { body } = await partner(`/hooks/${scene.code}/github`, [
      { token: "an-old-value-of-ours" },
      { token: "an-old-value-of-nobody" },
    ]);
    expect(body.map(({ label }) => label)).toEqual(["true_positive", "false_positive"]);
    await closed(scene);
    expect(await scene.verdict("an-old-value-of-ours")).toBe("revoked");
  });

  it("keeps to an id with its right secret: another secret is nobody's", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const forged = formatToken("rekey", scene.code, secret.slice(-66, -49), secureRandom);
    const { body } = await partner("/hooks/github", [{ token: forged }]);
    expect(body.map(({ label }) => label)).toEqual(["false_positive"]);
    expect(await scene.verdict(secret)).toBe("valid");
  });

  it("is refused when it is not signed as it should be, and changes nothing", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const body = JSON.stringify([{ token: secret, type: "t", url: "" }]);
    const good = await github.sign(Buffer.from(body));
    const stranger = await makeSigner("P-256");
    for (const [path, signature, sent] of [
      ["/hooks/github", await stranger.sign(Buffer.from(body)), body],
      ["/hooks/github", good, `${body}\n`],
      ["/hooks/github", good, body.replace('"t"', '"u"')],
      ["/hooks/github", "", body],
      [`/hooks/${scene.code}/github`, await stranger.sign(Buffer.from(body)), body],
    ] as const) {
      const answer = await partner(path, [], { body: sent, signature });
      expect(answer).toMatchObject({ status: 401, body: { code: "signature-invalid" } });
    }
    expect(await reports(scene)).toEqual([]);
    expect(await scene.verdict(secret)).toBe("valid");
  });

  it("is not believed by a signature that GitHub made for another body", async () => {
    const scene = await makeScene();
    const [one, other] = [await scene.key({}), await scene.key({ name: "shipping" })];
    const bodies = [one, other].map(({ secret }) => JSON.stringify([{ token: secret, type: "t", url: "" }]));
    const [first = "", second = ""] = bodies;
    const signature = await github.sign(Buffer.from(first));
    expect((await partner("/hooks/github", [], { body: second, signature })).status).toBe(401);
    expect(await scene.verdict(other.secret)).toBe("valid");
  });

  it("signed well and not as agreed is invalid, not an error", async () => {
    for (const body of ["{}", "[]", "not json", '[{"type":"t"}]', '["token"]', ""]) {
      const answer = await partner("/hooks/github", [], { body });
      expect(answer, body).toMatchObject({ status: 422, body: { code: "invalid" } });
    }
  });

  it("sent once more is told the same and does nothing", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const body = JSON.stringify([{ token: secret, type: "t", url: "" }]);
    const first = await partner("/hooks/github", [], { body });
    await closed(scene);
    const before = {
      rotations: await scene.rotations(),
      reports: await reports(scene),
      events: await scene.events(),
    };
    for (let times = 0; times < 3; times++) {
      const again = await partner("/hooks/github", [], { body });
      expect(again.body).toEqual(first.body);
    }
    await closed(scene);
    const after = {
      rotations: await scene.rotations(),
      reports: await reports(scene),
      events: await scene.events(),
    };
    expect(after).toEqual(before);
  });

  it("of 10,000 tokens is matched in one pass", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const { secret: foreign } = await scene.key({
      name: "legacy",
      fields: { secret: "an-old-value-of-ours" },
    });
    expect(foreign).toBeUndefined();
    const tokens = Array.from({ length: 9_998 }, (_, index) => ({
      token: index % 2 === 0 ? strangersToken(scene.code) : `stranger-${index}`,
      url: `https://github.com/acme/app/blob/main/${index}`,
    }));
    const all = [
      ...tokens.slice(0, 5_000),
      { token: secret },
      ...tokens.slice(5_000),
      { token: "an-old-value-of-ours" },
    ];
    const seen = await runInDurableObject(stubOf(scene), (_, state) => meter(state));
    const { status, body } = await partner(`/hooks/${scene.code}/github`, all);
    expect(status).toBe(200);
    const real = body.flatMap(({ label }, index) => (label === "true_positive" ? [index] : []));
    expect(real).toEqual([5_000, 9_999]);
    const statements = await runInDurableObject(stubOf(scene), () => seen.statements());
    // A hundred values a statement, whichever way they are looked for, and the same again for what is acted on.
    expect(statements.length).toBeLessThan(400);
    await closed(scene);
    expect(await scene.verdict(secret)).toBe("revoked");
    expect(await scene.verdict("an-old-value-of-ours")).toBe("revoked");
  });

  describe("the public keys", () => {
    it("are fetched once, with words of who asks, and kept where the next isolate finds them", async () => {
      const scene = await makeScene();
      const { secret } = await scene.key({});
      await partner("/hooks/github", [{ token: secret }]);
      await partner("/hooks/github", [{ token: "another-token" }]);
      expect(fetched).toHaveLength(1);
      expect(fetched[0]?.headers.get("user-agent")).toMatch(/^Rekey/);
    });

    it("are fetched again for one that nobody knows, once, and that is refused", async () => {
      await partner("/hooks/github", [{ token: "any-token" }]);
      pass("2m");
      const known = identifier;
      identifier = "0".repeat(64);
      for (let times = 0; times < 5; times++) {
        expect((await partner("/hooks/github", [{ token: "any-token" }])).status).toBe(401);
      }
      expect(fetched).toHaveLength(2);
      identifier = known;
      expect((await partner("/hooks/github", [{ token: "any-token" }])).status).toBe(200);
      expect(fetched).toHaveLength(2);
    });

    it("that were changed are found", async () => {
      await partner("/hooks/github", [{ token: "any-token" }]);
      pass("2m");
      const next = await makeSigner("P-256");
      identifier = `next-${identifier}`;
      serveKeys({ [identifier]: next.pem });
      github = next;
      expect((await partner("/hooks/github", [{ token: "any-token" }])).status).toBe(200);
    });

    it("that do not come refuse nothing that is known, and believe nothing else", async () => {
      network.use(http.get(KEYS_URL, () => new HttpResponse("no", { status: 503 })));
      expect((await partner("/hooks/github", [{ token: "any-token" }])).status).toBe(401);
    });
  });
});

describe("a repository's alerts", () => {
  const REPOSITORY = "acme/app";
  const alertUrl = `https://api.github.com/repos/${REPOSITORY}/secret-scanning/alerts/42`;
  const TOKEN = "github_pat_fake_token_that_reads_alerts";

  async function connect(scene: Scene): Promise<string> {
    network.use(http.get("https://api.github.com/rate_limit", () => HttpResponse.json({ resources: {} })));
    await scene.must("POST", "/v1/connections", {
      name: "github",
      provider: "github",
      credential: { token: TOKEN },
    });
    return setUp(scene, "github", { secret: "a-webhook-secret-of-ours", connection: "github" }).then(
      () => "a-webhook-secret-of-ours",
    );
  }

  function send(
    scene: Scene,
    secret: string,
    message: object,
    { event = "secret_scanning_alert", form = false } = {},
  ) {
    const json = JSON.stringify(message);
    const body = form ? new URLSearchParams({ payload: json }).toString() : json;
    const signature = createHmac("sha256", secret).update(body).digest("hex");
    return request(null, "POST", `/hooks/${scene.code}/github`, {
      rawBody: body,
      headers: {
        "x-github-event": event,
        "x-hub-signature-256": `sha256=${signature}`,
        ...(form && { "content-type": "application/x-www-form-urlencoded" }),
      },
    });
  }

  const alert = (action: string) => ({
    action,
    alert: { number: 42 },
    repository: { full_name: REPOSITORY },
  });

  function serveAlert(secret: string): { headers: Headers }[] {
    const asked: { headers: Headers }[] = [];
    network.use(
      http.get(alertUrl, ({ request: one }) => {
        asked.push(one);
        return HttpResponse.json({
          number: 42,
          secret,
          secret_type: "acme_key",
          html_url: "https://github.com/acme/app/security/42",
        });
      }),
    );
    return asked;
  }

  it.each([["created"], ["reopened"], ["publicly_leaked"]])(
    "of a leak (%s) have its value fetched, and the key that has it replaced",
    async (action) => {
      const scene = await makeScene();
      const { secret: leaked } = await scene.key({});
      const secret = await connect(scene);
      const asked = serveAlert(leaked);
      const { status, body } = await send(scene, secret, alert(action), { form: action === "reopened" });
      expect({ status, body }).toEqual({ status: 202, body: { accepted: true } });
      const report = await closed(scene);
      expect(report).toMatchObject({ source: "github-alert", leaks: 1, problem: null });
      expect(report.items).toMatchObject([
        {
          keyName: "billing",
          action: "started",
          source: "acme_key in acme/app",
          url: "https://github.com/acme/app/security/42",
        },
      ]);
      expect(asked).toHaveLength(1);
      expect(asked[0]?.headers.get("authorization")).toBe(`Bearer ${TOKEN}`);
      expect(await scene.verdict(leaked)).toBe("revoked");
    },
  );

  it("of anything else are believed and lead to nothing", async () => {
    const scene = await makeScene();
    await scene.key({});
    const secret = await connect(scene);
    expect((await send(scene, secret, alert("resolved"))).status).toBe(202);
    expect((await send(scene, secret, { zen: "Keep it logically awesome." }, { event: "ping" })).status).toBe(
      202,
    );
    expect((await send(scene, secret, { action: "created" })).status).toBe(422);
    expect(await reports(scene)).toEqual([]);
  });

  it("that cannot be read are told at once, and read when they can be", async () => {
    const scene = await makeScene();
    const { secret: leaked } = await scene.key({});
    const secret = await connect(scene);
    network.use(
      http.get(alertUrl, () => new HttpResponse(`{"message":"${leaked}"}`, { status: 403 }), { once: true }),
    );
    await send(scene, secret, alert("created"));
    const asking = await eventually(async () => {
      const [one] = await reports(scene);
      expect(one).toMatchObject({ state: "asking", problem: "api.github.com answered 403" });
      return one;
    });
    expect(asking?.lastCall).toMatchObject({ host: "api.github.com", status: 403 });
    const [event] = await scene.events("compromise.unread");
    expect(event?.data).toMatchObject({ repository: REPOSITORY, alert: 42, isTriedAgain: true });
    expect(JSON.stringify(event)).not.toContain(leaked);
    serveAlert(leaked);
    await runInDurableObject(stubOf(scene), async (_, { storage }) => {
      storage.sql.exec("UPDATE due SET at = 1 WHERE kind = 'compromise'");
      storage.sql.exec("UPDATE compromise SET dueAt = 1");
    });
    pass("1m");
    await runInDurableObject(stubOf(scene), (object: { alarm(): void }) => object.alarm());
    expect(await closed(scene)).toMatchObject({ leaks: 1, problem: null });
  });

  it("without a connection say what is missing", async () => {
    const scene = await makeScene();
    await setUp(scene, "github", { secret: "a-webhook-secret-of-ours" });
    await send(scene, "a-webhook-secret-of-ours", alert("created"));
    await eventually(async () => {
      const [one] = await reports(scene);
      expect(one?.problem).toContain("PUT /v1/signals/github");
    });
  });

  it("are not believed by a secret that is not the keyring's", async () => {
    const scene = await makeScene();
    await connect(scene);
    expect(await send(scene, "a-webhook-secret-of-others", alert("created"))).toMatchObject({ status: 401 });
    const other = await makeScene();
    expect(await send(other, "a-webhook-secret-of-ours", alert("created"))).toMatchObject({ status: 401 });
    expect(await reports(scene)).toEqual([]);
  });
});

describe("GitGuardian", () => {
  function send(scene: Scene, secret: string, message: unknown) {
    const body = JSON.stringify(message);
    const timestamp = String(Math.floor(Date.now() / 1_000));
    const signature = createHmac("sha256", timestamp + secret)
      .update(body)
      .digest("hex");
    return request(null, "POST", `/hooks/${scene.code}/gitguardian`, {
      rawBody: body,
      headers: { timestamp, "gitguardian-signature": `sha256=${signature}` },
    });
  }

  it("reports a value wherever in its message it stands", async () => {
    const scene = await makeScene();
    const { secret: leaked } = await scene.key({});
    const secret = await setUp(scene, "gitguardian");
    const message = {
      action: "incident_triggered",
      incident: {
        gitguardian_url: "https://dashboard.gitguardian.com/incidents/7",
        occurrences: [{ matches: [{ name: "apikey", match: leaked }] }],
      },
    };
    expect(await send(scene, secret, message)).toMatchObject({ status: 202, body: { accepted: true } });
    const report = await closed(scene);
    expect(report).toMatchObject({ source: "gitguardian", leaks: 1 });
    expect(report.items).toMatchObject([
      { source: "GitGuardian", url: "https://dashboard.gitguardian.com/incidents/7", action: "started" },
    ]);
    expect(await scene.verdict(leaked)).toBe("revoked");
    expect(await send(scene, "another-signature-token", message)).toMatchObject({ status: 401 });
    expect(await send(scene, secret, [1, 2])).toMatchObject({ status: 202 });
    expect(await send(scene, secret, "text")).toMatchObject({ status: 422 });
  });
});

describe("anything that signs by Standard Webhooks", () => {
  it("reports a value, a fingerprint or a key by name", async () => {
    const scene = await makeScene();
    const secret = await setUp(scene, "standard");
    expect(secret).toMatch(/^whsec_/);
    const { secret: leaked } = await scene.key({});
    await scene.key({ name: "legacy", fields: { secret: "an-old-value-of-ours" } });
    await scene.key({ name: "named" });
    const fingerprint = (await scene.read("legacy")).versions[0]?.fingerprint;
    for (const data of [{ secret: leaked }, { fingerprint }, { key: "named" }]) {
      const answer = await sendStandard(scene, secret, {
        ...data,
        source: "our own scanner",
        url: "https://scans.acme.dev/1",
      });
      expect(answer).toMatchObject({ status: 202, body: { accepted: true } });
      const report = await closed(scene);
      expect(report.items).toMatchObject([{ action: "started", source: "our own scanner" }]);
      pass("1s");
    }
    expect(await scene.stages("named")).toEqual(["revoked", "current"]);
  });

  it("says nothing of leaks with another type, and is invalid without one thing that leaked", async () => {
    const scene = await makeScene();
    const secret = await setUp(scene, "standard");
    expect((await sendStandard(scene, secret, {}, "user.created")).status).toBe(202);
    for (const data of [
      {},
      { source: "s" },
      { secret: "12345678", key: "k", source: "s" },
      { secret: "short", source: "s" },
    ]) {
      expect(await sendStandard(scene, secret, data), JSON.stringify(data)).toMatchObject({ status: 422 });
    }
    expect(await reports(scene)).toEqual([]);
  });

  it("names a key again and again, and has it rotated once", async () => {
    const scene = await makeScene();
    await scene.key({ policy: { cooldown: "1h" } });
    const secret = await setUp(scene, "standard");
    for (let times = 0; times < 5; times++) {
      expect((await sendStandard(scene, secret, { key: "billing", source: `scan ${times}` })).status).toBe(
        202,
      );
      await closedOrHeld(scene, times + 1);
      pass("1s");
    }
    expect(await scene.rotations()).toHaveLength(1);
    const actions = await Promise.all(
      (await reports(scene)).map(
        async ({ id }) => (await scene.must<CompromiseView>("GET", `/v1/compromises/${id}`)).items[0]?.action,
      ),
    );
    expect(actions).toEqual(["held-back", "held-back", "held-back", "held-back", "started"]);
    // The new value itself is proof.
    const { secret: fresh } = await scene.must<{ secret: string }>("POST", "/v1/keys", {
      name: "other",
      provider: "issuer",
    });
    await sendStandard(scene, secret, { secret: fresh, source: "scan" });
    await closed(scene);
    expect(await scene.verdict(fresh)).toBe("revoked");
  });

  async function closedOrHeld(scene: Scene, count: number): Promise<void> {
    await eventually(async () => {
      const all = await reports(scene);
      expect(all).toHaveLength(count);
      const { items } = await scene.must<CompromiseView>("GET", `/v1/compromises/${all[0]?.id}`);
      expect(items[0]?.action === "held-back" || items[0]?.stage === "revoked").toBe(true);
    }, 10_000);
  }
});

describe("a stranger", () => {
  it("cannot tell a keyring that is not there, a source that is off and a wrong signature apart", async () => {
    const scene = await makeScene();
    await setUp(scene, "standard");
    const body = JSON.stringify({ type: "secret.leaked", data: { secret: "12345678", source: "s" } });
    const headers = standardHeaders("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", body);
    const answers = await Promise.all(
      [
        `/hooks/${scene.code}/standard`,
        `/hooks/${scene.code}/gitguardian`,
        "/hooks/AAAAAAAA/standard",
        "/hooks/%00/standard",
      ].map((path) => request(null, "POST", path, { rawBody: body, headers })),
    );
    const [first] = answers;
    expect(first).toMatchObject({ status: 401, body: { code: "signature-invalid" } });
    for (const answer of answers)
      expect({ status: answer.status, body: answer.body }).toEqual({ status: 401, body: first?.body });
  });

  it("who floods an address is asked to wait, and other addresses are not", async () => {
    const scene = await makeScene();
    const from = (address: string) =>
      request(null, "POST", `/hooks/${scene.code}/standard`, {
        rawBody: "{}",
        headers: { "cf-connecting-ip": address },
      });
    const flood = `203.0.113.${crypto.getRandomValues(new Uint8Array(1))[0]}-${crypto.randomUUID()}`;
    let refused = 0;
    for (let count = 0; count < 620; count++) if ((await from(flood)).status === 429) refused += 1;
    expect(refused).toBeGreaterThan(0);
    const answer = await from(flood);
    expect(answer).toMatchObject({ status: 429, body: { code: "rate-limited" } });
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await from("198.51.100.1")).status).toBe(401);
  });

  it("who has the secret and floods is asked to wait, too", async () => {
    const scene = await makeScene();
    const secret = await setUp(scene, "standard");
    const { id } = await scene.key({});
    const answers = new Map<number, number>();
    const send = (count: number) => sendStandard(scene, secret, { key: id, source: `scan ${count}` });
    for (let count = 0; count < 320; count += 20) {
      const some = await Promise.all(Array.from({ length: 20 }, (_, index) => send(count + index)));
      for (const { status } of some) answers.set(status, (answers.get(status) ?? 0) + 1);
    }
    expect(answers.get(429)).toBeGreaterThan(0);
    expect((answers.get(202) ?? 0) + (answers.get(429) ?? 0)).toBe(320);
    await eventually(async () => expect(await scene.rotations()).toHaveLength(1));
  });

  it("learns nothing from an answer: a match and none are answered alike, before anything is done, by the same statements", async () => {
    const scene = await makeScene();
    const { secret: leaked } = await scene.key({});
    await setUp(scene, "standard");
    const accept = (secret: string) =>
      runInDurableObject(stubOf(scene), (object, state) => {
        const seen = meter(state);
        const answer = object.acceptSignal({
          source: "standard",
          body: secret,
          items: [{ leaked: { secret } }],
        });
        const statements = seen.statements();
        seen.remove();
        const rotations = state.storage.sql.exec("SELECT count(*) AS count FROM rotation").one().count;
        return { answer, statements, rotations };
      });
    // What an object learns at its first report it knows at the next.
    await accept(strangersToken(scene.code));
    const none = await accept(strangersToken(scene.code));
    const some = await accept(leaked);
    expect(some.answer).toEqual({ ok: true, value: { matched: [true] } });
    expect(none.answer).toEqual({ ok: true, value: { matched: [false] } });
    // Nothing was done when the answer was there.
    expect(some.rotations).toBe(0);
    const withoutLeak = some.statements.filter(({ query }) => !/ leak /.test(query));
    expect(withoutLeak.map(shape)).toEqual(
      none.statements.filter(({ query }) => !/ leak /.test(query)).map(shape),
    );
    await eventually(async () => expect(await scene.verdict(leaked)).toBe("revoked"));
    const [match, other] = await Promise.all([
      sendStandard(scene, await setUp(scene, "standard"), { secret: leaked, source: "s" }),
      sendStandard(scene, await setUp(scene, "standard"), {
        secret: strangersToken(scene.code),
        source: "s",
      }),
    ]);
    expect([match.status, match.body]).toEqual([other.status, other.body]);
  });

  const shape = ({ query, rowsWritten }: Statement) => `${query.replace(/\s+/g, " ")} wrote ${rowsWritten}`;
});

describe("the secret of a source", () => {
  it("overlaps with the one before it for a day, and is nobody's once the source is off", async () => {
    const scene = await makeScene();
    const old = await setUp(scene, "standard");
    const fresh = await setUp(scene, "standard");
    expect(fresh).not.toBe(old);
    const [shown] = (
      await scene.must<{ items: { oldSecretUntil: string; hint: string }[] }>("GET", "/v1/signals")
    ).items;
    expect(shown?.hint).toBe(fresh.slice(-4));
    expect(Date.parse(shown?.oldSecretUntil ?? "") - Date.now()).toBeGreaterThan(23 * 3_600_000);
    const data = { secret: "nobody-has-this-value", source: "s" };
    expect((await sendStandard(scene, old, data)).status).toBe(202);
    expect((await sendStandard(scene, fresh, data)).status).toBe(202);
    pass("25h");
    expect((await sendStandard(scene, old, data)).status).toBe(401);
    expect((await sendStandard(scene, fresh, data)).status).toBe(202);
    expect((await scene.keyring.call("DELETE", "/v1/signals/standard")).status).toBe(204);
    // At once, whatever an isolate still knows.
    expect((await sendStandard(scene, fresh, data)).status).toBe(401);
    expect((await scene.must<{ items: unknown[] }>("GET", "/v1/signals")).items).toEqual([]);
  });

  it("that is given is not told again; one that fits no source is refused", async () => {
    const scene = await makeScene();
    const given = await scene.keyring.call("PUT", "/v1/signals/gitguardian", {
      body: { secret: "signature-token-of-a-test" },
    });
    expect(given.body).toMatchObject({
      source: "gitguardian",
      url: `https://rekey.test/hooks/${scene.code}/gitguardian`,
      hint: "test",
    });
    expect(given.body).not.toHaveProperty("secret");
    for (const [source, body] of [
      ["standard", { secret: "signature-token-of-a-test" }],
      ["gitguardian", { secret: "short" }],
      ["gitguardian", { connection: "github" }],
      ["github", { connection: "nobody" }],
    ] as const) {
      expect(await scene.keyring.call("PUT", `/v1/signals/${source}`, { body })).toMatchObject({
        status: 422,
      });
    }
    expect((await scene.keyring.call("PUT", "/v1/signals/carrier-pigeon", { body: {} })).status).toBe(422);
  });

  it("stays when only the connection changes, which is then in use", async () => {
    const scene = await makeScene();
    network.use(http.get("https://api.github.com/rate_limit", () => HttpResponse.json({ resources: {} })));
    const credential = { token: "github_pat_fake_token_that_reads_alerts" };
    await scene.must("POST", "/v1/connections", { name: "github", provider: "github", credential });
    await setUp(scene, "github", { secret: "a-webhook-secret-of-ours" });
    const changed = await scene.keyring.call("PUT", "/v1/signals/github", { body: { connection: "github" } });
    expect(changed.body).toMatchObject({
      hint: "ours",
      connection: expect.stringMatching(/^con_/),
      oldSecretUntil: null,
    });
    const removed = await scene.keyring.call("DELETE", "/v1/connections/github");
    expect(removed).toMatchObject({ status: 409, body: { code: "in-use", usedBy: ["github"] } });
    await scene.must("PUT", "/v1/signals/github", { connection: null });
    expect((await scene.keyring.call("DELETE", "/v1/connections/github")).status).toBe(204);
  });

  it("is found in KV and rows only sealed", async () => {
    const scene = await makeScene();
    const secret = await setUp(scene, "standard");
    const rows = await runInDurableObject(stubOf(scene), (_, { storage }) =>
      storage.sql.exec("SELECT * FROM signal").toArray(),
    );
    expect(Buffer.from(rows[0]?.sealed as ArrayBuffer).toString("latin1")).not.toContain(secret.slice(6, 30));
    expect((await env.REKEY_KV.list()).keys.map(({ name }) => name).join()).not.toContain(secret.slice(6));
  });
});
