/** The client that all providers share: what an answer means, and that nothing of it gets any further. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Outbound, OutboundAnswer } from "../../src/outbound/port.ts";
import type { OutboundRequest } from "../../src/outbound/transport.ts";
import {
  type ApiAnswer,
  type ApiRequest,
  callApi,
  lastUsedBy,
  listedBy,
  type Reading,
  readyBy,
  revokedBy,
  testedBy,
  unminted,
} from "../../src/providers/http-client.ts";

const CANARY = "canary_7f3a91c2d4e5";
const HOST = "api.acme.dev";
const REQUEST: ApiRequest = {
  method: "POST",
  url: `https://${HOST}/keys`,
  headers: { authorization: `Bearer ${CANARY}` },
};

const made = z.object({ secret: z.string() });
const readCode = (body: unknown) => z.object({ error: z.string() }).safeParse(body).data?.error;

/** A way out on which everything is answered alike. */
function wayTo(answer: Omit<OutboundAnswer, "report"> & { code?: string }, wait = 0) {
  const sent: OutboundRequest[] = [];
  const { code, ...rest } = answer;
  const outbound: Outbound = {
    async send(request) {
      sent.push(request);
      const status = rest.status === undefined ? {} : { status: rest.status };
      const said = code ?? (rest.status === undefined ? "network" : rest.status < 300 ? "ok" : "status");
      return { ...rest, report: { method: request.method, host: HOST, at: 1, code: said, ...status } };
    },
    readValue: () => Promise.reject(new Error("no namespace")),
    writeValue: () => Promise.reject(new Error("no namespace")),
    problemOf: () => undefined,
  };
  return { outbound, spend: () => wait, sent };
}

/** One call that is answered so. */
function ask(
  answer: Omit<OutboundAnswer, "report"> & { code?: string },
  reading: Partial<Reading<typeof made>> = {},
): Promise<ApiAnswer<z.output<typeof made>>> {
  return callApi(wayTo(answer), REQUEST, { schema: made, ...reading });
}

const json = (value: unknown) => JSON.stringify(value);

describe("a request", () => {
  const sentBy = async (request: ApiRequest) => {
    const way = wayTo({ status: 204 });
    await callApi(way, request, { schema: z.unknown() });
    return way.sent;
  };

  it("carries JSON, a form, or what was serialised already", async () => {
    expect(await sentBy({ ...REQUEST, json: { a: 1 } })).toMatchObject([
      { body: '{"a":1}', headers: { "content-type": "application/json", accept: "application/json" } },
    ]);
    expect(await sentBy({ ...REQUEST, form: { a: "1 2" } })).toMatchObject([
      { body: "a=1+2", headers: { "content-type": "application/x-www-form-urlencoded" } },
    ]);
    const text = { text: "<a/>", headers: { "content-type": "text/xml" } };
    expect(await sentBy({ ...REQUEST, ...text })).toMatchObject([
      { body: "<a/>", headers: { "content-type": "text/xml" } },
    ]);
  });

  it("without a body names no type, and may name another than JSON with one", async () => {
    const [bare] = await sentBy(REQUEST);
    expect(bare).not.toHaveProperty("body");
    expect(bare?.headers).not.toHaveProperty("content-type");
    const headers = { "content-type": "application/merge-patch+json" };
    expect(await sentBy({ ...REQUEST, json: {}, headers })).toMatchObject([{ headers }]);
  });

  it("puts what is there into the query, after what the address has already", async () => {
    const query = { page: 2, label: "a b", none: undefined };
    const urls = [
      ...(await sentBy({ ...REQUEST, query })),
      ...(await sentBy({ ...REQUEST, url: `${REQUEST.url}?v=1`, query })),
      ...(await sentBy({ ...REQUEST, query: { none: undefined } })),
    ].map(({ url }) => url);
    expect(urls).toEqual([
      `${REQUEST.url}?page=2&label=a+b`,
      `${REQUEST.url}?v=1&page=2&label=a+b`,
      REQUEST.url,
    ]);
  });

  it("may wait longer than others", async () => {
    expect(await sentBy({ ...REQUEST, timeoutMs: 60_000 })).toMatchObject([{ timeoutMs: 60_000 }]);
  });
});

describe("an answer", () => {
  it("that fits is a success", async () => {
    expect(await ask({ status: 201, body: json({ secret: "s", more: 1 }) })).toEqual({
      kind: "ok",
      value: { secret: "s" },
      status: 201,
      report: { method: "POST", host: HOST, at: 1, code: "ok", status: 201 },
    });
  });

  it.each([
    ["is no JSON", `<html>${CANARY}</html>`],
    ["is empty", ""],
    ["is another JSON", json({ other: CANARY })],
    ["was cut off", '{"secret": "canary_7f3a'],
  ])("of 200 that %s is unreadable", async (_, body) => {
    const answer = await ask({ status: 200, body });
    expect(answer).toMatchObject({
      kind: "unreadable",
      problem: `${HOST} answered 200 with something else than agreed`,
    });
    expect(json(answer)).not.toContain(CANARY);
  });

  it("may be read in another way than as JSON, its failures too", async () => {
    const reading = {
      parse: (text: string) => ({ secret: text.replaceAll(/<.>|<\/.>/g, ""), error: "Denied" }),
      errorCode: readCode,
    };
    expect(await ask({ status: 400, body: "<s>x</s>" }, reading)).toMatchObject({ code: "Denied" });
    expect(await ask({ status: 200, body: "<s>x</s>" }, { parse: reading.parse })).toMatchObject({
      value: { secret: "x" },
    });
  });

  it("whose failure is JSON although its success is not still says its code", async () => {
    const parse = (text: string) => {
      if (!text.startsWith("<")) throw new Error("no XML");
      return text;
    };
    const body = json({ error: "denied" });
    expect(await ask({ status: 400, body }, { parse, errorCode: readCode })).toMatchObject({
      code: "denied",
    });
  });

  it("with an error's code is a failure, whatever its status", async () => {
    const body = json({ secret: "s", error: "not_allowed" });
    expect(await ask({ status: 200, body }, { errorCode: readCode })).toMatchObject({
      kind: "status",
      status: 200,
      code: "not_allowed",
      problem: `${HOST} answered 200 not_allowed`,
    });
  });

  it("is a success by the statuses that were agreed, and no others", async () => {
    const body = json({ secret: "s" });
    expect(await ask({ status: 404, body }, { ok: [404] })).toMatchObject({ kind: "ok" });
    expect(await ask({ status: 200, body }, { ok: [201] })).toMatchObject({ kind: "status", status: 200 });
    expect(await ask({ status: 302, body })).toMatchObject({ kind: "status", status: 302 });
  });

  it.each([300, 302, 400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503])(
    "of %i says its status, and nothing of its body",
    async (status) => {
      const answer = await ask({ status, body: json({ message: CANARY }) });
      expect(answer).toMatchObject({ kind: "status", status, problem: `${HOST} answered ${status}` });
      expect(json(answer)).not.toContain(CANARY);
    },
  );

  it.each([
    ["a word", "invalid_grant", "invalid_grant"],
    ["dotted words", "Auth.Invalid-Key", "Auth.Invalid-Key"],
    ["a sentence", "the key is invalid", undefined],
    ["a secret", CANARY, undefined],
    ["anything with a digit", "E1234", undefined],
    ["what is too long", "a".repeat(49), undefined],
    ["nothing", "", undefined],
  ])("has %s for a code, or none", async (_, error, code) => {
    const answer = await ask({ status: 400, body: json({ error }) }, { errorCode: readCode });
    expect(answer).toMatchObject({
      kind: "status",
      code,
      problem: `${HOST} answered 400${code ? ` ${code}` : ""}`,
    });
    expect(json(answer)).not.toContain(CANARY);
  });

  it("says how long to wait, in its header or, which goes first, in its body", async () => {
    const retryAfterMs = (body: unknown) => z.object({ seconds: z.number() }).safeParse(body).data?.seconds;
    expect(await ask({ status: 429, retryAfterMs: 7_000 })).toMatchObject({ retryAfterMs: 7_000 });
    const both = { status: 429, retryAfterMs: 7_000, body: json({ seconds: 9 }) };
    expect(await ask(both, { retryAfterMs })).toMatchObject({ retryAfterMs: 9 });
    expect(await ask({ status: 429, body: json({ seconds: 9 }) }, { retryAfterMs })).toMatchObject({
      retryAfterMs: 9,
    });
    expect(await ask({ status: 429 })).not.toHaveProperty("retryAfterMs");
  });
});

describe("a call", () => {
  it.each(["timeout", "network"])("that was not answered (%s) is one of which nobody knows", async (code) => {
    expect(await ask({ code })).toMatchObject({
      kind: "no-answer",
      problem: `no answer from ${HOST} (${code})`,
      report: { code },
    });
  });

  it("beyond the account's budget is not sent, and says when it may be", async () => {
    const way = wayTo({ status: 200, body: "{}" }, 1_234);
    expect(await callApi(way, REQUEST, { schema: made })).toMatchObject({
      kind: "not-sent",
      isForGood: false,
      retryAfterMs: 1_234,
    });
    expect(way.sent).toEqual([]);
  });

  it("to an address that may not be called is not sent, ever", async () => {
    expect(await ask({ code: "refused-url:private-name" })).toMatchObject({
      kind: "not-sent",
      isForGood: true,
      problem: "its address may not be called (refused-url:private-name)",
    });
  });
});

describe("what a failure means", () => {
  const failed = async (status: number, error?: string, retryAfterMs?: number) => {
    const answer = await ask(
      { status, body: json({ error }), ...(retryAfterMs !== undefined && { retryAfterMs }) },
      { errorCode: readCode },
    );
    if (answer.kind === "ok") throw new Error("no failure");
    return answer;
  };
  const lost = async (code: string) => {
    const answer = await ask({ code });
    if (answer.kind === "ok") throw new Error("no failure");
    return answer;
  };
  const unreadable = async () => {
    const answer = await ask({ status: 200, body: CANARY });
    if (answer.kind === "ok") throw new Error("no failure");
    return answer;
  };
  const overBudget = async () => {
    const answer = await callApi(wayTo({}, 500), REQUEST, { schema: made });
    if (answer.kind === "ok") throw new Error("no failure");
    return answer;
  };

  it.each([
    [400, "refused"],
    [401, "refused"],
    [403, "refused"],
    [404, "refused"],
    [409, "refused"],
    [422, "refused"],
    [302, "in-doubt"],
    [408, "in-doubt"],
    [429, "postponed"],
    [500, "in-doubt"],
    [502, "in-doubt"],
    [503, "in-doubt"],
    [504, "in-doubt"],
  ])("to a mint that was answered %i: %s", async (status, kind) => {
    expect(unminted(await failed(status))).toMatchObject({ kind, report: { status } });
  });

  it("to a mint: an error in a 200 is a refusal, a known idempotency key a conflict", async () => {
    expect(unminted(await failed(200, "quota"))).toMatchObject({ kind: "refused" });
    expect(unminted(await failed(409, "key_reused"), ["key_reused"])).toMatchObject({ kind: "conflict" });
    expect(unminted(await failed(409, "other"), ["key_reused"])).toMatchObject({ kind: "refused" });
    expect(unminted(await failed(500, "key_reused"), ["key_reused"])).toMatchObject({ kind: "conflict" });
  });

  it("to a mint: what got no clear answer is in doubt, what was not sent is not", async () => {
    expect(unminted(await lost("timeout"))).toMatchObject({ kind: "in-doubt" });
    expect(unminted(await unreadable())).toMatchObject({ kind: "in-doubt" });
    expect(unminted(await lost("refused-url:has-port"))).toMatchObject({ kind: "refused" });
    expect(unminted(await overBudget())).toMatchObject({ kind: "postponed", retryAfterMs: 500 });
    expect(unminted(await failed(429, undefined, 9_000))).toMatchObject({ retryAfterMs: 9_000 });
  });

  it.each([
    [401, "rejected"],
    [403, "rejected"],
    [400, "indeterminate"],
    [404, "indeterminate"],
    [429, "indeterminate"],
    [500, "indeterminate"],
    [503, "indeterminate"],
  ])("to a test that was answered %i: %s", async (status, kind) => {
    expect(testedBy(await failed(status))).toMatchObject({ kind });
  });

  it("to a test: only what the provider names is a refusal, when it names any", async () => {
    expect(testedBy(await failed(403), { statuses: [401] })).toMatchObject({ kind: "indeterminate" });
    expect(testedBy(await failed(200, "invalid_auth"), { codes: ["invalid_auth"] })).toMatchObject({
      kind: "rejected",
    });
    expect(testedBy(await failed(400, "other"), { codes: ["invalid_auth"] })).toMatchObject({
      kind: "indeterminate",
    });
    for (const answer of [await lost("network"), await unreadable(), await overBudget()]) {
      expect(testedBy(answer)).toMatchObject({ kind: "indeterminate" });
    }
    expect(testedBy(await ask({ status: 200, body: json({ secret: "s" }) }))).toMatchObject({
      kind: "valid",
    });
  });

  it("to a revocation: gone already is gone, everything else has failed", async () => {
    expect(revokedBy(await ask({ status: 200, body: json({ secret: "s" }) }))).toMatchObject({
      kind: "revoked",
    });
    expect(revokedBy(await failed(404))).toMatchObject({ kind: "revoked", report: { status: 404 } });
    expect(revokedBy(await failed(404), { gone: [410] })).toMatchObject({ kind: "failed" });
    expect(revokedBy(await failed(400, "no_such_key"), { goneCodes: ["no_such_key"] })).toMatchObject({
      kind: "revoked",
    });
    for (const status of [401, 403, 409, 429, 500]) {
      expect(revokedBy(await failed(status))).toMatchObject({ kind: "failed" });
    }
    for (const answer of [await lost("network"), await unreadable(), await overBudget()]) {
      expect(revokedBy(answer)).toMatchObject({ kind: "failed" });
    }
  });

  it("to a preflight, a list and a question for the last use: a value, or later", async () => {
    const ok = await ask({ status: 200, body: json({ secret: "s" }) });
    expect(readyBy(ok, "acme")).toMatchObject({ kind: "green", account: "acme" });
    expect(readyBy(ok)).not.toHaveProperty("account");
    expect(listedBy(ok, ({ secret }) => [secret])).toMatchObject({ kind: "listed", references: ["s"] });
    expect(lastUsedBy(ok, () => 7)).toMatchObject({ kind: "told", at: 7 });
    const busy = await failed(429, undefined, 9_000);
    expect(readyBy(busy)).toMatchObject({ kind: "red", retryAfterMs: 9_000 });
    expect(listedBy(busy, () => [])).toMatchObject({ kind: "failed", retryAfterMs: 9_000 });
    expect(lastUsedBy(busy, () => 7)).toMatchObject({ kind: "failed", retryAfterMs: 9_000 });
  });
});
