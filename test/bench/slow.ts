/** One service that takes a minute to answer, and a key that has nothing to do with it: how late does its old version die? */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { rotationSchema } from "../../src/local/client.ts";
import { type Findings, median } from "./figure.ts";
import type { Stage, World } from "./stage.ts";

const SLOW_KEYS = 30;
const ROUNDS = 3;
const GRACE = "3s";
const POLL_MS = 5;
const WITHIN_MS = 30_000;

const versionSchema = z.object({
  stage: z.string(),
  promotedAt: z.number().nullable(),
  graceEndsAt: z.number().nullable(),
});
const begunSchema = z.object({ rotation: rotationSchema });

interface Seen {
  /** From the call that started the rotation until the new version was current. Milliseconds. */
  rotated: number;
  /** From the end of the grace until the old version was revoked. Milliseconds. */
  late: number;
}

export async function benchSlow(stage: Stage): Promise<Findings> {
  const world = await stage.open();
  await world.makeDestinations("healthy", "slow");
  await world.makeKeys("healthy", 1, GRACE, ["kv", "healthy"]);
  const slow = await world.makeKeys("slow", SLOW_KEYS, GRACE, ["kv", "slow"]);
  const alone: Seen[] = [];
  const beside: Seen[] = [];
  let version = 0;
  for (let round = 0; round < ROUNDS; round++) alone.push(await rotateHealthy(world, ++version));
  await hang(world, slow);
  for (let round = 0; round < ROUNDS; round++) beside.push(await rotateHealthy(world, ++version));
  const midOf = (seen: readonly Seen[], what: keyof Seen) => median(seen.map((one) => one[what]));
  const delay = Math.max(0, midOf(beside, "late") - midOf(alone, "late"));
  return {
    figures: [
      {
        name: `a service that takes 60 s, ${SLOW_KEYS} keys wait for it: delay of another key's grace`,
        value: delay,
        unit: "ms",
        target: { of: "value", atMost: 1_000 },
      },
      {
        name: "the same: end of that grace until revoked",
        value: midOf(beside, "late"),
        unit: "ms",
        against: { name: "without", value: midOf(alone, "late") },
      },
      {
        name: "the same: that key's rotation until promoted",
        value: midOf(beside, "rotated"),
        unit: "ms",
        against: { name: "without", value: midOf(alone, "rotated") },
      },
    ],
    tables: [],
  };
}

/** Starts rotations whose webhook is not answered, and waits until all of them hang. */
async function hang(world: World, keys: readonly string[]): Promise<void> {
  const { receiver } = world;
  receiver.hold("slow");
  const before = (await receiver.tally()).slow?.count ?? 0;
  await Promise.all(keys.map((key) => world.client.call(begunSchema, "POST", `/v1/keys/${key}/rotate`, {})));
  const until = Date.now() + WITHIN_MS;
  for (;;) {
    const hung = ((await receiver.tally()).slow?.count ?? 0) - before;
    if (hung >= keys.length) return;
    // With fewer places than keys the rest waits for the first to end; those that hang are what is measured.
    if (Date.now() > until) throw new Error(`only ${hung} of ${keys.length} calls hang`);
    await sleep(POLL_MS);
  }
}

/** Rotates the healthy key and watches its old version die. */
async function rotateHealthy(world: World, number: number): Promise<Seen> {
  const begun = Date.now();
  await world.client.call(begunSchema, "POST", "/v1/keys/healthy-0/rotate", {});
  const fresh = await watch(world, number + 1, ({ promotedAt }) => promotedAt !== null);
  const rotated = (fresh.promotedAt ?? 0) - begun;
  const dead = await watch(world, number, ({ stage }) => stage === "revoked");
  return { rotated, late: Date.now() - (dead.graceEndsAt ?? 0) };
}

async function watch(world: World, number: number, isThere: (row: z.infer<typeof versionSchema>) => boolean) {
  const until = Date.now() + WITHIN_MS;
  for (;;) {
    const row = await world.ask(versionSchema.nullable(), "version", { key: "healthy-0", number });
    if (row && isThere(row)) return row;
    if (Date.now() > until) throw new Error(`version ${number} is ${row?.stage ?? "not there"} for too long`);
    await sleep(POLL_MS);
  }
}
