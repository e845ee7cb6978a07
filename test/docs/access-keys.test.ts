/** The page about access keys: its example works as it stands. */
import { expect, it } from "vitest";
import page from "../../docs/access-keys.md?raw";
import { makeKeyring, request } from "../support/api.ts";
import { requestsOf } from "./examples.ts";

it("the example makes an access key that opens the API", async () => {
  const ring = await makeKeyring();
  const [example] = requestsOf(page);
  const made = await ring.call<{ secret: string; role: string }>(example?.method ?? "", example?.path ?? "", {
    body: example?.body,
  });
  expect(made).toMatchObject({ status: 201, body: { role: "operator" } });
  expect((await request(made.body.secret, "GET", "/v1/keys")).status).toBe(200);
});
