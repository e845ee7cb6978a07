/** A leak as it comes from GitHub, over HTTP: its public keys are served here, as a setting says where they are. */
import { generateKeyPairSync, sign } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { z } from "zod";
import { Client, createdKeySchema, verdictSchema } from "../../src/local/client.ts";
import { makeFolder, serve, until } from "./support.ts";

const ROOT_TOKEN = "a-root-token-for-this-test-only";
const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** Serves a document of public keys. Answers what each request to it brought along. */
async function serveKeys(document: object): Promise<{ host: string; seen: (string | undefined)[] }> {
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.setHeader("content-type", "application/json").end(JSON.stringify(document));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => server.close());
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

it("a token that GitHub found is replaced and refused, and GitHub is told that it was real", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const keys = await serveKeys({ public_keys: [{ key_identifier: "key-1", key: pem, is_current: true }] });
  const { origin } = await serve({
    REKEY_DATA: makeFolder(),
    ROOT_TOKEN,
    PRIVATE_ALLOWLIST: keys.host,
    GITHUB_KEYS_URL: `http://${keys.host}/public_keys`,
    GITHUB_TOKEN: "a-token-of-no-rights",
  });
  const client = new Client(origin, ROOT_TOKEN);
  const make = { name: "billing", provider: "issuer" };
  const { secret = "" } = await client.call(createdKeySchema, "POST", "/v1/keys", make);
  const report = async (signed: string, sent = signed) => {
    const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "der" });
    return fetch(`${origin}/hooks/github`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "github-public-key-identifier": "key-1",
        "github-public-key-signature": signature.toString("base64"),
      },
      body: sent,
    });
  };
  const body = JSON.stringify([{ token: secret, type: "rekey", url: "", source: "commit" }]);
  expect((await report(body, `${body} `)).status).toBe(401);
  const answer = await report(body);
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual([
    { token_hash: expect.stringMatching(/^[0-9a-f]{64}$/), token_type: "rekey", label: "true_positive" },
  ]);
  expect(keys.seen).toEqual(["Bearer a-token-of-no-rights"]);
  const summary = z.object({ items: z.array(z.object({ id: z.string(), state: z.string() })) });
  await until(
    async () => {
      const { items } = await client.call(summary, "GET", "/v1/compromises");
      return items[0]?.state === "closed" ? items[0] : undefined;
    },
    30_000,
    () => "the leaked value is not dead",
  );
  const verdict = await client.call(verdictSchema, "POST", "/v1/verify", { key: secret });
  expect(verdict.code).toBe("revoked");
});
