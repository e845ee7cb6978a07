/** What every type of destination promises the engine. */
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import type { DeliveryMessage, Destination, DestinationContext } from "../../src/destinations/destination.ts";
import { DESTINATION_TYPES, DESTINATIONS, destinationOf } from "../../src/destinations/registry.ts";
import { newSigningSecret } from "../../src/events/signing.ts";
import { createOutbound } from "../../src/outbound/port.ts";
import { createTransport } from "../../src/outbound/transport.ts";
import { KEYRING, PLACES, type Place } from "./destination-fixtures.ts";
import "../support/scene.ts";

const CANARY = "canary_7f3a91c2d4e5";
const now = () => Date.now();

function contextOf(destination: Destination, place: Place): DestinationContext {
  let ids = 0;
  return {
    destinationId: "dst_contract",
    config: destination.config.parse(place.config),
    signingSecret: destination.signs ? newSigningSecret(secureRandom) : undefined,
    keyring: KEYRING,
    outbound: createOutbound({ allowlist: undefined, transport: createTransport(env.KEYS), now }),
    now: now(),
    newId: () => `dlv_contract${ids++}`,
  };
}

function message(change: Partial<DeliveryMessage> = {}): DeliveryMessage {
  return {
    deliveryId: "dlv_1",
    keyId: "key_1",
    name: "billing",
    version: 2,
    revision: 3,
    fields: { secret: CANARY },
    acknowledgeToken: "an-acknowledge-token",
    createdAt: now(),
    ...change,
  };
}

describe.each(DESTINATION_TYPES)("a destination of type %s", (type) => {
  const destination: Destination = DESTINATIONS[type];
  const makePlace = PLACES[type];

  it("is found by the name it goes by", () => {
    expect(destination.type).toBe(type);
    expect(destinationOf(type)).toBe(destination);
    expect(destination.title).toMatch(/\S/);
  });

  it("takes its config, and refuses fields that it does not know, and what is no object", () => {
    const { config } = makePlace();
    expect(destination.config.safeParse(config).success).toBe(true);
    expect(destination.config.safeParse({ ...config, surprise: true }).success).toBe(false);
    for (const other of [null, "text", [], 7])
      expect(destination.config.safeParse(other).success).toBe(false);
  });

  it("says how long its readers may take to see a value, and can be told otherwise", () => {
    const { config } = makePlace();
    expect(destination.propagationMs(config)).toBeGreaterThanOrEqual(0);
    expect(destination.propagationMs({ ...config, propagation: "7s" })).toBe(7_000);
    expect(destination.config.safeParse({ ...config, propagation: "soon" }).success).toBe(false);
  });

  it("holds what was put, and what was put last when it is put twice", async () => {
    const place = makePlace();
    const context = contextOf(destination, place);
    expect(
      await destination.put(context, message({ fields: { secret: "first" }, revision: 1 })),
    ).toMatchObject({
      kind: "held",
    });
    expect(await destination.put(context, message())).toMatchObject({ kind: "held" });
    expect(await destination.put(context, message())).toMatchObject({ kind: "held" });
    expect(await place.held("billing")).toBe(CANARY);
  });

  it("reports method, host and time of each call, and nothing that it sent", async () => {
    const place = makePlace();
    const result = await destination.put(contextOf(destination, place), message());
    expect(result.report).toMatchObject({
      method: expect.stringMatching(/^[A-Z]+$/),
      host: expect.stringMatching(/\S/),
      code: "ok",
      at: Date.now(),
    });
    expect(JSON.stringify(result)).not.toContain(CANARY);
    expect(place.sent()).toContain(CANARY);
  });

  it("is asked without being sent a value, and without being changed", async () => {
    const place = makePlace();
    const context = contextOf(destination, place);
    await destination.put(context, message());
    const before = place.sent().split(CANARY).length;
    expect(await destination.probe(context)).toMatchObject({ kind: "held" });
    expect(place.sent().split(CANARY)).toHaveLength(before);
    expect(await place.held("billing")).toBe(CANARY);
  });

  it("ends as a value, without the secret, in every way that it can fail", async () => {
    const failures = Object.keys(makePlace().failures);
    expect(failures.length).toBeGreaterThan(0);
    for (const failure of failures) {
      vi.restoreAllMocks();
      const place = makePlace();
      const context = contextOf(destination, place);
      await destination.put(context, message({ fields: { secret: "before" }, revision: 1 }));
      place.failures[failure]?.();
      const result = await destination.put(context, message());
      expect(["failed", "gone"], failure).toContain(result.kind);
      expect(result, failure).toHaveProperty("problem", expect.stringMatching(/\S/));
      expect(JSON.stringify(result), failure).not.toContain(CANARY);
      expect(await place.held("billing"), failure).toBe("before");
    }
  });

  it("writes to a place of its own for each key, the same one each time", () => {
    const { config } = makePlace();
    const at = (keyring: string, keyId: string, name: string) =>
      destination.targetOf({ keyring, destinationId: "dst_1", keyId, name, config });
    expect(at("a", "key_1", "one")).toBe(at("a", "key_1", "one"));
    expect(at("a", "key_1", "one")).not.toBe(at("a", "key_2", "two"));
  });

  it("has waits that never shrink, if it has its own", () => {
    const waits = destination.retryAfterMs ?? [];
    expect(waits).toEqual(waits.toSorted((a, b) => a - b));
    for (const wait of waits) expect(wait).toBeGreaterThan(0);
  });
});
