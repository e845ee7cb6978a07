/** Six connections an invocation: whoever hangs keeps only their own. */
import { describe, expect, it } from "vitest";
import { compromiseVersion } from "../../src/rotation/compromise.ts";
import { pass } from "../support/clock.ts";
import { limitConnections } from "../support/connections.ts";
import { eventually } from "../support/eventually.ts";
import { quiet, startAlarm } from "../support/inside.ts";
import { watchObjects } from "../support/live.ts";
import { cron, makeScene } from "../support/scene.ts";

/** A keyring with receivers that have a delivery each and leave it unanswered. */
async function makeHanging(count: number) {
  const scene = await makeScene();
  await cron();
  const hook = await scene.webhook("healthy");
  const silent = await Promise.all(Array.from({ length: count }, (_, n) => scene.webhook(`silent-${n}`)));
  for (const { name } of silent) await scene.key({ name, destinations: [name] });
  await scene.key({ destinations: ["healthy"], policy: { grace: "1m" } });
  limitConnections();
  const held = silent.map((receiver) => receiver.hold(({ type }) => type !== "ping"));
  const release = () => held.forEach((answer) => void answer());
  return { scene, hook, silent, release };
}

describe("receivers that hang, more than an invocation has connections", () => {
  it("hold up neither each other nor a healthy one", async () => {
    const { scene, hook, silent, release } = await makeHanging(20);
    for (const { name } of silent) await scene.rotate(name);
    await eventually(() => expect(silent.map(({ versions }) => versions)).toEqual(silent.map(() => [1, 2])));
    const { id } = await scene.rotate();
    await scene.reaches(id, { state: "succeeded" });
    expect(hook.versions).toEqual([1, 2]);
    release();
    await quiet(scene);
  });

  it("do not keep an old value alive past its grace", async () => {
    const { scene, silent, release } = await makeHanging(20);
    const { id } = await scene.rotate();
    await scene.reaches(id, { state: "succeeded" });
    for (const { name } of silent) await scene.rotate(name);
    await eventually(() => expect(silent.every(({ versions }) => versions.length === 2)).toBe(true));
    pass("1m");
    await startAlarm(scene);
    await eventually(async () => expect(await scene.stages()).toEqual(["revoked", "current"]));
    release();
    await quiet(scene);
  });

  it("are all asked at once before a rotation", async () => {
    const scene = await makeScene();
    const names = Array.from({ length: 15 }, (_, n) => `slow-${n}`);
    const hooks = await Promise.all(names.map((name) => scene.webhook(name)));
    await scene.key({ name: "wide", destinations: names });
    pass("10m");
    limitConnections();
    const answers = hooks.map((receiver) => receiver.hold());
    const { id } = await scene.rotate("wide");
    await eventually(() => expect(hooks.every(({ pings }) => pings.length === 2)).toBe(true));
    for (const answer of answers) answer();
    await scene.reaches(id, { state: "succeeded" });
  });
});

describe("an emergency", () => {
  it("goes before all routine work, though that has every place and every connection", async () => {
    const objects = watchObjects();
    const { scene, hook, silent, release } = await makeHanging(70);
    for (const { name } of silent) await scene.rotate(name);
    await eventually(() => expect(silent.filter(({ versions }) => versions.length === 2)).toHaveLength(64));
    await objects.act(scene, ({ context }) => {
      const key = context.store.keys.byName("billing");
      const version = key && context.store.versions.current(key.id);
      if (!version) throw new Error("no version");
      compromiseVersion(context, version, { source: "test", actor: "root" });
    });
    await eventually(async () => expect(await scene.stages()).toEqual(["revoked", "current"]));
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    expect(silent.filter(({ versions }) => versions.length === 2)).toHaveLength(64);
    release();
    await quiet(scene);
  });
});
