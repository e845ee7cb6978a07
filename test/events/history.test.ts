/** Every rotation leaves its events, and they can be found again. */
import { beforeEach, describe, expect, it } from "vitest";
import type { EventView } from "../../src/keyring/views.ts";
import { quiet, ring, runUntil } from "../support/inside.ts";
import { makeScene, type Scene } from "../support/scene.ts";

const HOUR = 3_600_000;

let scene: Scene;

beforeEach(async () => {
  scene = await makeScene();
});

/** All pages of the history, newest first. */
async function readAll(query: string): Promise<EventView[]> {
  const all: EventView[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: { items: EventView[]; nextCursor: string | null } = await scene.must(
      "GET",
      `/v1/events?${query}${cursor === "" ? "" : `&cursor=${cursor}`}`,
    );
    all.push(...page.items);
    cursor = page.nextCursor;
  }
  return all;
}

describe("the history of a rotation", () => {
  it("names the key, the rotation, the versions and who asked", async () => {
    await scene.webhook("hook");
    const key = await scene.key({ destinations: ["hook"], policy: { grace: "1h" } });
    const { id: rotationId } = await scene.rotate();
    await quiet(scene);
    await runUntil(scene, Date.now() + HOUR);
    const events = (await scene.events()).filter((event) => event.key === key.id);
    const { versions } = await scene.read();

    expect(events.map(({ type, actor, data }) => ({ type, actor, data }))).toEqual([
      { type: "key.created", actor: "root", data: { name: "billing", provider: "issuer", adopted: false } },
      {
        type: "delivery.succeeded",
        actor: "rekey",
        data: expect.objectContaining({ version: 1, revision: 1 }),
      },
      {
        type: "key.rotation.started",
        actor: "root",
        data: { rotationId, trigger: "manual", fromVersion: 1 },
      },
      {
        type: "delivery.succeeded",
        actor: "rekey",
        data: expect.objectContaining({ version: 2, revision: 2 }),
      },
      {
        type: "key.rotated",
        actor: "root",
        data: { rotationId, fromVersion: 1, toVersion: 2, graceEndsAt: versions[0]?.graceEndsAt },
      },
      { type: "key.revoked", actor: "rekey", data: { version: 1, reason: "rotated", confirmed: true } },
    ]);
  });

  it("says why one failed", async () => {
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { deliverWithin: "10m" } });
    hook.refuseDeliveries(503, ({ data }) => data.version === 2);
    const { id } = await scene.rotate();
    await runUntil(scene, Date.now() + HOUR);
    const types = (await scene.events()).map((event) => event.type);
    expect(types.slice(-4)).toEqual([
      "delivery.succeeded",
      "key.rotation.failed",
      "key.revoked",
      "health.changed",
    ]);
    expect((await scene.events("key.rotation.failed"))[0]?.data).toEqual({
      rotationId: id,
      state: "failed",
      problem: "a required destination did not confirm in time",
    });
    expect((await scene.events("key.revoked"))[0]?.data).toMatchObject({ version: 2, reason: "discarded" });
  });

  it("holds no value, in no event", async () => {
    const hook = await scene.webhook("hook");
    const { secret } = await scene.key({ destinations: ["hook"], policy: { grace: "0" } });
    await scene.rotate();
    await quiet(scene);
    await ring(scene);
    const text = JSON.stringify(await readAll("limit=100"));
    expect(text).not.toContain(secret);
    expect(text).not.toContain(hook.secret);
    expect(text).not.toContain(hook.signingSecret);
  });
});

describe("the list of events", () => {
  it("pages from the newest to the oldest, each once, whatever is added meanwhile", async () => {
    for (let n = 0; n < 10; n++) await scene.startKey({ name: `key-${n}` });
    const all = await readAll("limit=3");
    const created = all.filter((event) => event.type === "key.created").map((event) => event.data.name);
    expect(created).toEqual(Array.from({ length: 10 }, (_, n) => `key-${9 - n}`));
    const seqs = all.map((event) => event.seq);
    expect(seqs).toEqual(seqs.toSorted((a, b) => b - a));
    expect(new Set(seqs).size).toBe(seqs.length);
    expect(seqs.at(-1)).toBe(1);
  });

  it("is narrowed by key, by id or name, and by type", async () => {
    const { id } = await scene.startKey({ name: "one" });
    await scene.startKey({ name: "two" });
    for (const query of [`key=${id}`, "key=one"]) {
      expect((await readAll(query)).map((event) => [event.type, event.key])).toEqual([["key.created", id]]);
    }
    expect(await readAll("type=key.created&limit=1")).toHaveLength(2);
    expect(await readAll("type=key.created&key=two")).toHaveLength(1);
    expect(await readAll("type=key.revoked")).toEqual([]);
  });

  it("refuses a type that does not exist and a cursor that is not its own", async () => {
    const status = async (query: string) => (await scene.keyring.call("GET", `/v1/events?${query}`)).status;
    expect(await status("type=key.exploded")).toBe(422);
    expect(await status("cursor=%21%21")).toBe(422);
    expect(await status(`cursor=${Buffer.from("key_abc").toString("base64url")}`)).toBe(422);
  });
});
