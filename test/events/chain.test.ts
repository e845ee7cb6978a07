/** The history has no gaps, and its hashes show what somebody changed in it. */
import { beforeEach, describe, expect, it } from "vitest";
import { sha256 } from "../../src/crypto/hash.ts";
import { secureRandom } from "../../src/crypto/random.ts";
import { appendEvent, verifyChain } from "../../src/events/chain.ts";
import type { ChainView } from "../../src/keyring/operations/events.ts";
import type { Store } from "../../src/store/store.ts";
import { pass } from "../support/clock.ts";
import { crash, inside, quiet, ring } from "../support/inside.ts";
import { makeScene, type Scene } from "../support/scene.ts";

let scene: Scene;

beforeEach(async () => {
  scene = await makeScene();
  await scene.webhook("hook");
  await scene.key({ destinations: ["hook"], policy: { grace: "1h" } });
  await scene.rotate();
  await quiet(scene);
});

/** Edits the history behind Rekey's back, then verifies it. */
function verifyAfter(edit: string, ...params: (string | number)[]) {
  return inside(scene, (store, { storage }) => {
    storage.sql.exec(edit, ...params).toArray();
    return found(store);
  });
}

/** What fits, apart from what was pruned: nothing was. */
function found(store: Store) {
  const { pruned, since: _, ...report } = verifyChain(store);
  expect(pruned).toBe(0);
  return report;
}

const overHttp = async () => {
  const { since: _, ...report } = await scene.must<ChainView>("GET", "/v1/events/verify");
  return report;
};

const count = () =>
  inside(scene, (_, { storage }) => Number(storage.sql.exec("SELECT count(*) AS n FROM event").one().n));

describe("the hash chain", () => {
  it("verifies, over HTTP too, and counts every event", async () => {
    const n = await count();
    expect(await verifyAfter("SELECT 1")).toEqual({ ok: true, count: n });
    // The call itself is an event, as root made it.
    expect(await overHttp()).toEqual({ ok: true, count: n + 1, pruned: 0 });
  });

  it("has no gap and begins at 1, also after crashes and a grace that ended", async () => {
    await crash(scene);
    pass("1h");
    await ring(scene);
    const seqs = await inside(scene, (_, { storage }) =>
      storage.sql
        .exec("SELECT seq FROM event ORDER BY seq")
        .toArray()
        .map(({ seq }) => seq),
    );
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    expect(await scene.must("GET", "/v1/events/verify")).toMatchObject({ ok: true });
  });

  it.each([
    ["type", "UPDATE event SET type = 'key.revoked' WHERE seq = 3"],
    ["time", "UPDATE event SET at = at + 1 WHERE seq = 3"],
    ["actor", "UPDATE event SET actor = 'cron' WHERE seq = 3"],
    ["key", "UPDATE event SET keyId = 'key_other' WHERE seq = 3"],
    ["data", "UPDATE event SET data = '{}' WHERE seq = 3"],
    ["data, by one space", "UPDATE event SET data = data || ' ' WHERE seq = 3"],
    ["id", "UPDATE event SET id = id || 'x' WHERE seq = 3"],
    ["hash", "UPDATE event SET hash = zeroblob(32) WHERE seq = 3"],
  ])("breaks where an event's %s was changed", async (_, edit) => {
    expect(await verifyAfter(edit)).toEqual({ ok: false, count: 2, brokenAt: 3 });
  });

  it("breaks at the event after one that was changed together with its own hash", async () => {
    const report = await inside(scene, (store, { storage }) => {
      const [previous, row] = store.events.after(1, 2);
      if (!previous || !row) throw new Error("too short a history");
      const forged = JSON.stringify([row.seq, row.id, row.type, row.at, "mallory", row.keyId, row.data]);
      const hash = sha256(Buffer.concat([previous.hash, Buffer.from(forged)]));
      storage.sql.exec("UPDATE event SET actor = 'mallory', hash = ? WHERE seq = ?", hash, row.seq);
      return found(store);
    });
    expect(report).toEqual({ ok: false, count: 3, brokenAt: 4 });
  });

  it("breaks where an event was dropped, the first included", async () => {
    expect(await verifyAfter("DELETE FROM event WHERE seq = 5")).toEqual({
      ok: false,
      count: 4,
      brokenAt: 5,
    });
    expect(await verifyAfter("DELETE FROM event WHERE seq = 1")).toEqual({
      ok: false,
      count: 0,
      brokenAt: 1,
    });
  });

  it("breaks where an event was dropped and the rest moved up", async () => {
    const moved = await verifyAfter(
      "DELETE FROM event WHERE seq = 4; UPDATE event SET seq = seq - 1 WHERE seq > 4",
    );
    expect(moved).toEqual({ ok: false, count: 3, brokenAt: 4 });
  });

  it("breaks where an event was slipped in", async () => {
    const slipped = await verifyAfter(`
      UPDATE event SET seq = -(seq + 1) WHERE seq >= 4;
      UPDATE event SET seq = -seq WHERE seq < 0;
      INSERT INTO event SELECT 4, 'evt_x', type, at, actor, keyId, data, hash, revision FROM event WHERE seq = 3`);
    expect(slipped).toEqual({ ok: false, count: 3, brokenAt: 4 });
  });

  it("breaks where two events changed places", async () => {
    const swapped = await verifyAfter(`
      UPDATE event SET seq = -3 WHERE seq = 3;
      UPDATE event SET seq = 3 WHERE seq = 4;
      UPDATE event SET seq = 4 WHERE seq = -3`);
    expect(swapped).toEqual({ ok: false, count: 2, brokenAt: 3 });
  });

  it("says so over HTTP", async () => {
    await verifyAfter("UPDATE event SET actor = 'cron' WHERE seq = 2");
    expect(await overHttp()).toEqual({ ok: false, count: 1, brokenAt: 2, pruned: 0 });
  });

  it("verifies thousands of events, and finds the one among them that was changed", async () => {
    const report = await inside(scene, (store) => {
      store.transaction(() => {
        for (let n = 0; n < 2_500; n++) {
          appendEvent(
            store.events,
            { type: "root.used", actor: "root", data: { n } },
            Date.now(),
            secureRandom,
          );
        }
      });
      return found(store);
    });
    expect(report).toEqual({ ok: true, count: await count() });
    expect(report.count).toBeGreaterThan(2_500);
    const broken = await verifyAfter("UPDATE event SET at = at + 1 WHERE seq = 2001");
    expect(broken).toEqual({ ok: false, count: 2_000, brokenAt: 2_001 });
  });
});
