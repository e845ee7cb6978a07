/** The page about connections: each of its examples works as it stands, but for the credentials. */
import { expect, it } from "vitest";
import page from "../../docs/connections.md?raw";
import { makeKey, settle } from "../api/fixtures.ts";
import { FakeSendgrid } from "../lab/services/sendgrid.ts";
import { serve } from "../support/account.ts";
import { makeKeyring } from "../support/api.ts";
import { requestsOf } from "./examples.ts";

it("every example is answered as it should be", async () => {
  const fake = new FakeSendgrid();
  serve(fake);
  const ring = await makeKeyring();
  await ring.call("POST", "/v1/destinations", { body: { name: "kv", type: "kv" } });
  await makeKey(ring, "opener", { fields: { secret: fake.admin }, destinations: [{ id: "kv" }] });
  const answers = [];
  for (const { method, path, body } of requestsOf(
    page.replace(/the-(next-)?admin-credential/g, fake.admin),
  )) {
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
