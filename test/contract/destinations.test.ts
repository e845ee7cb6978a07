/** What every type of destination promises the engine. */
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import type { DeliveryMessage, Destination, DestinationContext } from "../../src/destinations/destination.ts";
import { DESTINATION_TYPES, DESTINATIONS, destinationOf } from "../../src/destinations/registry.ts";
import { newSigningSecret } from "../../src/events/signing.ts";
import { createOutbound } from "../../src/outbound/port.ts";
import { createTransport } from "../../src/outbound/transport.ts";
import { LAB_FAULTS } from "../lab/services/fake.ts";
import { setTime } from "../support/clock.ts";
import { KEYRING, PLACES, type Place } from "./destination-fixtures.ts";
import "../support/scene.ts";

const CANARY = "canary_7f3a91c2d4e5";
const now = () => Date.now();

function contextOf(destination: Destination, place: Place): DestinationContext {
  let ids = 0;
  return {
    destinationId: "dst_contract",
    config: destination.config.parse(place.config),
    signingSecrets: destination.signs ? [newSigningSecret(secureRandom)] : [],
    keyring: KEYRING,
    connection: place.account?.connection,
    spend: () => 0,
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
    attempt: 0,
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
      destination.targetOf({ keyring, destinationId: "dst_1", keyId, name, config, account: "an-account" });
    expect(at("a", "key_1", "one")).toBe(at("a", "key_1", "one"));
    expect(at("a", "key_1", "one")).not.toBe(at("a", "key_2", "two"));
  });

  it("says what people want to know before they use it", () => {
    const { about, effectOf } = destination;
    expect(about.summary).toMatch(/\.$/);
    expect(about.page).toMatch(/^https:\/\//);
    expect(Object.keys(about.calls)).toEqual(expect.arrayContaining(["probe", "put"]));
    expect(destination.config.safeParse(about.example).success).toBe(true);
    expect(about.leastScope === undefined).toBe(destination.through === undefined);
    expect(effectOf?.(destination.config.parse(makePlace().config)) ?? "does nothing").toMatch(/^\w+s /);
  });

  it("has waits that never shrink, if it has its own", () => {
    const waits = destination.retryAfterMs ?? [];
    expect(waits).toEqual(waits.toSorted((a, b) => a - b));
    for (const wait of waits) expect(wait).toBeGreaterThan(0);
  });
});

const THROUGH = DESTINATION_TYPES.filter((type) => "through" in DESTINATIONS[type]);

describe.each(THROUGH)("a destination of type %s, which goes through an account,", (type) => {
  const destination: Destination = DESTINATIONS[type];

  /** A place that holds `before`, and its account. */
  async function begin() {
    const place = PLACES[type]();
    const { account } = place;
    if (!account) throw new Error("its place has no account");
    const context = contextOf(destination, place);
    await destination.put(context, message({ fields: { secret: "before" }, deliveryId: "dlv_0" }));
    account.fake.journal.length = 0;
    return { place, context, ...account };
  }

  /** Which calls a delivery makes, in order. */
  async function listCalls(): Promise<string[]> {
    const { context, fake } = await begin();
    await destination.put(context, message());
    return [...new Set(fake.journal.map((line) => line.split(" ")[0] ?? ""))];
  }

  it("makes no call that the service does not know", async () => {
    const { context, fake } = await begin();
    await destination.probe(context);
    await destination.put(context, message());
    expect(fake.journal.map((line) => line.split(" ")[0])).not.toContain("unknown");
  });

  it.each(LAB_FAULTS)(
    "with %s says that it holds only what it holds, and does once tried again",
    async (fault) => {
      for (const call of await listCalls()) {
        for (const times of [1, 2]) {
          const { place, context, fake } = await begin();
          fake.fail(call, fault, times);
          for (let attempt = 0; attempt <= times; attempt++) {
            const result = await destination.put(context, message({ attempt }));
            const where = `${times} times at ${call}, attempt ${attempt}`;
            expect(JSON.stringify(result), where).not.toContain(CANARY);
            if (result.kind === "held") expect(await place.held("billing"), where).toBe(CANARY);
            if (attempt === times) expect(result, where).toMatchObject({ kind: "held" });
          }
        }
      }
    },
  );

  it("sends nothing beyond the account's budget, and says when to come back", async () => {
    const { context, fake } = await begin();
    const result = await destination.put({ ...context, spend: () => 4_000 }, message());
    expect(result).toMatchObject({ kind: "failed", isUnsent: true, retryAfterMs: 4_000 });
    expect(await destination.probe({ ...context, spend: () => 4_000 })).toMatchObject({ kind: "failed" });
    expect(fake.journal).toEqual([]);
  });

  it("takes one of the account's calls for each that it makes", async () => {
    const { context, fake } = await begin();
    let spent = 0;
    const spend = () => {
      spent += 1;
      return 0;
    };
    await destination.put({ ...context, spend }, message());
    await destination.probe({ ...context, spend });
    expect(spent).toBe(fake.journal.length);
  });

  it("without a credential sends nothing, and with one that is refused says so", async () => {
    const { context, fake, connection } = await begin();
    expect(await destination.put({ ...context, connection: undefined }, message())).toMatchObject({
      kind: "failed",
      isUnsent: true,
    });
    expect(fake.journal).toEqual([]);
    const refused = { ...connection, credential: { secret: "opens-nothing" } };
    expect(await destination.probe({ ...context, connection: refused })).toMatchObject({
      kind: "failed",
      problem: "api.cloudflare.com answered 401 authentication-error",
    });
  });

  it("tells apart what goes to one account from what goes to another", () => {
    const { through } = destination;
    const { config } = PLACES[type]();
    expect(through?.placeOf({ accountId: "a" })).not.toBe(through?.placeOf({ accountId: "b" }));
    const at = (account: string) =>
      destination.targetOf({
        keyring: "k",
        destinationId: "dst_1",
        keyId: "key_1",
        name: "one",
        config,
        account,
      });
    expect(at("a")).not.toBe(at("b"));
  });

  it("begins no write so late that it would outlast its delivery's lease", async () => {
    const { place, context, fake } = await begin();
    const fields = { secret: "before", user: "u", more: "m" };
    await destination.put(context, message({ fields, deliveryId: "dlv_1" }));
    const begun = Date.now();
    const writes: number[] = [];
    // Slow, and never so slow that one call runs out of its own time.
    const answer = fake.answer.bind(fake);
    fake.answer = (request, base) => {
      if (request.method !== "GET") writes.push(Date.now() - begun);
      setTime(Date.now() + 7_000);
      return answer(request, base);
    };
    const late = await destination.put(
      context,
      message({ fields: { ...fields, secret: CANARY }, deliveryId: "dlv_2" }),
    );
    expect(writes.length).toBeGreaterThan(0);
    expect(Math.max(...writes)).toBeLessThanOrEqual(30_000);
    if (late.kind === "held") expect(await place.held("billing")).toBe(CANARY);
  });

  it("writes every field of a value under a name of its own", async () => {
    const { context, fake } = await begin();
    const fields = { secret: CANARY, accessKeyId: "an-id", "session-token": "a-token" };
    expect(await destination.put(context, message({ fields }))).toMatchObject({ kind: "held" });
    expect(["secret", "accessKeyId", "sessiontoken"].map((field) => fake.held(`billing_${field}`))).toEqual([
      CANARY,
      "an-id",
      "a-token",
    ]);
  });

  it("writes a value as it is or as JSON under a name without a field, as it was told to", async () => {
    const { context, fake, place } = await begin();
    const config = destination.config.parse({ ...place.config, names: "api-{key}" });
    const name = type === "kv-rest" ? "api-billing" : "api_billing";
    await destination.put({ ...context, config }, message());
    expect(fake.held(name)).toBe(CANARY);
    const fields = { secret: CANARY, user: "u" };
    await destination.put({ ...context, config }, message({ fields, deliveryId: "dlv_2" }));
    expect(JSON.parse(fake.held(name) ?? "")).toEqual(fields);
  });

  it("refuses a value whose fields would share a name, and sends nothing", async () => {
    const { context, fake } = await begin();
    const fields = { secret: CANARY, "a-b": "1", ab: "2" };
    expect(await destination.put(context, message({ fields }))).toMatchObject({
      kind: "failed",
      isUnsent: true,
    });
    expect(fake.journal).toEqual([]);
  });

  it("takes a template that keeps keys apart, and no other", () => {
    const { config } = PLACES[type]();
    const takes = (names: unknown) => destination.config.safeParse({ ...config, names }).success;
    for (const names of ["{key}", "{key}_{field}", "PREFIX_{key}-{field}", "FIXED", "FIXED_{field}"]) {
      expect(takes(names), names).toBe(true);
    }
    for (const names of [
      "{key}{field}",
      "{field}",
      "{field}_{key}",
      "{key} {field}",
      "{other}",
      "",
      "{key}_{field}x",
      7,
    ]) {
      expect(takes(names), String(names)).toBe(false);
    }
  });
});
