/**
 * Something that people do, and something that fails near it: each pair for each kind of service. All moments of each pair would take an
 * hour, so that each is tried at a few, spread over the rotation by a hash of its name: the same ones every time. `SIM_MOMENTS` tries
 * more of them.
 */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { INTERRUPTIONS } from "./people.ts";
import { findBroken, HONEST, KEY, KINDS, open, type Run, runRotation } from "./scene.ts";
import type { Abilities } from "./service.ts";
import { FAULTS } from "./simulator.ts";

const MOMENTS = Number(process.env.SIM_MOMENTS ?? 3);
/** The fault comes at the call during or after which somebody acts, or at one of the next. */
const NEAR = 3;
/** While the call is on its way, and when its answer has been taken in. */
const DELAYS_MS = [25, 75];

/** A whole number that is always the same for one name. */
function numberOf(name: string): number {
  return createHash("sha256").update(name).digest().readUInt32BE(0);
}

describe.each(HONEST)("a key of a service with overlap %s", (kind) => {
  const abilities: Abilities = { overlap: "ours", ...KINDS[kind] };
  it.each(Object.entries(INTERRUPTIONS))(
    "keeps its promises when %s meets a fault",
    async (name, interrupt) => {
      const calm = open(abilities, () => undefined);
      await runRotation(calm);
      const { calls } = calm.simulator;
      const broken: string[] = [];
      for (const fault of FAULTS) {
        for (let moment = 0; moment < MOMENTS; moment++) {
          const number = numberOf(`${kind}/${name}/${fault}/${moment}`);
          const at = number % calls.length;
          const failsAt = at + (moment % NEAR);
          const delayMs = DELAYS_MS[(number >>> 16) % DELAYS_MS.length] ?? 0;
          const run: Run = open(abilities, (index) => {
            if (index === at)
              run.simulator.after(delayMs, () => run.simulator.act((context) => interrupt(context, KEY)));
            return index === failsAt ? fault : undefined;
          });
          await runRotation(run);
          const where = `${delayMs} ms after ${at} (${calls[at]}), ${fault} at ${failsAt}`;
          broken.push(...findBroken(run).map((text) => `${where}: ${text}`));
        }
      }
      expect(broken).toEqual([]);
    },
  );
});
