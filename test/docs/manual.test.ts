/** The page about keys that only a person can make: its example goes from the reminder to the end of the old value. */
import { http } from "msw";
import { expect, it } from "vitest";
import page from "../../docs/manual.md?raw";
import { parseDuration } from "../../src/duration.ts";
import { at, pass, setTime } from "../support/clock.ts";
import { quiet, ring, runUntil } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { cron, makeScene } from "../support/scene.ts";
import { requestsOf } from "./examples.ts";

/** What the service lets in, and what it was shown. */
function serve(accepted: Set<string>): string[] {
  const shown: string[] = [];
  network.use(
    http.get("https://api.anthropic.com/v1/models", ({ request }) => {
      const secret = request.headers.get("x-api-key") ?? "";
      shown.push(secret);
      return accepted.has(secret)
        ? Response.json({ data: [] })
        : Response.json({ type: "error", error: { type: "authentication_error" } }, { status: 401 });
    }),
  );
  return shown;
}

it("the example reminds, takes the new value, and sees the old one dead", async () => {
  const [create, handIn, abandon] = requestsOf(page);
  const body = create?.body as { issuedAt: string; fields: { secret: string }; config: { runbook: object } };
  if (!handIn) throw new Error("the page hands nothing in");
  const fresh = (handIn.body as typeof body).fields.secret;
  const accepted = new Set([body.fields.secret, fresh]);
  serve(accepted);
  const scene = await makeScene();
  await scene.kv("kv", { propagation: "0" });
  await scene.must(create?.method ?? "", create?.path ?? "", {
    ...body,
    issuedAt: new Date(Date.now()).toISOString(),
  });
  await quiet(scene);
  expect(await scene.inKv("anthropic")).toBe(body.fields.secret);

  setTime(at((await scene.read("anthropic")).nextRotationAt));
  await cron();
  const [due, ...more] = await scene.events("key.due");
  expect(more).toEqual([]);
  const [shown = "{}"] = /```json\n([\s\S]*?)```/.exec(page)?.slice(1) ?? [];
  const { data, type } = JSON.parse(shown);
  expect(due).toMatchObject({ type, data: { ...data, since: due?.at, todo: expect.any(String) } });
  expect(Object.keys(due?.data ?? {})).toEqual(Object.keys(data));
  const key = (await scene.read("anthropic")).id;
  expect(due?.data.todo).toBe(data.todo.replace("key_01", key));

  await scene.must(handIn.method, handIn.path, handIn.body);
  await quiet(scene);
  expect(await scene.inKv("anthropic")).toBe(fresh);
  await runUntil(scene, Date.now() + parseDuration("25h"));
  expect(await scene.stages("anthropic")).toEqual(["revoking", "current"]);
  expect((await scene.events("key.due")).map((event) => event.data.do)).toEqual(["replace", "revoke"]);
  accepted.delete(body.fields.secret);
  await runUntil(scene, Date.now() + parseDuration("2h"));
  expect(await scene.stages("anthropic")).toEqual(["revoked", "current"]);
  expect((await scene.read("anthropic")).versions[0]).toMatchObject({ confirmed: true, due: null });
  expect(abandon?.path).toBe("/v1/keys/anthropic/versions/1/abandon");
  pass("1h");
  await ring(scene);
});
