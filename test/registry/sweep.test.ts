/** Cron's sweep: whom it visits, how often, and what a visit repairs. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { keyringOf } from "../../src/keyring/stub.ts";
import { sweep } from "../../src/keyring/sweep.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { alarmAt, crash, inside, quiet, runUntil } from "../support/inside.ts";
import { inRegistry, insertKeyrings } from "../support/registry.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** The same bindings, with the visits to keyrings that were only listed answered by a count of them. */
function countVisits(visits: Map<string, number>, answer: (code: string) => unknown): Env {
  const counted = (code: string) => ({
    visit: async () => {
      visits.set(code, (visits.get(code) ?? 0) + 1);
      return await answer(code);
    },
  });
  const namespace = { idFromName: (code: string) => code, get: (code: string) => counted(code) };
  return { ...env, KEYRING: namespace as unknown as Env["KEYRING"] };
}

const nothingDue = () => ({ ok: true, value: { nextStartAt: null, started: 0, more: false } });

function nextStartAt(scene: Scene): Promise<unknown> {
  return inRegistry(
    (_, { storage }) =>
      storage.sql.exec("SELECT nextStartAt AS at FROM keyring WHERE code = ?", scene.code).one().at,
  );
}

async function makeScheduled(maxAge: string): Promise<Scene> {
  const scene = await makeScene();
  await scene.kv("store", { propagation: "0" });
  await scene.key({ destinations: ["store"], policy: { maxAge, grace: "0" } });
  return scene;
}

describe("the registry's row of a keyring", () => {
  it("is right again as soon as a scheduled rotation is over, without another call", async () => {
    const scene = await makeScheduled("1h");
    pass("1h");
    await cron();
    await quiet(scene);
    const { nextRotationAt } = await scene.read();
    expect(await nextStartAt(scene)).toBe(Date.parse(nextRotationAt ?? ""));
  });

  it.each([
    ["was never made", null],
    ["was of a later start", 24 * HOUR],
  ])("is right again at the next call, where the report that died with its instance %s", async (_, later) => {
    const scene = await makeScheduled("1h");
    const planned = Date.parse((await scene.read()).nextRotationAt ?? "");
    await eventually(async () => expect(await nextStartAt(scene)).toBe(planned));
    await inRegistry((_registry, { storage }) => {
      const told = later === null ? null : planned + later;
      storage.sql.exec("UPDATE keyring SET nextStartAt = ? WHERE code = ?", told, scene.code);
    });
    await scene.read();
    expect(await nextStartAt(scene)).not.toBe(planned);
    await crash(scene);
    await scene.read();
    await eventually(async () => expect(await nextStartAt(scene)).toBe(planned));
  });

  it("is right again after a failure, too", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "1h", deliverWithin: "10m" } });
    hook.fail(503);
    pass("1h");
    await cron();
    await runUntil(scene, Date.now() + 20 * MINUTE);
    const { nextRotationAt } = await scene.read();
    expect(await nextStartAt(scene)).toBe(Date.parse(nextRotationAt ?? ""));
  });
});

describe("a sweep", () => {
  it("visits a keyring again and again while it has more to start than one visit does", async () => {
    const visits = new Map<string, number>();
    const [code = ""] = await insertKeyrings(1, () => ({ nextStartAt: Date.now(), visitedAt: Date.now() }));
    let left = 3;
    const report = await sweep(
      countVisits(visits, () => {
        left -= 1;
        return {
          ok: true,
          value: { nextStartAt: left > 0 ? Date.now() : null, started: 200, more: left > 0 },
        };
      }),
      Date.now(),
    );
    expect(visits.get(code)).toBe(3);
    expect(report).toEqual({ visited: 3, failed: 0, started: 600 });
  });

  it("is not held up by keyrings that fail, and tries those again at the next cron", async () => {
    const scene = await makeScheduled("1h");
    pass("1h");
    // Listed and never made: their objects answer keyring-unknown.
    await insertKeyrings(3, () => ({ nextStartAt: Date.now() - HOUR, visitedAt: Date.now() }));
    expect(await sweep(env, Date.now())).toEqual({ visited: 4, failed: 3, started: 1 });
    await quiet(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    pass("5m");
    expect(await sweep(env, Date.now())).toEqual({ visited: 3, failed: 3, started: 0 });
  });

  it("is not held up by one that throws, either", async () => {
    const visits = new Map<string, number>();
    const codes = await insertKeyrings(3, () => ({ nextStartAt: Date.now(), visitedAt: Date.now() }));
    const report = await sweep(
      countVisits(visits, (code) => {
        if (code === codes[1]) throw new Error("the object was reset");
        return nothingDue();
      }),
      Date.now(),
    );
    expect(report).toEqual({ visited: 3, failed: 1, started: 0 });
    expect([...visits.keys()].toSorted()).toEqual(codes);
  });

  it("that was cut off is taken up by the next cron", async () => {
    const visits = new Map<string, number>();
    await insertKeyrings(2_000, () => ({ nextStartAt: Date.now(), visitedAt: Date.now() }));
    const bindings = countVisits(visits, nothingDue);
    const counts: number[] = [];
    for (let crons = 0; crons < 3; crons++) {
      counts.push((await sweep(bindings, Date.now())).visited);
      pass("5m");
    }
    expect(counts).toEqual([700, 700, 600]);
    expect(visits.size).toBe(2_000);
    expect(new Set(visits.values())).toEqual(new Set([1]));
  });

  it("full of rotations still leaves room for the daily visits", async () => {
    const visits = new Map<string, number>();
    const due = await insertKeyrings(1_000, () => ({ nextStartAt: Date.now(), visitedAt: Date.now() }));
    const unseen = await insertKeyrings(300, () => ({ nextStartAt: null, visitedAt: 0 }), "U");
    await sweep(countVisits(visits, nothingDue), Date.now());
    expect(due.filter((code) => visits.has(code))).toHaveLength(700);
    expect(unseen.filter((code) => visits.has(code))).toHaveLength(200);
  });
});

describe("the daily visit", () => {
  it("reaches 5,000 keyrings, each once a day, within six crons", async () => {
    const visits = new Map<string, number>();
    const made = await makeScheduled("300d");
    await inside(made, (_, state) => state.storage.deleteAlarm());
    await insertKeyrings(4_999, () => ({ nextStartAt: null, visitedAt: Date.now() }));
    const counted = countVisits(visits, (code) =>
      code === made.code ? keyringOf(env, code).visit() : { ok: false, error: { code: "keyring-unknown" } },
    );
    const crons: number[] = [];

    pass("23h");
    expect((await sweep(counted, Date.now())).visited).toBe(0);
    pass("1h");
    for (let n = 0; n < 11; n++) {
      crons.push((await sweep(counted, Date.now())).visited);
      pass("5m");
    }
    expect(crons).toEqual([900, 900, 900, 900, 900, 500, 0, 0, 0, 0, 0]);
    expect(visits.size).toBe(5_000);
    expect(new Set(visits.values())).toEqual(new Set([1]));
  });

  it("comes once in a day to a keyring that answers, and once an hour to one that does not", async () => {
    const visits = new Map<string, number>();
    const [good = "", bad = ""] = await insertKeyrings(2, () => ({
      nextStartAt: null,
      visitedAt: Date.now(),
    }));
    const bindings = countVisits(visits, (code) =>
      code === good ? nothingDue() : { ok: false, error: { code: "keyring-unknown" } },
    );
    pass("24h");
    for (let minutes = 0; minutes < 24 * 60; minutes += 5) {
      await sweep(bindings, Date.now());
      pass("5m");
    }
    expect(visits.get(good)).toBe(1);
    expect(visits.get(bad)).toBe(24);
  });

  it("repairs a registry row that says that nothing is scheduled", async () => {
    const scene = await makeScheduled("12h");
    await inRegistry((_, { storage }) => void storage.sql.exec("UPDATE keyring SET nextStartAt = NULL"));
    pass("13h");
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toEqual([]);
    pass("11h");
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toHaveLength(1);
    expect(await nextStartAt(scene)).toBe(Date.now() + 12 * HOUR);
  });

  it("sets a lost alarm again", async () => {
    const scene = await makeScheduled("300d");
    await scene.rotate("billing", { grace: "30h" });
    await quiet(scene);
    const { versions } = await scene.read();
    await inside(scene, (_, state) => state.storage.deleteAlarm());
    pass("24h");
    await cron();
    await quiet(scene);
    expect(await alarmAt(scene)).toBe(Date.parse(versions[0]?.graceEndsAt ?? ""));
    await runUntil(scene, Date.now() + 6 * HOUR);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });
});
