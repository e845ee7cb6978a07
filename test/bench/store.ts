/** A keyring of a million keys beside one of ten thousand: what looking for work costs, claiming it, and a look at the whole. */
import { z } from "zod";
import { type Figure, type Findings, median } from "./figure.ts";
import { readingSchema, totalOf } from "./reading.ts";
import type { Stage, World } from "./stage.ts";

const SMALL = 10_000;
const LARGE = 1_000_000;
const FILLED_AT_ONCE = 10_000;
const CLAIMS = 1_000;
const ROUNDS = 7;
/** So many that their time stands out from that of the call that asks for them. */
const POLLS = 20_000;
/** Each looks at thousands of rows. */
const LOOKS = 20;
/** Rotations that ended within the last day: more than a look reads. */
const RECENT = 20_000;
const GIGABYTE = 1e9;
const DAY_MS = 86_400_000;

const KINDS = ["rotation", "version", "delivery"] as const;
type Kind = (typeof KINDS)[number];

const polledSchema = z.object({ reading: readingSchema });
const claimedSchema = z.object({ claimed: z.int(), reading: readingSchema.nullable() });

export async function benchStore(stage: Stage): Promise<Findings> {
  const world = await stage.open();
  const sizes = [SMALL, LARGE].map((size) => new Ring(world, size));
  const [small, large] = sizes;
  if (!small || !large) throw new Error("two sizes are compared");
  for (const ring of sizes) await ring.fill();
  const polls = await comparePolls(small, large);
  const claims = await compareClaims(small, large);
  const looks = await compareLooks(small, large);
  const bytes = await large.ask(z.int(), "size");
  const size: Figure = { name: "database of 1,000,000 keys", value: bytes / GIGABYTE, unit: "GB" };
  return { figures: [...polls, ...claims, ...looks, size], tables: [] };
}

/** One filled keyring. */
class Ring {
  readonly size: number;
  readonly #world: World;
  readonly #keyring: string;

  constructor(world: World, size: number) {
    this.#world = world;
    this.size = size;
    this.#keyring = `bench-${size}`;
  }

  ask<Schema extends z.ZodType>(answer: Schema, route: string, body: object = {}): Promise<z.output<Schema>> {
    return this.#world.ask(answer, route, { keyring: this.#keyring, ...body });
  }

  async fill(): Promise<void> {
    await this.ask(z.object({ ok: z.literal(true) }), "make");
    for (let from = 0; from < this.size; from += FILLED_AT_ONCE) {
      await this.ask(z.null(), "fill", {
        from,
        to: Math.min(this.size, from + FILLED_AT_ONCE),
        total: this.size,
      });
    }
  }

  /** Gives `count` rows of a kind something to do at `at`. */
  async place(kind: Kind, count: number, at: number, round = 0): Promise<void> {
    // Ids begin with their time: what was made together, and ends together, lies together.
    const first = this.size - count * (1 + (round % ROUNDS));
    await this.ask(z.null(), "place", { kind, first, count, at });
  }

  /** Milliseconds of a call, without those of one that does nothing. */
  async time(route: string, body: object): Promise<number> {
    const empty: number[] = [];
    for (let n = 0; n < 5; n++) empty.push(await elapsed(() => this.ask(z.null(), "nothing")));
    return (await elapsed(() => this.ask(z.unknown(), route, body))) - median(empty);
  }
}

/** Two states: nothing but scheduled starts, and something to do tomorrow in each lane. */
async function comparePolls(small: Ring, large: Ring): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const state of ["nothing under way", "work for later in each lane"]) {
    for (const ring of [small, large]) {
      await ring.ask(z.null(), "clear");
      if (state !== "nothing under way") {
        for (const kind of KINDS) await ring.place(kind, 1, Date.now() + DAY_MS);
      }
      await ring.ask(z.null(), "restart");
    }
    for (const [by, name] of Object.entries({ alarm: "an alarm", visit: "cron's visit" })) {
      const poll = async () => {
        const { reading } = await large.ask(polledSchema, "poll", { by, times: 1, metered: true });
        return totalOf(reading);
      };
      await large.ask(z.null(), "restart");
      const woken = totalOf(await large.ask(readingSchema, "wake")).read + (await poll()).read;
      const { read } = await poll();
      const what = `${name} that finds nothing due, ${state}`;
      figures.push(
        { name: `${what}: rows read`, value: read, unit: "rows", target: { of: "value", atMost: 2 } },
        { name: `${what}: the same by an object that was asleep`, value: woken, unit: "rows" },
      );
      if (state === "nothing under way") figures.push(await comparePollTimes(small, large, by, what));
    }
  }
  return figures;
}

async function comparePollTimes(small: Ring, large: Ring, by: string, name: string): Promise<Figure> {
  const time = await compareTimes(small, large, (ring) =>
    ring.time("poll", { by, times: POLLS, metered: false }),
  );
  return {
    name: `${name}: time`,
    value: (time.large / POLLS) * 1_000,
    unit: "µs",
    against: { name: "10,000 keys", value: (time.small / POLLS) * 1_000 },
    target: { of: "ratio", atMost: 2 },
  };
}

async function compareClaims(small: Ring, large: Ring): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const kind of KINDS) {
    for (const ring of [small, large]) await ring.ask(z.null(), "clear");
    await large.place(kind, CLAIMS, Date.now());
    const { claimed, reading } = await large.ask(claimedSchema, "claim", {
      kind,
      count: CLAIMS,
      metered: true,
    });
    if (claimed !== CLAIMS || !reading) throw new Error(`${claimed} of ${CLAIMS} were claimed`);
    const { read, written } = totalOf(reading);
    let round = 0;
    const time = await compareTimes(small, large, async (ring) => {
      await ring.ask(z.null(), "clear");
      round += 1;
      await ring.place(kind, CLAIMS, Date.now(), round);
      return ring.time("claim", { kind, count: CLAIMS, metered: false });
    });
    const what = `claiming 1,000 due ${kind === "delivery" ? "deliveries" : `${kind}s`}`;
    figures.push(
      {
        name: `${what}: rows read`,
        value: hundredths(read / CLAIMS),
        unit: "each",
        target: { of: "value", atMost: 2 },
      },
      {
        name: `${what}: rows written`,
        value: hundredths(written / CLAIMS),
        unit: "each",
        target: { of: "value", atMost: 4 },
      },
      {
        name: `${what}: speed`,
        value: (CLAIMS / time.large) * 1_000,
        unit: "/s",
        target: { of: "value", atLeast: 50_000 },
      },
      {
        name: `${what}: time`,
        value: time.large,
        unit: "ms",
        against: { name: "10,000 keys", value: time.small },
        target: { of: "ratio", atMost: 2 },
      },
    );
  }
  for (const ring of [small, large]) await ring.ask(z.null(), "clear");
  return figures;
}

/** The status and the metrics: with nothing but keys, and with a busy day behind and a thousand of each kind of work under way. */
async function compareLooks(small: Ring, large: Ring): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const state of ["nothing under way", "a busy day"]) {
    if (state === "a busy day") {
      for (const ring of [small, large]) {
        await ring.ask(z.null(), "addRecent", { count: RECENT });
        for (const kind of KINDS) await ring.place(kind, CLAIMS, Date.now() + DAY_MS);
      }
    }
    for (const [at, name] of Object.entries({ status: "GET /v1/status", metrics: "GET /metrics" })) {
      const read = async (ring: Ring) => {
        const { reading } = await ring.ask(polledSchema, "look", { at, times: 1, metered: true });
        return totalOf(reading).read;
      };
      const time = await compareTimes(small, large, (ring) =>
        ring.time("look", { at, times: LOOKS, metered: false }),
      );
      figures.push(
        {
          name: `${name}, ${state}: rows read`,
          value: await read(large),
          unit: "rows",
          against: { name: "10,000 keys", value: await read(small) },
          target: { of: "ratio", atMost: 2 },
        },
        {
          name: `${name}, ${state}: time`,
          value: time.large / LOOKS,
          unit: "ms",
          against: { name: "10,000 keys", value: time.small / LOOKS },
          target: { of: "ratio", atMost: 2 },
        },
      );
    }
  }
  for (const ring of [small, large]) await ring.ask(z.null(), "clear");
  return figures;
}

/** One row of the thousand is the one that tells where the due ones end. */
function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Medians of rounds that alternate between both, after one that warms up. */
async function compareTimes(
  small: Ring,
  large: Ring,
  measure: (ring: Ring) => Promise<number>,
): Promise<{ small: number; large: number }> {
  const times = { small: [] as number[], large: [] as number[] };
  for (let round = 0; round <= ROUNDS; round++) {
    const [one, other] = [await measure(small), await measure(large)];
    if (round === 0) continue;
    times.small.push(one);
    times.large.push(other);
  }
  return { small: median(times.small), large: median(times.large) };
}

async function elapsed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}
