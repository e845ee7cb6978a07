/** Services that are described: what is refused when it is saved, what is sent, and what an answer is taken for. */
import { describe, expect, it } from "vitest";
import type { Outbound, OutboundAnswer } from "../../src/outbound/port.ts";
import type { OutboundRequest } from "../../src/outbound/transport.ts";
import { descriptionSchema } from "../../src/providers/described/description.ts";
import { parseExactly, pointerSchema, valueAt } from "../../src/providers/described/pointer.ts";
import { http } from "../../src/providers/http.ts";
import type { MintIntent, Provider, ProviderContext } from "../../src/providers/provider.ts";

const BEARER = { authorization: "Bearer {{credential.secret}}" };
const API = "https://api.acme.dev";

const BASE = {
  overlap: { kind: "ours" },
  preflight: { method: "GET", url: `${API}/me`, headers: BEARER },
  mint: {
    method: "POST",
    url: `${API}/keys`,
    headers: BEARER,
    json: { name: "{{marker}}" },
    answer: { fields: { secret: "/value" }, reference: "/id" },
  },
  test: { method: "GET", url: `${API}/me`, headers: { authorization: "Bearer {{value.secret}}" } },
  find: {
    method: "GET",
    url: `${API}/keys`,
    headers: BEARER,
    answer: { items: "/keys", marker: "/name", reference: "/id" },
  },
  revoke: { method: "DELETE", url: `${API}/keys/{{reference}}`, headers: BEARER },
};

type Parts = Record<string, unknown>;

/** The description with parts of it replaced, in depth. */
function describedWith(more: Parts): Parts {
  const merge = (one: unknown, other: unknown): unknown => {
    const isBoth = [one, other].every(
      (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    );
    if (!isBoth) return other;
    const result: Parts = { ...(one as Parts) };
    for (const [name, value] of Object.entries(other as Parts)) result[name] = merge(result[name], value);
    return result;
  };
  return merge(BASE, more) as Parts;
}

const INTENT: MintIntent = {
  marker: "rekey-rot_1-1",
  idempotencyKey: "00000000-0000-8000-8000-000000000001",
  graceMs: 5_400_000,
  again: false,
};
const NOW = Date.UTC(2040, 0, 1);
const OLD = { fields: { secret: "the-old-value" }, reference: "old/1" };

interface Answered {
  status?: number;
  body?: unknown;
  retryAfterMs?: number;
}

/** A provider made of a description, and what it sends to a service that gives these answers. */
function open(
  more: Parts = {},
  answers: Answered[] = [{ body: {} }],
  context: Partial<ProviderContext> = {},
) {
  const config = descriptionSchema.parse(describedWith(more)) as Parts;
  const sent: OutboundRequest[] = [];
  const outbound: Outbound = {
    async send(request): Promise<OutboundAnswer> {
      sent.push(request);
      const { status = 200, body, retryAfterMs } = answers[Math.min(sent.length, answers.length) - 1] ?? {};
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const report = { method: request.method, host: "api.acme.dev", status, code: "ok", at: NOW };
      return { report, status, body: text, ...(retryAfterMs !== undefined && { retryAfterMs }) };
    },
    readValue: () => Promise.reject(new Error("no KV")),
    writeValue: () => Promise.reject(new Error("no KV")),
    problemOf: () => undefined,
  };
  const provider = http.configured?.(config) as Provider;
  const asked: ProviderContext = {
    ...{ name: "billing", prefix: "", config: {}, now: NOW, old: OLD, outbound, spend: () => 0 },
    issuer: { issue: () => ({ secret: "", reference: "" }), accepts: () => false },
    connection: { config, credential: { secret: "the-admin-credential" } },
    ...context,
  };
  return { provider, sent, asked };
}

const VALUE = { fields: { secret: "the-new-value" }, reference: "ref-1" };

describe("JSON Pointers", () => {
  const document = { a: { "b/c": [1, { "~": "x" }] }, "": 2, constructor: 3 };

  it.each<[string, unknown]>([
    ["", document],
    ["/", 2],
    ["/a/b~1c/0", 1],
    ["/a/b~1c/1/~0", "x"],
    ["/a/b~1c/2", undefined],
    ["/a/b~1c/length", undefined],
    ["/a/b~1c/01", undefined],
    ["/a/b~1c/0/x", undefined],
    ["/constructor", 3],
    ["/toString", undefined],
  ])("%j is found, or is not there", (pointer, value) => {
    expect(valueAt(document, pointer)).toEqual(value);
  });

  it.each(["a", "/a~2", "/a~", "#/a"])("%j is none", (text) => {
    expect(pointerSchema.safeParse(text).success).toBe(false);
  });

  it("read whole numbers exactly, and everything else as JSON has it", () => {
    expect(parseExactly('{"id":9007199254740993,"n":1.5,"big":1e300,"list":[-9007199254740993,2]}')).toEqual({
      ...{ id: "9007199254740993", n: 1.5, list: ["-9007199254740993", 2] },
      big: "1e300",
    });
    expect(parseExactly("")).toBeNull();
  });
});

describe("a description is refused", () => {
  it.each<[what: string, more: Parts, path: string]>([
    ["a placeholder in its host", { test: { url: "https://{{value.secret}}.acme.dev/me" } }, "test.url"],
    ["one in its port", { test: { url: "https://acme.dev:{{reference}}/me" } }, "test.url"],
    ["one as its scheme", { test: { url: "{{reference}}" } }, "test.url"],
    ["a backslash after its host", { test: { url: "https://acme.dev\\@other.dev/" } }, "test.url"],
    ["a user in an address", { test: { url: "https://user@acme.dev/me" } }, "test.url"],
    ["a password in an address", { find: { url: "https://user:word@acme.dev/keys" } }, "find.url"],
    [
      "an end of the old key where Rekey ends it",
      { mint: { answer: { oldEndsAt: "/ends" } } },
      "mint.answer.oldEndsAt",
    ],
    ["no calls at all", { rateLimit: { calls: 0, per: "1m" } }, "rateLimit.calls"],
    ["a secret in an address", { test: { url: `${API}/me?key={{value.secret}}` } }, "test.url"],
    ["the credential in an address", { revoke: { url: `${API}/{{credential.secret}}` } }, "revoke.url"],
    ["a word that means nothing", { mint: { json: { x: "{{nonce}}" } } }, "mint.json.x"],
    ["a word that means nothing there", { test: { headers: { x: "{{marker}}" } } }, "test.headers.x"],
    ["a field that no value has", { test: { headers: { x: "{{value.user}}" } } }, "test.headers.x"],
    [
      "a field that no credential can have",
      { test: { headers: { x: "{{credential.key}}" } } },
      "test.headers.x",
    ],
    ["half a placeholder", { mint: { json: { x: "{{marker}" } } }, "mint.json.x"],
    ["spaces in a placeholder", { mint: { json: { x: "{{ marker }}" } } }, "mint.json.x"],
    ["a placeholder in a name", { mint: { json: { "{{marker}}": 1 } } }, "mint.json.{{marker}}"],
    ["two bodies", { mint: { form: { a: "b" } } }, "mint.form"],
    ["a body on a GET", { test: { json: {} } }, "test.json"],
    ["a header twice", { test: { headers: { Authorization: "x" } } }, "test.headers"],
    ["a host header", { test: { headers: { Host: "other.dev" } } }, "test.headers"],
    ["two ways to say who asks", { test: { basic: { user: "a", password: "b" } } }, "test.basic"],
    [
      "no place for the secret",
      { mint: { answer: { fields: { secret: undefined } } } },
      "mint.answer.fields.secret",
    ],
    ["a place that is no pointer", { mint: { answer: { reference: "id" } } }, "mint.answer.reference"],
    ["the secret as the key's name", { mint: { answer: { reference: "/value" } } }, "mint.answer.reference"],
    [
      "a name that is needed and has no place",
      { mint: { answer: { reference: undefined } } },
      "mint.answer.reference",
    ],
    ["a search for a marker that is not sent", { mint: { json: { name: "x" } } }, "mint"],
    ["a search whose finds cannot be ended", { revoke: { url: `${API}/keys` } }, "revoke"],
    ["no way to end a key that Rekey ends", { revoke: undefined, find: undefined }, "revoke"],
    ["a repetition without its key", { mint: { repeatable: true } }, "mint"],
    ["a test of nothing", { test: { headers: { authorization: "x" } } }, "test"],
    [
      "a test that would take the admin's refusal for the value's",
      { test: { headers: BEARER, url: `${API}/keys/{{reference}}` } },
      "test.rejected",
    ],
    ["a clock that nobody tells", { overlap: { kind: "provider" } }, "overlap.lasts"],
    ["a status with two meanings", { mint: { refused: [400, 409], conflict: [409] } }, "mint.conflict"],
    ["a success that is a refusal", { test: { rejected: [204] } }, "test.rejected"],
    ["a time-out beyond any", { timeout: "2m" }, "timeout"],
    [
      "half of a way to the next page",
      { find: { answer: { pages: { parameter: "p", more: "/m" } } } },
      "find.answer.pages",
    ],
    ["an unknown field", { mint: { tries: 3 } }, "mint"],
  ])("with %s", (_, more, path) => {
    const parsed = descriptionSchema.safeParse(JSON.parse(JSON.stringify(describedWith(more))));
    const paths = parsed.error?.issues.map((issue) => issue.path.join("."));
    expect(paths).toContain(path);
  });

  it("in no other case: this one is as it should be", () => {
    expect(descriptionSchema.safeParse(BASE).success).toBe(true);
  });
});

describe("what settings make", () => {
  it("keeps an old key as long as is described, unless the request asks for a time", () => {
    const lasting = { overlap: { kind: "provider", lasts: "1h" } };
    expect(open(lasting).provider.oldLastsMs).toBe(3_600_000);
    const asking = { ...lasting, mint: { json: { keep: "{{graceSeconds}}" } } };
    expect(open(asking).provider.oldLastsMs).toBeUndefined();
    expect(open().provider.oldLastsMs).toBeUndefined();
  });

  it("has the allowance that is described", () => {
    expect(open({ rateLimit: { calls: 100, per: "1m" } }).provider.rateLimit).toEqual({
      calls: 100,
      perMs: 60_000,
    });
    expect(open().provider.rateLimit).toBeUndefined();
  });

  it("is a provider with the abilities that are described, and no others", () => {
    const abilities = ({ provider }: ReturnType<typeof open>) =>
      (["test", "revoke", "find", "list", "disable"] as const).filter((name) => name in provider);
    expect(abilities(open())).toEqual(["test", "revoke", "find"]);
    const none = open({ overlap: { kind: "none" }, test: undefined, revoke: undefined, find: undefined });
    expect(abilities(none)).toEqual([]);
    expect(none.provider).toMatchObject({ overlap: "none", repeatsMint: false });
    expect(none.provider.needsFirst).toBeUndefined();
    const more = open({
      overlap: { kind: "ours", maxLive: 2 },
      timeout: "40s",
      propagation: "30s",
      mint: { repeatable: true, json: { key: "{{idempotencyKey}}", old: "{{old.secret}}" } },
    });
    expect(more.provider).toMatchObject({
      ...{ maxLive: 2, timeoutMs: 40_000, propagationMs: 30_000, repeatsMint: true, needsFirst: true },
    });
    expect(more.provider.fields).toBeUndefined();
  });

  it("takes the credential's and the key's fields that it names, and no others", () => {
    const { provider } = open({
      mint: { json: { grants: "{{config.grants}}", name: "{{config.team}} {{marker}}" } },
    });
    expect(provider.connection?.credential?.safeParse({ secret: "x" }).success).toBe(true);
    expect(provider.connection?.credential?.safeParse({ secret: "x", more: "y" }).success).toBe(false);
    expect(provider.connection?.credential?.safeParse({}).success).toBe(false);
    expect(provider.config?.safeParse({ grants: [{ a: 1 }], team: "x" }).success).toBe(true);
    expect(provider.config?.safeParse({ grants: [], team: ["x"] }).success).toBe(false);
    expect(provider.config?.safeParse({ team: "x" }).success).toBe(false);
    expect(open().provider.config).toBeUndefined();
  });

  it("sends values to the hosts that are written out", () => {
    const config = describedWith({ test: { url: "https://other.acme.dev/x" } });
    expect(new Set(http.connection?.addresses(config))).toEqual(
      new Set(["https://api.acme.dev/", "https://other.acme.dev/"]),
    );
  });
});

describe("what is sent", () => {
  it("carries each value escaped for where it stands", async () => {
    const { provider, sent, asked } = open(
      {
        mint: {
          url: `${API}/teams/{{config.team}}/keys?label={{name}}`,
          headers: { "x-old": "{{oldReference}}" },
          json: {
            name: "{{marker}}",
            quoted: 'say "{{config.team}}"',
            hours: "{{graceHours}}",
            text: "{{graceSeconds}} s",
            list: ["{{config.list}}", 7, null],
            key: "{{idempotencyKey}}",
          },
        },
      },
      [{ body: { value: "a-fresh-value", id: 7 } }],
      { config: { team: 'a/b?c#d&"e', list: [1, "x"] }, name: "my key" },
    );
    expect(await provider.mint(asked, INTENT)).toMatchObject({
      kind: "minted",
      fields: { secret: "a-fresh-value" },
      reference: "7",
    });
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({
      method: "POST",
      url: `${API}/teams/a%2Fb%3Fc%23d%26%22e/keys?label=my%20key`,
      headers: {
        authorization: "Bearer the-admin-credential",
        "content-type": "application/json",
        "x-old": "old/1",
      },
      timeoutMs: 15_000,
    });
    expect(JSON.parse(sent[0]?.body ?? "")).toEqual({
      name: INTENT.marker,
      quoted: 'say "a/b?c#d&"e"',
      hours: 2,
      text: "5400 s",
      list: [[1, "x"], 7, null],
      key: INTENT.idempotencyKey,
    });
  });

  it("may be a form, and say who asks by Basic", async () => {
    const { provider, sent, asked } = open(
      {
        mint: {
          ...{ json: undefined, headers: undefined },
          form: { name: "{{marker}} & more" },
          basic: { user: "api", password: "{{credential.secret}}" },
        },
      },
      [{ body: { value: "a-fresh-value", id: "7" } }],
    );
    await provider.mint(asked, INTENT);
    expect(sent[0]).toMatchObject({
      body: `name=${INTENT.marker}+%26+more`,
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        authorization: `Basic ${btoa("api:the-admin-credential")}`,
      },
    });
  });

  it.each([
    ["", "is empty"],
    [".", "would be . or .."],
    ["..", "would be . or .."],
    ["\ud800", "is no text"],
  ])("is nothing at all when the key's name at the service is %j", async (reference, problem) => {
    const { provider, sent, asked } = open();
    expect(await provider.revoke?.(asked, { ...VALUE, reference })).toEqual({
      kind: "failed",
      problem: expect.stringContaining(problem),
    });
    expect(sent).toEqual([]);
  });

  it("is nothing when a value could begin another header, or is not kept", async () => {
    const { provider, sent, asked } = open();
    const broken = { ...VALUE, fields: { secret: "value\r\nx-admin: 1" } };
    expect(await provider.test?.(asked, broken)).toMatchObject({ kind: "indeterminate" });
    expect(await provider.test?.(asked, { ...VALUE, fields: undefined })).toMatchObject({
      kind: "indeterminate",
    });
    expect(sent).toEqual([]);
  });

  it("is nothing when there is no key yet and only a key can ask: then nothing speaks against the connection", async () => {
    const preflight = { headers: { authorization: "Bearer {{old.secret}}" } };
    const { provider, sent, asked } = open({ preflight }, [{ status: 401 }], { old: undefined });
    expect(await provider.preflight(asked)).toEqual({ kind: "green" });
    expect(sent).toEqual([]);
  });
});

describe("the answer to a mint", () => {
  const OK = { value: "a-fresh-value", id: "7" };

  it.each<[what: string, answer: Answered, more: Parts, kind: string]>([
    ["what it should be", { status: 201, body: OK }, {}, "minted"],
    ["no JSON", { body: "<html>" }, {}, "in-doubt"],
    ["without the secret", { body: { id: 1 } }, {}, "in-doubt"],
    ["with one that is too short to be one", { body: { ...OK, value: "x" } }, {}, "in-doubt"],
    ["without a name", { body: { value: OK.value } }, {}, "in-doubt"],
    ["with the secret as its name", { body: { ...OK, id: OK.value } }, {}, "in-doubt"],
    ["a success that was not agreed", { status: 202, body: OK }, { mint: { ok: [201] } }, "in-doubt"],
    ["elsewhere", { status: 302, body: "" }, {}, "in-doubt"],
    ["a refusal", { status: 403, body: {} }, {}, "refused"],
    ["a conflict without a meaning", { status: 409, body: {} }, {}, "refused"],
    ["a conflict", { status: 409, body: {} }, { mint: { conflict: [409] } }, "conflict"],
    ["a refusal that is not listed", { status: 404, body: {} }, { mint: { refused: [400] } }, "in-doubt"],
    ["a refusal by a 500", { status: 500, body: {} }, { mint: { refused: [500] } }, "refused"],
    ["too often", { status: 429, body: {}, retryAfterMs: 5_000 }, {}, "postponed"],
    ["too often, with a list", { status: 429, body: {} }, { mint: { refused: [400] } }, "postponed"],
    ["a time-out there", { status: 408, body: {} }, {}, "in-doubt"],
    ["a failure there", { status: 502, body: "" }, {}, "in-doubt"],
  ])("%s", async (_, answer, more, kind) => {
    const { provider, asked } = open(more, [answer]);
    const result = await provider.mint(asked, INTENT);
    expect(result.kind).toBe(kind);
    expect(JSON.stringify({ ...result, fields: undefined })).not.toContain(OK.value);
  });

  it.each<[unknown, number | undefined]>([
    ["2040-02-01T00:00:00Z", Date.UTC(2040, 1, 1)],
    [Date.UTC(2040, 1, 1) / 1_000, Date.UTC(2040, 1, 1)],
    [Date.UTC(2040, 1, 1), Date.UTC(2040, 1, 1)],
    [String(Date.UTC(2040, 1, 1)), Date.UTC(2040, 1, 1)],
    [null, undefined],
    ["never", undefined],
    [{}, undefined],
    [1e300, undefined],
    [-5, undefined],
  ])("says when the key ends: %j", async (until, expiresAt) => {
    const { provider, asked } = open({ mint: { answer: { expiresAt: "/until" } } }, [
      { body: { ...OK, until } },
    ]);
    const result = await provider.mint(asked, INTENT);
    expect("expiresAt" in result ? result.expiresAt : undefined).toBe(expiresAt);
  });

  it.each<[what: string, more: Parts, again: boolean, oldEndsAt: number | undefined]>([
    ["in hours, rounded up", { mint: { json: { h: "{{graceHours}}" } } }, false, NOW + 7_200_000],
    ["in seconds", { mint: { json: { s: "{{graceSeconds}}" } } }, false, NOW + 5_400_000],
    ["as it always does", { overlap: { kind: "provider", lasts: "24h" } }, false, NOW + 86_400_000],
    ["as it says", { mint: { answer: { oldEndsAt: "/until" } } }, false, Date.UTC(2040, 0, 2)],
    [
      "at the end of its grace, as it does not say",
      { mint: { answer: { oldEndsAt: "/no" } } },
      false,
      NOW + INTENT.graceMs,
    ],
    ["by an earlier mint", { mint: { json: { h: "{{graceHours}}" } } }, true, undefined],
  ])("ends the old one %s", async (_, more, again, oldEndsAt) => {
    const body = { ...OK, until: "2040-01-02T00:00:00Z" };
    const { provider, asked } = open({ overlap: { kind: "provider" }, ...more }, [{ body }]);
    const result = await provider.mint(asked, { ...INTENT, again });
    expect("oldEndsAt" in result ? result.oldEndsAt : undefined).toBe(oldEndsAt);
  });

  it.each([{ lasts: "24h" }, {}])("ends no old one where there was none: %j", async (lasts) => {
    const body = { ...OK, until: "2040-01-02T00:00:00Z" };
    const parts = { overlap: { kind: "provider", ...lasts }, mint: { answer: { oldEndsAt: "/until" } } };
    const { provider, asked } = open(parts, [{ body }], { old: undefined });
    expect(await provider.mint(asked, INTENT)).not.toHaveProperty("oldEndsAt");
  });
});

describe("the answer to a test", () => {
  it.each<[status: number, body: unknown, more: Parts, kind: string]>([
    [200, {}, {}, "valid"],
    [200, "<html>", {}, "indeterminate"],
    [200, "OK", { test: { body: "any" } }, "valid"],
    [401, {}, {}, "rejected"],
    [403, {}, {}, "rejected"],
    [403, {}, { test: { rejected: [401] } }, "indeterminate"],
    [404, {}, {}, "indeterminate"],
    [422, {}, { test: { ok: [422] } }, "valid"],
    [500, {}, {}, "indeterminate"],
  ])("%i with %j", async (status, body, more, kind) => {
    const { provider, asked } = open(more, [{ status, body }]);
    expect((await provider.test?.(asked, VALUE))?.kind).toBe(kind);
  });
});

describe("the answer to a revocation", () => {
  it.each<[status: number, more: Parts, kind: string]>([
    [204, {}, "revoked"],
    [404, {}, "revoked"],
    [410, {}, "failed"],
    [410, { revoke: { gone: [404, 410] } }, "revoked"],
    [403, {}, "failed"],
  ])("%i", async (status, more, kind) => {
    const { provider, sent, asked } = open(more, [{ status, body: "" }]);
    expect((await provider.revoke?.(asked, { ...VALUE, reference: "a/b" }))?.kind).toBe(kind);
    expect(sent[0]?.url).toBe(`${API}/keys/a%2Fb`);
  });
});

describe("a search", () => {
  const MARKER = "rekey-rot_1-1";

  it("finds what holds the marker as a whole, and nothing else", async () => {
    const keys = [
      { id: 1, name: MARKER },
      { id: 2, name: `${MARKER}0` },
      { id: 3, name: `billing ${MARKER} (auto)` },
      { id: 4, name: `${MARKER}0 ${MARKER}` },
      { id: 5, name: "of a person" },
      { id: 6 },
    ];
    const { provider, asked } = open({}, [{ body: { keys } }]);
    expect(await provider.find?.(asked, MARKER)).toMatchObject({
      kind: "listed",
      references: ["1", "3", "4"],
    });
  });

  it.each<[what: string, body: unknown]>([
    ["no list", { keys: {} }],
    ["nothing", ""],
    ["a find without a name", { keys: [{ name: MARKER }] }],
  ])("that answers %s says nothing", async (_, body) => {
    const { provider, asked } = open({}, [{ body }]);
    expect((await provider.find?.(asked, MARKER))?.kind).toBe("failed");
  });

  it("goes on to the last page, by what the answer or its last item says", async () => {
    const pages = (more: Parts) => ({ find: { answer: { pages: { parameter: "after", ...more } } } });
    const first = { keys: [{ id: "a/1", name: "x" }], next: "p2", more: true };
    const last = { keys: [{ id: "b", name: MARKER }], next: null, more: false };
    const byAnswer = open(pages({ next: "/next" }), [{ body: first }, { body: last }]);
    expect(await byAnswer.provider.find?.(byAnswer.asked, MARKER)).toMatchObject({ references: ["b"] });
    expect(byAnswer.sent.map(({ url }) => url)).toEqual([`${API}/keys`, `${API}/keys?after=p2`]);
    const byItem = open(pages({ lastItem: "/id", more: "/more" }), [{ body: first }, { body: last }]);
    expect(await byItem.provider.find?.(byItem.asked, MARKER)).toMatchObject({ references: ["b"] });
    expect(byItem.sent.map(({ url }) => url)).toEqual([`${API}/keys`, `${API}/keys?after=a%2F1`]);
    const endless = open(pages({ next: "/next" }), [{ body: first }]);
    expect((await endless.provider.find?.(endless.asked, MARKER))?.kind).toBe("failed");
    const lost = open(pages({ lastItem: "/uid", more: "/more" }), [{ body: first }]);
    expect((await lost.provider.find?.(lost.asked, MARKER))?.kind).toBe("failed");
    const cut = open(pages({ next: "/next" }), [{ body: first }, { status: 500, body: {} }]);
    expect((await cut.provider.find?.(cut.asked, MARKER))?.kind).toBe("failed");
  });
});
