/** GitHub's partner programme over HTTP: tokens of every keyring at one address, and what GitHub is told of each. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { HttpResponse, http } from "msw";
import { beforeEach, describe, expect, it } from "vitest";
import { sha256 } from "../../src/crypto/hash.ts";
import { secureRandom } from "../../src/crypto/random.ts";
import { formatToken } from "../../src/issuer/token.ts";
import { request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { makeSigner, type Signer } from "../support/ecdsa.ts";
import { stubOf } from "../support/inside.ts";
import { meter } from "../support/meter.ts";
import { network } from "../support/network.ts";
import { inRegistry } from "../support/registry.ts";
import { makeScene } from "../support/scene.ts";
import { closed, reports, strangersToken } from "./support.ts";

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

  it("costs a token nothing when what is beside it, or another item, is odd", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const odd = [
      { token: secret, type: 5, url: { not: "a text" }, source: "x".repeat(5_000) },
      7,
      { type: "t" },
    ];
    const answer = await partner("/hooks/github", [], { body: JSON.stringify(odd) });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject([{ label: "true_positive" }]);
    await closed(scene);
    expect(await scene.verdict(secret)).toBe("revoked");
  });

  it("is served for every keyring that can take it in, and comes again for one that cannot", async () => {
    const [broken, whole] = [await makeScene(), await makeScene()];
    const [first, second] = [await broken.key({}), await whole.key({})];
    await inRegistry((_, { storage }) =>
      storage.sql.exec("UPDATE keyring SET anchorSeq = 1000, anchorHash = x'00' WHERE code = ?", broken.code),
    );
    await abortAllDurableObjects();
    const body = JSON.stringify([first, second].map(({ secret }) => ({ token: secret, type: "t", url: "" })));
    const answer = await partner("/hooks/github", [], { body });
    expect(answer).toMatchObject({ status: 503, body: { code: "report-incomplete" } });
    await closed(whole);
    expect(await whole.verdict(second.secret)).toBe("revoked");
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

    it("are asked for once by a flood that comes at the same time", async () => {
      identifier = `flood-${identifier}`;
      serveKeys({ [identifier]: github.pem });
      pass("2m");
      const all = Array.from({ length: 20 }, () => partner("/hooks/github", [{ token: "any-token" }]));
      expect(new Set((await Promise.all(all)).map(({ status }) => status))).toEqual(new Set([200]));
      expect(fetched).toHaveLength(1);
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

    it("that do not come refuse nothing that is known, and believe nothing else: GitHub is to come again", async () => {
      network.use(http.get(KEYS_URL, () => new HttpResponse("no", { status: 503 })));
      const answer = await partner("/hooks/github", [{ token: "any-token" }]);
      expect(answer).toMatchObject({ status: 503, body: { code: "keys-unknown" } });
      network.resetHandlers();
      serveKeys({ [identifier]: github.pem });
      expect((await partner("/hooks/github", [{ token: "any-token" }])).status).toBe(503);
      pass("61s");
      expect((await partner("/hooks/github", [{ token: "any-token" }])).status).toBe(200);
      network.use(http.get(KEYS_URL, () => new HttpResponse("no", { status: 503 })));
      pass("2d");
      expect((await partner("/hooks/github", [{ token: "any-token" }])).status).toBe(200);
    });
  });
});
