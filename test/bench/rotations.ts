/** Whole rotations a second, beside a floor that makes the same outside calls and nothing else. Both run on the same workerd, in turn. */
import { z } from "zod";
import { type Findings, median } from "./figure.ts";
import type { Stage, World } from "./stage.ts";

const KEYS = 300;
const ROUNDS = 5;
/** The floor may make this many calls at once; what is faster counts. */
const WIDTHS = [6, 64];
const HOOK = "hook";
/** An issued value's length. */
const VALUE = "rekey_".padEnd(80, "x");

const callsSchema = z.object({ posts: z.int(), valuesRead: z.int(), valuesWritten: z.int() });

export async function benchRotations(stage: Stage): Promise<Findings> {
  const world = await stage.open();
  await world.makeDestinations(HOOK);
  await world.makeKeys("app", KEYS, "0", ["kv", HOOK]);
  const floor = await makeFloor(world);
  const times = { rekey: [] as number[], floor: WIDTHS.map(() => [] as number[]) };
  for (let round = 0; round <= ROUNDS; round++) {
    const floorTimes: number[] = [];
    for (const width of WIDTHS) floorTimes.push(await floor(width));
    const rekeyTime = await rotate(world);
    // The first round warms up.
    if (round === 0) continue;
    times.rekey.push(rekeyTime);
    for (const [n, time] of floorTimes.entries()) times.floor[n]?.push(time);
  }
  const rateOf = (ms: number) => (KEYS / ms) * 1_000;
  const floors = times.floor.map(median);
  const best = Math.min(...floors);
  return {
    figures: [
      {
        name: `complete rotations (${KEYS} keys, KV and a webhook each)`,
        value: rateOf(median(times.rekey)),
        unit: "/s",
        against: { name: `floor, ${WIDTHS[floors.indexOf(best)]} calls at once`, value: rateOf(best) },
        target: { of: "ratio", atLeast: 0.5 },
      },
    ],
    tables: [],
  };
}

/** Rotates every key once. Returns the milliseconds from cron to the last old version's death. */
async function rotate(world: World): Promise<number> {
  await world.ask(callsSchema, "calls", {});
  const time = await world.rotateAll("app");
  const made = await world.ask(callsSchema, "calls", {});
  if (made.posts !== KEYS || made.valuesWritten !== KEYS || made.valuesRead !== 0) {
    throw new Error(
      `the floor makes ${KEYS} posts and ${KEYS} writes, the rotations made ${JSON.stringify(made)}`,
    );
  }
  return time;
}

/** What makes the calls of one round; it sends messages as long as those that came. */
async function makeFloor(world: World): Promise<(width: number) => Promise<number>> {
  const { receiver } = world;
  const last = (await receiver.tally())[HOOK];
  if (!last) throw new Error("the receiver got nothing");
  const headers = Object.fromEntries(
    Object.entries(last.headers).filter(([name]) => name.startsWith("webhook-") || name === "content-type"),
  );
  const burden = {
    rotations: KEYS,
    url: `http://${receiver.host}/floor`,
    headers,
    body: last.body,
    value: VALUE,
  };
  return async (width) => {
    const begun = performance.now();
    await world.ask(z.null(), "floor", { ...burden, width });
    return performance.now() - begun;
  };
}
