/** What one rotation with a KV write and a webhook costs: rows by table, requests, bytes; alone, after a year, and among many. */
import { z } from "zod";
import { type CronUsage, costTables, type RotationUsage } from "./cost.ts";
import type { Findings, Table } from "./figure.ts";
import { type Reading, readingSchema, totalOf } from "./reading.ts";
import type { Stage, World } from "./stage.ts";

const MAX_WRITTEN = 50;
/** Monthly rotations that one key has behind it after a year. */
const A_YEAR = 12;
const MANY = 100;
/** A database grows by pages, so what stays is measured over several rotations of all of them. */
const TIMES_MANY = 5;
/** Long enough that the old version dies by an alarm of its own, as it would. */
const GRACE = "2s";

const measuredSchema = z.object({
  keyring: readingSchema,
  registry: readingSchema,
  outside: z.object({ posts: z.int(), valuesRead: z.int(), valuesWritten: z.int() }),
});
type Measured = z.infer<typeof measuredSchema>;

export async function benchRows(stage: Stage): Promise<Findings> {
  const world = await stage.open();
  await world.makeDestinations("hook");
  await world.makeKeys("one", 1, GRACE, ["kv", "hook"]);
  const idle = await measure(world, () => world.fireCron());
  const first = await measureRotation(world, "one");
  for (let n = 1; n < A_YEAR; n++) await world.rotateAll("one");
  const later = await measureRotation(world, "one");
  await world.makeKeys("many", MANY, GRACE, ["kv", "hook"]);
  await world.rotateAll("many");
  const sizeBefore = await world.ask(z.int(), "size", {});
  const many = await measureRotation(world, "many");
  for (let n = 1; n < TIMES_MANY; n++) await world.rotateAll("many");
  const bytes = ((await world.ask(z.int(), "size", {})) - sizeBefore) / (MANY * TIMES_MANY);
  const { read, written } = totalOf(first.keyring);
  return {
    figures: [
      {
        name: "one rotation, KV and a webhook: rows written",
        value: written,
        unit: "rows",
        target: { of: "value", atMost: MAX_WRITTEN },
      },
      { name: "one rotation: rows read", value: read, unit: "rows" },
      {
        name: `one rotation after ${A_YEAR} others of the same key: rows read`,
        value: totalOf(later.keyring).read,
        unit: "rows",
        against: { name: "the first", value: read },
      },
      { name: "one rotation: alarms set", value: first.keyring.alarmsSet, unit: "rows" },
      { name: "one rotation: bytes that stay", value: bytes, unit: "bytes" },
    ],
    tables: [
      rowsTable(first.keyring, later.keyring, many.keyring),
      ...costTables(rotationUsage(first, idle, bytes), cronUsage(idle)),
    ],
  };
}

async function measureRotation(world: World, prefix: string): Promise<Measured> {
  await world.ask(z.int(), "age", { prefix });
  return measure(world, async () => {
    await world.runCron();
  });
}

async function measure(world: World, work: () => Promise<void>): Promise<Measured> {
  await world.ask(z.null(), "meter", {});
  await work();
  return world.ask(measuredSchema, "reading", {});
}

/** What one more rotation adds to a cron that would have come anyway. */
function rotationUsage(
  { keyring, registry, outside }: Measured,
  idle: Measured,
  bytes: number,
): RotationUsage {
  const own = totalOf(keyring);
  const there = totalOf(registry);
  const anyway = totalOf(idle.registry);
  return {
    rowsRead: own.read + there.read - anyway.read,
    rowsWritten: own.written + keyring.alarmsSet + there.written - anyway.written,
    requests: keyring.requests + registry.requests - idle.registry.requests,
    kvWrites: outside.valuesWritten,
    kvReads: outside.valuesRead,
    webhooks: outside.posts,
    bytes,
  };
}

function cronUsage({ registry }: Measured): CronUsage {
  const { read, written } = totalOf(registry);
  return { rowsRead: read, rowsWritten: written, requests: registry.requests };
}

function rowsTable(first: Reading, later: Reading, many: Reading): Table {
  const names = [...new Set([first, later, many].flatMap(({ tables }) => Object.keys(tables)))].sort();
  const cells = ({ tables }: Reading, name: string, count = 1) => {
    const { read, written, statements } = tables[name] ?? { read: 0, written: 0, statements: 0 };
    return [read / count, written / count, statements / count];
  };
  const all = (reading: Reading, count = 1) => {
    const { read, written, statements } = totalOf(reading);
    return [read / count, written / count, statements / count];
  };
  return {
    title: `Rows of one rotation in the keyring: alone, after ${A_YEAR} others of the same key, and on average among ${MANY} at once`,
    columns: [
      "table",
      ...["alone", `after ${A_YEAR}`, `of ${MANY}`].flatMap((one) => [
        `${one}: read`,
        "written",
        "statements",
      ]),
    ],
    rows: [
      ...names.map((name) => [
        name,
        ...cells(first, name),
        ...cells(later, name),
        ...cells(many, name, MANY),
      ]),
      ["all", ...all(first), ...all(later), ...all(many, MANY)],
      ["alarms set", "", first.alarmsSet, "", "", later.alarmsSet, "", "", many.alarmsSet / MANY, ""],
      ["requests", "", first.requests, "", "", later.requests, "", "", many.requests / MANY, ""],
    ],
  };
}
