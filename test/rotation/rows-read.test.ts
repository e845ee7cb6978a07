/** What an object that is awake reads when it is called for nothing: no more the larger its keyring or its schema is. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { keyringOf } from "../../src/keyring/stub.ts";
import { inside, stubOf } from "../support/inside.ts";
import { meter } from "../support/meter.ts";
import { makeScene, type Scene } from "../support/scene.ts";

/** Rows read by a call, the second of its kind: the first one has learnt what there is. */
async function rowsRead(scene: Scene, call: () => Promise<unknown>): Promise<number> {
  await call();
  const seen = await inside(scene, (_, state) => meter(state));
  await call();
  return inside(scene, () => {
    const rows = seen.statements().reduce((sum, one) => sum + one.rowsRead, 0);
    seen.remove();
    return rows;
  });
}

it("an alarm that finds nothing due reads next to nothing", async () => {
  const scene = await makeScene();
  await scene.key({});
  const ring = async () => {
    await inside(scene, (_, { storage }) => storage.setAlarm(Date.now()));
    expect(await runDurableObjectAlarm(stubOf(scene))).toBe(true);
  };
  expect(await rowsRead(scene, ring)).toBeLessThanOrEqual(2);
});

it("a visit of cron that finds nothing due reads a row for each fact of health once a day, and else two at most", async () => {
  const scene = await makeScene();
  await scene.key({});
  const visit = () => keyringOf(env, scene.code).visit();
  expect(await rowsRead(scene, visit)).toBeLessThanOrEqual(12);
  expect(await rowsRead(scene, visit)).toBeLessThanOrEqual(2);
});
