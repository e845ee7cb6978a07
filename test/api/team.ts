/** What the tests of batches over HTTP share: a team's keys, and a batch from its start to its end. */
import { expect } from "vitest";
import type { BatchView } from "../../src/keyring/operations/batches.ts";
import type { TestKeyring } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { furnish, makeKey, settle } from "./fixtures.ts";

export type Caller = Pick<TestKeyring, "call">;

/** A furnished keyring with keys of a team, each at a destination. */
export async function team(count: number, more: object = {}): Promise<TestKeyring> {
  const ring = await furnish();
  for (let n = 0; n < count; n++) {
    await makeKey(ring, `key-${n}`, {
      labels: { team: "payments" },
      destinations: [{ id: "spare", as: `key-${n}` }],
      ...more,
    });
  }
  await settle(ring);
  return ring;
}

export const PAYMENTS = { select: { label: "team=payments" }, reason: "a leaver" };

export async function begin({ call }: Caller, body: object = PAYMENTS): Promise<BatchView> {
  const made = await call<BatchView>("POST", "/v1/rotations", { body });
  expect(made).toMatchObject({ status: 202 });
  return made.body;
}

export async function read({ call }: Caller, id: string): Promise<BatchView> {
  const found = await call<BatchView>("GET", `/v1/batches/${id}`);
  expect(found.status).toBe(200);
  return found.body;
}

/** Waits until a batch is over. */
export function ended(ring: Caller, id: string): Promise<BatchView> {
  return eventually(async () => {
    const batch = await read(ring, id);
    if (batch.state !== "done") throw new Error(JSON.stringify(batch));
    return batch;
  }, 20_000);
}

export async function versionsOf(ring: Caller, name: string): Promise<number> {
  return (await ring.call<{ versions: unknown[] }>("GET", `/v1/keys/${name}`)).body.versions.length;
}

export async function eventsOf(ring: Caller): Promise<string[]> {
  const { body } = await ring.call<{ items: { type: string }[] }>("GET", "/v1/events?limit=100");
  const types = body.items.map(({ type }) => type).filter((type) => type.startsWith("batch."));
  return types.reverse();
}
