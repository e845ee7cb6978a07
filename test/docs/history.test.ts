/** The page about the history: each of its examples works as it stands, and the answer that it shows is one. */
import { expect, it } from "vitest";
import page from "../../docs/history.md?raw";
import { makeKeyring } from "../support/api.ts";
import { requestsOf } from "./examples.ts";

it("every example is answered as it should be", async () => {
  const ring = await makeKeyring();
  const answers = [];
  for (const { method, path, body } of requestsOf(page)) {
    const answer = await ring.call(method, path, body === undefined ? {} : { body });
    answers.push(`${method} ${path}: ${answer.status}`);
  }
  expect(answers).toEqual([
    "GET /v1/events?type=key.rotated&limit=20: 200",
    "GET /v1/events/verify: 200",
    "PATCH /v1/settings: 200",
  ]);
});

it("shows what a look at the chain answers", async () => {
  const ring = await makeKeyring();
  const [, shown = ""] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
  const { body } = await ring.call<object>("GET", "/v1/events/verify");
  expect(Object.keys(JSON.parse(shown)).sort()).toEqual(Object.keys(body).sort());
});
