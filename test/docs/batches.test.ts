/** The page about batches: its examples work as they stand, and what it shows is what is answered. */
import { expect, it } from "vitest";
import page from "../../docs/batches.md?raw";
import { batchSchema } from "../../src/api/batches.ts";
import { COUNTED_WINDOW, MAX_STUCK, MAX_STUCK_AT_ONE, WINDOW } from "../../src/rotation/batch-round.ts";
import { FAILED_IN_ROW } from "../../src/rotation/batches.ts";
import { makeKey } from "../api/fixtures.ts";
import { makeKeyring } from "../support/api.ts";
import { requestsOf } from "./examples.ts";

it("every example is answered as it should be, the plan with what the page shows", async () => {
  const ring = await makeKeyring();
  await ring.call("POST", "/v1/destinations", { body: { name: "kv", type: "kv" } });
  const labels = { team: "payments" };
  await makeKey(ring, "checkout", { labels, destinations: [{ id: "kv" }] });
  const { id: lonely } = await makeKey(ring, "lonely", { labels });
  await ring.call("POST", "/v1/settings/hold", { body: { reason: "so that there is something to pause" } });
  let id = "";
  let plan: unknown;
  const answers = [];
  for (const { method, path, body } of requestsOf(page)) {
    const target = path.replace("{id}", id);
    const answer = await ring.call(method, target, body === undefined ? {} : { body });
    answers.push(`${method} ${path}: ${answer.status}`);
    if (answer.status === 202) id = String(answer.body.id);
    plan ??= answer.body.plan;
  }
  expect(answers).toEqual([
    "POST /v1/rotations: 200",
    "POST /v1/rotations: 202",
    "GET /v1/batches: 200",
    "POST /v1/batches/{id}/pause: 200",
    "POST /v1/batches/{id}/resume: 200",
    "POST /v1/batches/{id}/cancel: 200",
  ]);
  const [, shown = ""] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
  const expected = JSON.parse(shown.replace(/key_[0-9a-z]{26}/, lonely)) as { plan: object };
  expect(plan).toEqual({ ...expected.plan, waitsFor: expect.stringMatching(/hold/) });
});

it("explains every field of a batch that does not explain itself", () => {
  const named = [...page.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, names = ""]) => names.match(/\w+/g) ?? []);
  const plain = ["id", "select", "grace", "reason", "requestedBy", "createdAt", "endedAt"];
  expect([...named, ...plain].sort()).toEqual(Object.keys(batchSchema.shape).sort());
});

it("names the numbers that hold", () => {
  expect(page).toContain(`At most ${WINDOW} rotations`);
  expect(page).toContain(`${COUNTED_WINDOW} of one batch at a connection`);
  expect(page).toContain(`When ${MAX_STUCK_AT_ONE} at one connection wait like that, or ${MAX_STUCK} in all`);
  expect(page).toContain(`When ${FAILED_IN_ROW} rotations fail one after another`);
});
