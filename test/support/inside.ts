/** Looks inside a keyring's object, rings its alarm, and waits until nothing is under way. */
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Keyring } from "../../src/keyring/keyring.ts";
import { durableObjectSql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { setTime } from "./clock.ts";
import { eventually } from "./eventually.ts";
import { findDisagreements } from "./invariants.ts";
import { workDue } from "./queue.ts";
import { noteCron } from "./registry.ts";

export interface Ring {
  code: string;
}

const MAX_ALARMS = 500;

/** A fresh stub: one that saw its object crash is of no more use. */
export function stubOf({ code }: Ring): DurableObjectStub<Keyring> {
  return env.KEYRING.get(env.KEYRING.idFromName(code)) as unknown as DurableObjectStub<Keyring>;
}

/** Runs `look` over the keyring's tables, in the keyring's own object. */
export function inside<T>(
  ring: Ring,
  look: (store: Store, state: DurableObjectState) => T | Promise<T>,
): Promise<T> {
  return runInDurableObject(stubOf(ring), (_, state) =>
    look(new Store(durableObjectSql(state.storage)), state),
  );
}

/** Leases that died with their worker: nothing is under way for them. */
const orphaned = new Set<string>();

/** Kills every object where it stands. What was committed stays, whatever was under way is lost. */
export async function crash(keyring: Ring): Promise<void> {
  for (const lease of await inside(keyring, listLeases)) orphaned.add(lease);
  await abortAllDurableObjects();
}

/** When the keyring's alarm is set for, or null. */
export function alarmAt(ring: Ring): Promise<number | null> {
  return inside(ring, (_, state) => state.storage.getAlarm());
}

/** Rings the keyring's alarm now, whenever it is set for, and waits until the work that it starts is done. */
export async function ring(keyring: Ring): Promise<void> {
  await startAlarm(keyring);
  await quiet(keyring);
}

/** Rings the keyring's alarm now and leaves what it starts under way. False when none was set. Cron has come as time went by. */
export async function startAlarm(keyring: Ring): Promise<boolean> {
  await noteCron(Date.now());
  return runDurableObjectAlarm(stubOf(keyring));
}

/** Waits until nothing is claimed and nothing is due, then checks what must hold of the tables at rest. */
export async function quiet(keyring: Ring): Promise<void> {
  await eventually(() => inside(keyring, assertNothingUnderWay));
  // The alarm is set a moment after what ended at about the same time.
  await inside(keyring, () => new Promise((resolve) => setTimeout(resolve, 1)));
  const found = await inside(keyring, findDisagreements);
  if (found.length > 0) throw new Error(found.join("\n"));
}

/** Goes from alarm to alarm as the platform would, until a time (milliseconds since the epoch). */
export async function runUntil(keyring: Ring, until: number): Promise<void> {
  for (let rung = 0; rung < MAX_ALARMS; rung++) {
    const next = await alarmAt(keyring);
    if (next === null || next > until) {
      setTime(until);
      return;
    }
    setTime(Math.max(next, Date.now()));
    await ring(keyring);
  }
  throw new Error("the alarm rings without end");
}

function assertNothingUnderWay(store: Store, state: DurableObjectState): void {
  const claimed = listLeases(store, state).filter((lease) => !orphaned.has(lease));
  if (claimed.length > 0) throw new Error(`under way: ${claimed.join(", ")}`);
  const due = workDue(store.due, Date.now(), 10);
  if (due.length > 0) throw new Error(`due: ${JSON.stringify(due)}`);
}

function listLeases(_: Store, { storage }: DurableObjectState): string[] {
  return ["rotation", "version", "delivery", "edgeRecord", "subscription", "compromise"].flatMap((table) =>
    storage.sql
      .exec<{ id: string; leaseUntil: number }>(
        `SELECT id, leaseUntil FROM ${table} WHERE leaseUntil > ?`,
        Date.now(),
      )
      .toArray()
      .map(({ id, leaseUntil }) => `${table} ${id} until ${leaseUntil}`),
  );
}
