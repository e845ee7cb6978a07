/** What tests of leaks begin from: a key at rest, and what becomes of its versions. */
import { patchKey } from "../../src/keyring/operations/keys.ts";
import { compromiseVersion, type LeakResponse } from "../../src/rotation/compromise.ts";
import { takeReport } from "../../src/rotation/leak-reports.ts";
import type { OnCompromise } from "../../src/store/keys.ts";
import { HOUR_MS, open, ROOT, type Run } from "./scene.ts";
import type { Abilities } from "./service.ts";
import type { Fault } from "./simulator.ts";

export const SECOND_MS = 1_000;
export const OURS: Abilities = { overlap: "ours", find: true };

/** A key at rest whose calls meet a fault by name while it is set. */
export async function begin(abilities: Abilities, onCompromise?: OnCompromise) {
  const faults = new Map<string, Fault>();
  const run: Run = open(abilities, (_, name) => faults.get(name));
  run.simulator.act((context) =>
    patchKey(
      context,
      ROOT,
      "billing",
      { policy: { grace: "1h", ...(onCompromise && { onCompromise }) } },
      false,
    ),
  );
  await run.simulator.runFor(HOUR_MS);
  run.simulator.calls.length = 0;
  return { ...run, run, faults };
}

export function leak({ simulator }: Run, number: number): LeakResponse {
  return simulator.act((context) => {
    const version = context.store.versions.byNumber("key_scripted", number);
    if (!version) throw new Error("no such version");
    return compromiseVersion(context, version, { source: "test", actor: "root" });
  });
}

/** The same as part of a report, which is kept. */
export function report({ simulator }: Run, version: number | undefined, body: string): void {
  const items = [{ leaked: { key: "billing", version }, source: "test" }];
  simulator.act((context) => takeReport(context, { source: "api", reporter: "root", body, items }));
}

export function told({ simulator }: Run) {
  return simulator.store.events.page({ type: "key.compromised" }, Infinity, 10).rows;
}

export function stages({ simulator }: Run): string[] {
  return simulator.store.versions
    .ofKey("key_scripted")
    .map(({ stage, endReason }) => (endReason === null ? stage : `${stage}: ${endReason}`));
}

export function live({ simulator }: Run) {
  return simulator.store.rotations.live("key_scripted");
}
