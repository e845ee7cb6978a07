/** Bodies that are no JSON, do not say so, or are too large: refused before anything is done. */
import { exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { ROOT } from "../support/api.ts";
import { expectProblem, type Furnished, furnish, snapshot } from "./fixtures.ts";
import { ROUTES } from "./routes.ts";

const MAX_BODY_BYTES = 64 * 1024;

let ring: Furnished;
beforeAll(async () => {
  ring = await furnish();
});

const withBody = ROUTES.filter(({ body }) => body !== undefined);

describe.each(withBody)("$method $path", ({ method, path, body }) => {
  it.each([
    ["an empty body", ""],
    ["half an object", '{"name":"x"'],
    ["two objects", '{"name":"x"}{}'],
    ["single quotes", "{'name':'x'}"],
    ["a trailing comma", '{"name":"x",}'],
    ["a comment", '{/* */"name":"x"}'],
    ["NaN", '{"name":NaN}'],
    ["a raw line break in a string", '{"name":"a\nb"}'],
    ["a form", "name=x"],
    ["a null byte", "\0"],
  ])("refuses %s and changes nothing", async (_, rawBody) => {
    const before = await snapshot(ring);
    expectProblem(await ring.call(method, path, { rawBody }), 400, "malformed-json");
    expect(await snapshot(ring)).toEqual(before);
  });

  it.each(["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "*/*", "json"])(
    "refuses JSON that says it is %s and changes nothing",
    async (type) => {
      const before = await snapshot(ring);
      const answer = await ring.call(method, path, { body, headers: { "content-type": type } });
      expectProblem(answer, 400, "malformed-json");
      expect(await snapshot(ring)).toEqual(before);
    },
  );

  it("refuses a body of more than 64 KiB and changes nothing", async () => {
    const before = await snapshot(ring);
    const rawBody = JSON.stringify(body).padEnd(MAX_BODY_BYTES + 1);
    expectProblem(await ring.call(method, path, { rawBody }), 413, "body-too-large");
    expect(await snapshot(ring)).toEqual(before);
  });

  it("refuses a body of unstated length once it passes 64 KiB", async () => {
    const before = await snapshot(ring);
    const bytes = new TextEncoder().encode(JSON.stringify(body).padEnd(MAX_BODY_BYTES + 1));
    expectProblem(await sendInPieces(method, path, bytes), 413, "body-too-large");
    expect(await snapshot(ring)).toEqual(before);
  });
});

describe("a body", () => {
  it("of exactly 64 KiB is read, whether its length is stated or not", async () => {
    const bodyOf = (name: string) => JSON.stringify({ name, provider: "issuer" }).padEnd(MAX_BODY_BYTES);
    expect((await ring.call("POST", "/v1/keys", { rawBody: bodyOf("stated") })).status).toBe(201);
    const bytes = new TextEncoder().encode(bodyOf("unstated"));
    expect((await sendInPieces("POST", "/v1/keys", bytes)).status).toBe(201);
  });

  it("may say its character set", async () => {
    const headers = { "content-type": "Application/JSON; charset=utf-8" };
    const body = { name: "with-charset", provider: "issuer" };
    expect((await ring.call("POST", "/v1/keys", { body, headers })).status).toBe(201);
  });

  it("is counted in bytes, not in characters", async () => {
    const rawBody = JSON.stringify({
      name: "x",
      provider: "issuer",
      subject: "é".repeat(MAX_BODY_BYTES / 2),
    });
    expectProblem(await ring.call("POST", "/v1/keys", { rawBody }), 413, "body-too-large");
  });
});

/** Sends a stream, whose length nobody knows beforehand. */
async function sendInPieces(method: string, path: string, bytes: Uint8Array) {
  const pieces = [bytes.slice(0, 40_000), bytes.slice(40_000)];
  const response = await exports.default.fetch(`https://rekey.test${path}`, {
    method,
    headers: {
      authorization: `Bearer ${ROOT}`,
      "rekey-keyring": ring.name,
      "content-type": "application/json",
    },
    body: new ReadableStream<Uint8Array>({
      pull(controller) {
        const piece = pieces.shift();
        if (piece) controller.enqueue(piece);
        else controller.close();
      },
    }),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}
