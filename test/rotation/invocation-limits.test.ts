/** One invocation launches only so much, as the platform limits its calls; the next alarm goes on at once. */
import { describe, expect, it } from "vitest";
import { MAX_PER_INVOCATION } from "../../src/rotation/claims.ts";
import type { Store } from "../../src/store/store.ts";
import { keyRow, versionRow } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { alarmAt, inside, quiet, startAlarm } from "../support/inside.ts";
import { cron, makeScene } from "../support/scene.ts";

const COUNT = MAX_PER_INVOCATION + 150;

function stagesOf(store: Store): Record<string, number> {
  const stages: Record<string, number> = {};
  for (const { stage } of store.versions.select("")) stages[stage] = (stages[stage] ?? 0) + 1;
  return stages;
}

describe("more old versions than one invocation may retire", () => {
  it("are retired by two, the second at once", async () => {
    const scene = await makeScene();
    await cron();
    const now = Date.now();
    await inside(scene, (store, state) => {
      store.transaction(() => {
        for (let n = 0; n < COUNT; n++) {
          const keyId = `key_${n}`;
          store.keys.insert(keyRow({ id: keyId }));
          store.versions.insert(
            versionRow({
              id: `version-${n}`,
              keyId,
              reference: `version-${n}`,
              stage: "previous",
              graceEndsAt: now,
              endReason: "rotated",
              dueAt: now,
            }),
          );
        }
      });
      return state.storage.setAlarm(now);
    });
    await startAlarm(scene);
    await eventually(async () => {
      const { revoked = 0 } = await inside(scene, stagesOf);
      expect(revoked).toBe(MAX_PER_INVOCATION);
    });
    expect(await alarmAt(scene)).toBeLessThanOrEqual(now);
    await startAlarm(scene);
    await quiet(scene);
    expect(await inside(scene, stagesOf)).toEqual({ revoked: COUNT });
  });
});
