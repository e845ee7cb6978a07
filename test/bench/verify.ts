/**
 * Verification over HTTP, `immediate`: beside a route of the same Worker that parses the same body and makes one call to an object
 * that does nothing, and beside better-auth's API-key plugin on SQLite. Rounds alternate; each figure is the median of its own.
 */

import { createdKeySchema } from "../../src/local/client.ts";
import { type Findings, median } from "./figure.ts";
import { load, type Shot } from "./load.ts";
import { startPeer } from "./peer.ts";
import type { Stage, World } from "./stage.ts";

const CONNECTIONS = [1, 8, 32] as const;
/** Of better-auth's throughput, at least. */
const TIMES_PEER: Record<(typeof CONNECTIONS)[number], number> = { 1: 1.7, 8: 2.5, 32: 3 };
const OF_FLOOR = 0.55;
const ROUNDS = 7;
const ROUND_MS = 1_000;
const WARM_UP_MS = 1_500;

export async function benchVerify(stage: Stage): Promise<Findings> {
  const world = await stage.open();
  const peer = await startPeer();
  try {
    const shots = { ...(await shotsAt(world)), peer: shotAtPeer(peer) };
    const rates = new Map<string, number[]>();
    for (const shot of Object.values(shots)) await load(shot, 8, WARM_UP_MS);
    for (let round = 0; round < ROUNDS; round++) {
      for (const connections of CONNECTIONS) {
        for (const [name, shot] of Object.entries(shots)) {
          const rate = await load(shot, connections, ROUND_MS);
          const place = `${name} ${connections}`;
          rates.set(place, [...(rates.get(place) ?? []), rate]);
        }
      }
    }
    const rate = (name: keyof typeof shots, connections: number) =>
      median(rates.get(`${name} ${connections}`) ?? []);
    return {
      figures: CONNECTIONS.flatMap((connections) => {
        const name = `verifications over HTTP, connections: ${connections}`;
        const value = rate("verify", connections);
        return [
          {
            name,
            value,
            unit: "/s",
            against: { name: "an empty call", value: rate("floor", connections) },
            target: { of: "ratio" as const, atLeast: OF_FLOOR },
          },
          {
            name: "the same",
            value,
            unit: "/s",
            against: { name: "better-auth", value: rate("peer", connections) },
            target: { of: "ratio" as const, atLeast: TIMES_PEER[connections] },
          },
        ];
      }),
      tables: [],
    };
  } finally {
    peer.stop();
  }
}

/** An access key that verifies a customer's key; beside it the same request to the route that does nothing. */
async function shotsAt({ client, directUrl }: World): Promise<{ verify: Shot; floor: Shot }> {
  const make = (body: object) => client.call(createdKeySchema, "POST", "/v1/keys", body);
  const caller = await make({ name: "gateway", provider: "access", scopes: ["keys:verify"] });
  const { secret } = await make({
    name: "customer",
    provider: "issuer",
    scopes: ["read"],
    subject: "customer-7",
  });
  const headers = { authorization: `Bearer ${caller.secret}`, "content-type": "application/json" };
  const body = JSON.stringify({ key: secret, scopes: ["read"] });
  const shot = (path: string, expected: string) => ({
    url: `${directUrl.origin}${path}`,
    headers,
    body,
    expected,
  });
  return { verify: shot("/v1/verify", '"valid"'), floor: shot("/bench/empty", "null") };
}

function shotAtPeer({ url, key }: { url: string; key: string }): Shot {
  const body = JSON.stringify({ key });
  return { url, headers: { "content-type": "application/json" }, body, expected: '"valid":true' };
}
