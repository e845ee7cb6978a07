/**
 * What a month costs at Cloudflare, worked out from what was measured. Prices in US dollars, read on 2026-11-21 at
 * https://developers.cloudflare.com/workers/platform/pricing/, https://developers.cloudflare.com/durable-objects/platform/pricing/
 * and https://developers.cloudflare.com/kv/platform/pricing/.
 */
import type { Table } from "./figure.ts";

/** What one rotation adds, when no other goes on beside it. */
export interface RotationUsage {
  rowsRead: number;
  /** Each alarm that is set is one of them. */
  rowsWritten: number;
  /** Calls of Durable Objects. */
  requests: number;
  kvWrites: number;
  kvReads: number;
  webhooks: number;
  /** What stays in the database. */
  bytes: number;
}

/** What each firing of the cron trigger costs, whether anything is due or not. */
export interface CronUsage {
  rowsRead: number;
  rowsWritten: number;
  requests: number;
}

interface Usage {
  workerRequests: number;
  objectRequests: number;
  gigabyteSeconds: number;
  rowsRead: number;
  rowsWritten: number;
  storedGigabytes: number;
  kvWrites: number;
  kvReads: number;
}

interface Price {
  unit: keyof Usage;
  title: string;
  /** In the paid plan's month. */
  included: number;
  /** For each of `per` above what is included. */
  dollars: number;
  per: number;
  /** The free plan's limit; storage in all, the rest a day. */
  free: number;
}

const MILLION = 1e6;
const GIGABYTE = 1e9;
const PAID_PLAN_DOLLARS = 5;
const PRICES: readonly Price[] = [
  {
    unit: "workerRequests",
    title: "Worker requests",
    included: 10 * MILLION,
    dollars: 0.3,
    per: MILLION,
    free: 1e5,
  },
  {
    unit: "objectRequests",
    title: "object requests",
    included: MILLION,
    dollars: 0.15,
    per: MILLION,
    free: 1e5,
  },
  { unit: "gigabyteSeconds", title: "object GB-s", included: 4e5, dollars: 12.5, per: MILLION, free: 13_000 },
  { unit: "rowsRead", title: "rows read", included: 25e9, dollars: 0.001, per: MILLION, free: 5 * MILLION },
  { unit: "rowsWritten", title: "rows written", included: 50 * MILLION, dollars: 1, per: MILLION, free: 1e5 },
  { unit: "storedGigabytes", title: "GB stored", included: 5, dollars: 0.2, per: 1, free: 5 },
  { unit: "kvWrites", title: "KV writes", included: MILLION, dollars: 5, per: MILLION, free: 1_000 },
  { unit: "kvReads", title: "KV reads", included: 10 * MILLION, dollars: 0.5, per: MILLION, free: 1e5 },
];

const KEYS = [100, 10_000, 1_000_000] as const;
const DAYS = 30;
const CRONS_A_DAY = (24 * 60) / 5;
/** What one object may hold: https://developers.cloudflare.com/durable-objects/platform/limits/ */
const OBJECT_BYTES = 10 * GIGABYTE;
/** Assumed: how long an object is awake for one rotation, most of it waiting for a receiver. Billed at 128 MB. */
const AWAKE_SECONDS = 1;
const MEMORY_GIGABYTES = 0.128;
/** Storage is counted after a year, as history stays. */
const MONTHS_KEPT = 12;

/** The month's bill for each number of keys, and how many the free plan carries. */
export function costTables(rotation: RotationUsage, cron: CronUsage): Table[] {
  const months = KEYS.map((keys) => monthOf(keys, rotation, cron));
  const dollars = months.map((month) => PRICES.map((price) => dollarsOf(price, month[price.unit])));
  const total = (parts: readonly number[]) => PAID_PLAN_DOLLARS + parts.reduce((sum, part) => sum + part, 0);
  const inWords = KEYS.map((keys) => `${keys.toLocaleString("en-US")} keys`);
  return [
    {
      title: "One rotation alone, and one firing of cron",
      columns: ["", "rotation", "cron"],
      rows: [
        ["rows read", rotation.rowsRead, cron.rowsRead],
        ["rows written, alarms included", rotation.rowsWritten, cron.rowsWritten],
        ["object requests", rotation.requests, cron.requests],
        ["KV writes", rotation.kvWrites, 0],
        ["KV reads", rotation.kvReads, 0],
        ["webhooks", rotation.webhooks, 0],
        ["bytes that stay", rotation.bytes, 0],
        ["rotations until one keyring is full", Math.floor(OBJECT_BYTES / rotation.bytes), ""],
      ],
    },
    {
      title: `A month of ${DAYS} days, every key rotated once; storage after ${MONTHS_KEPT} such months`,
      columns: ["", ...inWords.flatMap((keys) => [keys, "USD"])],
      rows: [
        ...PRICES.map((price, n) => [
          price.title,
          ...months.flatMap((month, k) => [amount(month[price.unit]), money(dollars[k]?.[n] ?? 0)]),
        ]),
        ["paid plan", ...months.flatMap(() => ["", money(PAID_PLAN_DOLLARS)])],
        ["in all", ...dollars.flatMap((parts) => ["", money(total(parts))])],
      ],
    },
    {
      title: "The free plan: how many keys, rotated every 30 days and spread evenly, each limit carries",
      columns: ["limit", "a day", "keys"],
      rows: PRICES.map((price) => [
        price.title,
        price.unit === "storedGigabytes" ? `${price.free} in all` : amount(price.free),
        amount(Math.floor(freeKeys(price, rotation, cron))),
      ]),
    },
  ];
}

function monthOf(keys: number, rotation: RotationUsage, cron: CronUsage): Usage {
  const crons = CRONS_A_DAY * DAYS;
  return {
    workerRequests: crons,
    objectRequests: keys * rotation.requests + crons * cron.requests,
    gigabyteSeconds: keys * AWAKE_SECONDS * MEMORY_GIGABYTES,
    rowsRead: keys * rotation.rowsRead + crons * cron.rowsRead,
    rowsWritten: keys * rotation.rowsWritten + crons * cron.rowsWritten,
    storedGigabytes: (keys * rotation.bytes * MONTHS_KEPT) / GIGABYTE,
    kvWrites: keys * rotation.kvWrites,
    kvReads: keys * rotation.kvReads,
  };
}

function dollarsOf({ included, dollars, per }: Price, used: number): number {
  return (Math.max(0, used - included) / per) * dollars;
}

/** How many keys a limit of the free plan carries. */
function freeKeys({ unit, free }: Price, rotation: RotationUsage, cron: CronUsage): number {
  const [none, one] = [monthOf(0, rotation, cron)[unit], monthOf(1, rotation, cron)[unit]];
  const days = unit === "storedGigabytes" ? 1 : DAYS;
  return one === none ? Infinity : (free * days - none) / (one - none);
}

function money(dollars: number): string {
  return dollars.toFixed(2);
}

function amount(value: number): string {
  if (value === Infinity) return "no limit";
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}
