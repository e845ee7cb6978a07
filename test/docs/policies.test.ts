/** The page about policies: each of its examples works as it stands. */
import { expect, it } from "vitest";
import page from "../../docs/policies.md?raw";
import { policyOutSchema } from "../../src/api/policy-schema.ts";
import { makeKeyring } from "../support/api.ts";
import { requestsOf } from "./examples.ts";

it("every example is answered as it should be", async () => {
  const ring = await makeKeyring();
  await ring.call("POST", "/v1/destinations", { body: { name: "kv", type: "kv" } });
  const answers = [];
  for (const { method, path, body } of requestsOf(page)) {
    const answer = await ring.call(method, path, body === undefined ? {} : { body });
    answers.push(`${method} ${path}: ${answer.status}`);
  }
  expect(answers).toEqual([
    "POST /v1/policies: 201",
    "POST /v1/keys: 201",
    "PATCH /v1/policies/quarterly?dryRun=true: 200",
    "POST /v1/keys/checkout/rotate: 200",
    "POST /v1/settings/hold: 200",
    "POST /v1/settings/release: 200",
    "PATCH /v1/settings: 200",
  ]);
});

it("names every field of a policy", () => {
  const table = page.slice(0, page.indexOf("\n## "));
  const named = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name).sort();
  expect(named).toEqual(Object.keys(policyOutSchema.shape).sort());
});
