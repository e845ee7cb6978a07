/** Batches in the keyring's own object: what they cost, what becomes of one when the object dies, what is said of a service outside. */
import { describe, expect, it } from "vitest";
import type { BatchPlanView, BatchView } from "../../src/keyring/operations/batches.ts";
import { FAKES } from "../lab/services/registry.ts";
import { openAccount } from "../support/account.ts";
import { eventually } from "../support/eventually.ts";
import { crash, inside, quiet, runUntil } from "../support/inside.ts";
import { type Meter, meter } from "../support/meter.ts";
import { makeScene, type Scene } from "../support/scene.ts";

const ALL = { select: { all: true }, reason: "a test" };
const LEASE_MS = 45_000;

async function withKeys(count: number, to: string): Promise<Scene> {
  const scene = await makeScene();
  await scene.kv("store", { propagation: "0" });
  await scene.webhook("hook");
  for (let n = 0; n < count; n++) {
    await scene.startKey({ name: `key-${n}`, destinations: [{ id: to, as: `key-${n}` }] });
  }
  await quiet(scene);
  scene.journal.length = 0;
  return scene;
}

function begin(scene: Scene, body: object = ALL): Promise<BatchView> {
  return scene.must<BatchView>("POST", "/v1/rotations", body);
}

function read(scene: Scene, { id }: BatchView): Promise<BatchView> {
  return scene.must<BatchView>("GET", `/v1/batches/${id}`);
}

async function ended(scene: Scene, batch: BatchView): Promise<BatchView> {
  await eventually(async () => expect((await read(scene, batch)).state).toBe("done"), 30_000);
  await quiet(scene);
  return read(scene, batch);
}

/** Rows that the object writes until a number of keys were rotated. */
async function rowsOf(scene: Scene, work: () => Promise<unknown>): Promise<number> {
  let found: Meter | undefined;
  await inside(scene, (_, state) => {
    found = meter(state);
  });
  await work();
  await quiet(scene);
  return inside(scene, () => {
    const { alarm: _, event: __, ...rows } = found?.writtenByTable() ?? {};
    found?.remove();
    return Object.values(rows).reduce((sum, count) => sum + count, 0);
  });
}

describe("a batch", () => {
  it("costs a few rows more for each key than rotations one by one", { timeout: 60_000 }, async () => {
    const count = 30;
    const scene = await withKeys(count, "store");
    const oneByOne = await rowsOf(scene, async () => {
      for (let n = 0; n < count; n++) await scene.rotate(`key-${n}`);
    });
    const asBatch = await rowsOf(scene, async () => ended(scene, await begin(scene)));
    const more = (asBatch - oneByOne) / count;
    expect(more).toBeLessThanOrEqual(5);
  });

  it("whose object dies in the middle goes on with it: each key is rotated once", async () => {
    const scene = await withKeys(20, "hook");
    const hook = scene.journal;
    const batch = await begin(scene);
    expect(batch).toMatchObject({ total: 20, started: 16, left: 4 });
    await crash(scene);
    await runUntil(scene, Date.now() + LEASE_MS);
    const done = await ended(scene, batch);
    expect(done).toMatchObject({ started: 20, succeeded: 20, failed: 0, left: 0 });
    const messages = hook.filter((line) => line.includes("key.version.ready"));
    expect(new Set(messages.map((line) => line.split(" ")[2]))).toEqual(new Set(["v2"]));
    const versions = await inside(scene, (store) => store.versions.select("WHERE number > 1"));
    expect(versions).toHaveLength(20);
  });
});

describe("a batch of keys at a service outside", () => {
  it("says how long it takes by what the service allows, and rotates them there", async () => {
    const cloudflare = FAKES.cloudflare;
    if (!cloudflare) throw new Error("no such fake");
    const fake = cloudflare.make();
    const beginning = cloudflare.begin(fake);
    const { scene, hook } = await openAccount(fake, beginning, "cloudflare");
    await scene.startKey({ name: "elsewhere", destinations: [{ id: "hook", as: "elsewhere" }] });
    await quiet(scene);
    const select = { connection: "account" };
    const { plan } = await scene.must<{ plan: BatchPlanView }>("POST", "/v1/rotations", {
      select,
      reason: "a test",
      dryRun: true,
    });
    const connection = (await scene.must<{ id: string }>("GET", "/v1/connections/account")).id;
    expect(plan).toMatchObject({
      keys: 1,
      select: { connection },
      accounts: [{ provider: "cloudflare", connection, keys: 1 }],
      estimate: {
        seconds: 1,
        words:
          "Cloudflare account token: 3 calls a key, 1,200 calls in 5 minutes allow 4 a second: about 1 second",
      },
    });
    expect(fake.journal).toEqual([]);
    const batch = await begin(scene, { select, reason: "a test" });
    expect(await ended(scene, batch)).toMatchObject({ total: 1, succeeded: 1 });
    expect(fake.journal.some((line) => line.startsWith("mint "))).toBe(true);
    expect(hook.versions.at(-1)).toBe(2);
  });
});
