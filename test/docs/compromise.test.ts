/** The page about leaks: each of its examples works as it stands. */
import { http } from "msw";
import { Webhook } from "standardwebhooks";
import { expect, it } from "vitest";
import page from "../../docs/compromise.md?raw";
import { makeKey } from "../api/fixtures.ts";
import { makeKeyring, request } from "../support/api.ts";
import { network } from "../support/network.ts";
import { requestsOf } from "./examples.ts";

it("every example is answered as it should be", async () => {
  network.use(http.get("https://api.github.com/rate_limit", () => Response.json({ resources: {} })));
  const ring = await makeKeyring();
  await makeKey(ring, "legacy", { fields: { secret: "an-old-value-of-ours" } });
  const answers = [];
  for (const { method, path, body } of requestsOf(page)) {
    const answer = await ring.call<{ leaks?: number; secret?: string }>(
      method,
      path,
      body === undefined ? {} : { body },
    );
    const { leaks } = answer.body;
    answers.push(`${method} ${path}: ${answer.status}${leaks === undefined ? "" : `, leaks: ${leaks}`}`);
  }
  expect(answers).toEqual([
    "POST /v1/compromises: 201, leaks: 1",
    "GET /v1/compromises?matched=true: 200",
    "PUT /v1/signals/standard: 200",
    "POST /v1/connections: 201",
    "PUT /v1/signals/github: 200",
  ]);
});

it("a scanner's message is believed as it stands there", async () => {
  const ring = await makeKeyring();
  const { secret } = (await ring.call<{ secret: string }>("PUT", "/v1/signals/standard", { body: {} })).body;
  const [, text = ""] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
  const body = JSON.stringify(JSON.parse(text));
  const headers = {
    "webhook-id": "msg_1",
    "webhook-timestamp": String(Math.floor(Date.now() / 1_000)),
    "webhook-signature": new Webhook(secret).sign("msg_1", new Date(), body),
  };
  const answer = await request(null, "POST", `/hooks/${ring.code}/standard`, { rawBody: body, headers });
  expect(answer).toMatchObject({ status: 202, body: { accepted: true } });
});
