/** The page about connections: each of its examples works as it stands. */
import "../support/standin.ts";
import { expect, it } from "vitest";
import page from "../../docs/connections.md?raw";
import { makeKey, settle } from "../api/fixtures.ts";
import { makeKeyring } from "../support/api.ts";
import { Standin } from "../support/standin.ts";
import { requestsOf } from "./examples.ts";

it("every example is answered as it should be", async () => {
  const opener = "the-value-of-the-opener";
  new Standin(["the-admin-credential", "the-next-admin-credential", opener]);
  const ring = await makeKeyring();
  await ring.call("POST", "/v1/destinations", { body: { name: "kv", type: "kv" } });
  await makeKey(ring, "opener", { fields: { secret: opener }, destinations: [{ id: "kv" }] });
  const answers = [];
  for (const { method, path, body } of requestsOf(page)) {
    const answer = await ring.call(method, path, body === undefined ? {} : { body });
    answers.push(`${method} ${path}: ${answer.status}`);
    await settle(ring);
  }
  expect(answers).toEqual([
    "POST /v1/connections: 201",
    "POST /v1/connections: 201",
    "POST /v1/keys: 201",
    "POST /v1/connections/production/test: 200",
    "PATCH /v1/connections/production: 200",
  ]);
});
