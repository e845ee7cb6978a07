/** GET /metrics: text that a strict reader of OpenMetrics takes, and numbers that agree with the database. */
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { OPENMETRICS, renderFamilies } from "../../src/api/openmetrics.ts";
import { quantilesOf } from "../../src/keyring/operations/metrics.ts";
import type { TestKeyring } from "../support/api.ts";
import { deliveryRow, rotationRow } from "../support/database.ts";
import { type Meter, meter } from "../support/meter.ts";
import { inRegistry } from "../support/registry.ts";
import {
  changeStore,
  furnish,
  makeAccessKey,
  makeKey,
  makeLostKey,
  makeStuckRevocation,
  makeStuckRotation,
  objectOf,
  readTables,
  settle,
} from "./fixtures.ts";
import { copyKeys } from "./many-keys.ts";
import { type Family, parseOpenMetrics } from "./open-metrics.ts";

async function scrape(ring: TestKeyring): Promise<Map<string, Family>> {
  const { status, body, headers } = await ring.call<string>("GET", "/metrics");
  expect(status).toBe(200);
  expect(headers.get("content-type")).toBe(OPENMETRICS);
  return parseOpenMetrics(body);
}

/** Values of a metric by the value of its only label; without one under its own name. */
function valuesOf(families: Map<string, Family>, name: string): Record<string, number> {
  const family = families.get(name);
  if (!family) throw new Error(`no metric ${name}`);
  return Object.fromEntries(
    family.samples.map(({ labels, value }) => [Object.values(labels)[0] ?? name, value]),
  );
}

const NAMES = [
  "rekey_keys",
  "rekey_keys_overdue",
  "rekey_key_age_seconds",
  "rekey_key_rotation_failures",
  "rekey_person_asked",
  "rekey_rotations_live",
  "rekey_rotations_last_day",
  "rekey_delivery_lag_seconds",
  "rekey_deliveries",
  "rekey_versions_in_grace",
  "rekey_grace_held",
  "rekey_versions_revoking",
  "rekey_health",
  "rekey_last_cron_timestamp_seconds",
  "rekey_hold",
];

describe("the metrics", () => {
  it("are OpenMetrics as a whole, with every metric that the page names and no other", async () => {
    const families = await scrape(await furnish());
    expect([...families.keys()]).toEqual(NAMES);
    for (const [name, { type, samples }] of families) {
      expect(type, name).toBe(/age|lag/.test(name) ? "summary" : "gauge");
      expect(samples.length, name).toBeGreaterThan(0);
    }
  });

  it("say of a keyring with nothing in it that there is nothing", async () => {
    const ring = await furnish();
    await ring.call("DELETE", "/v1/keys/billing");
    await changeStore(ring, (store) => {
      for (const row of store.deliveries.select("")) store.deliveries.remove(row);
    });
    await inRegistry((_, { storage }) => storage.sql.exec("DELETE FROM setting"));
    const families = await scrape(ring);
    for (const name of [
      "rekey_key_age_seconds",
      "rekey_delivery_lag_seconds",
      "rekey_last_cron_timestamp_seconds",
    ]) {
      expect(families.get(name)?.samples, name).toEqual([]);
    }
    expect(valuesOf(families, "rekey_keys")).toEqual({
      ...{ pending: 0, active: 0, lost: 0, revoked: 0, deleting: expect.any(Number) },
    });
  });

  it("agree with the database", async () => {
    const ring = await furnish();
    await makeLostKey(ring, "lost");
    const dead = await makeKey(ring, "dead");
    await ring.call("POST", `/v1/keys/${dead.id}/revoke`, { body: { reason: "a test" } });
    await ring.call("POST", "/v1/settings/hold", { body: { reason: "a test" } });
    await settle(ring);
    await makeStuckRotation(ring, { state: "needs-slot", step: "preflight" });
    const now = Date.now();
    await changeStore(ring, (store) => {
      const key = store.keys.get(ring.key);
      const version = key && store.versions.current(key.id);
      if (!version) throw new Error("no version");
      store.keys.update(key, { failures: 2, dueAt: now - 2 * 3_600_000, askedAt: now });
      store.versions.update(version, { issuedAt: now - 1_000_000 });
      const old = store.versions.byNumber(key.id, 1);
      if (old) store.versions.update(old, { heldAt: now });
      const [first] = store.deliveries.ofVersion(key.id, 2);
      if (first) store.deliveries.update(first, { deliveredAt: first.createdAt + 4_500 });
      for (const row of store.deliveries.ofVersion(key.id, 1)) {
        store.deliveries.update(row, { deliveredAt: row.createdAt + 1_250 });
      }
      store.deliveries.insert(deliveryRow({ id: "dlv_0", state: "failing", deliveredAt: 9e9 }));
      store.deliveries.insert(deliveryRow({ id: "dlv_1", number: 9, dueAt: now + 3_600_000 }));
      // Begun too long ago to be of the last day.
      store.rotations.insert(rotationRow({ id: "rot_0", live: false, state: "failed" }));
    });
    const families = await scrape(ring);
    const { key = [] } = await readTables(ring);
    const states = Object.groupBy(key, ({ state }) => String(state));
    const counted = Object.entries(states).map(([state, rows]) => [state, rows?.length]);
    expect(valuesOf(families, "rekey_keys")).toMatchObject(Object.fromEntries(counted));
    expect(valuesOf(families, "rekey_keys")).toMatchObject({ active: 2, lost: 1, revoked: 1 });
    expect(valuesOf(families, "rekey_keys_overdue")).toEqual({ rekey_keys_overdue: 1 });
    expect(valuesOf(families, "rekey_key_rotation_failures")).toEqual({ rekey_key_rotation_failures: 1 });
    expect(valuesOf(families, "rekey_person_asked")).toEqual({ "new-value": 1, revocation: 0 });
    const ages = valuesOf(families, "rekey_key_age_seconds");
    expect(ages["0.5"]).toBeLessThan(100);
    expect(ages["0.9"]).toBeGreaterThanOrEqual(1_000);
    expect(ages["0.99"]).toBeLessThan(1_100);
    expect(valuesOf(families, "rekey_rotations_live")).toEqual({
      running: 0,
      blocked: 0,
      "needs-slot": 1,
      "needs-attention": 0,
      "needs-human": 0,
    });
    expect(valuesOf(families, "rekey_rotations_last_day")).toEqual({ succeeded: 1, failed: 0, cancelled: 0 });
    // Of three that arrived: 1.25 s, that of the key `stuck`, 4.5 s.
    const lags = valuesOf(families, "rekey_delivery_lag_seconds");
    expect(lags["0.99"]).toBe(4.5);
    expect(lags["0.5"]).toBeLessThanOrEqual(1.25);
    expect(valuesOf(families, "rekey_deliveries")).toEqual({ pending: 1, failing: 1 });
    expect(valuesOf(families, "rekey_versions_in_grace")).toEqual({ rekey_versions_in_grace: 1 });
    expect(valuesOf(families, "rekey_grace_held")).toEqual({ rekey_grace_held: 1 });
    expect(valuesOf(families, "rekey_versions_revoking")).toEqual({ rekey_versions_revoking: 0 });
    expect(valuesOf(families, "rekey_health")).toEqual({ healthy: 0, degraded: 0, failing: 1 });
    expect(valuesOf(families, "rekey_hold")).toEqual({ rekey_hold: 1 });
    const cron = await inRegistry((registry) => registry.lastCronAt());
    expect(valuesOf(families, "rekey_last_cron_timestamp_seconds")).toEqual({
      rekey_last_cron_timestamp_seconds: Number(cron) / 1000,
    });
  });

  it("count what is being revoked", async () => {
    const ring = await furnish();
    await makeStuckRevocation(ring);
    const families = await scrape(ring);
    expect(valuesOf(families, "rekey_versions_revoking")).toEqual({ rekey_versions_revoking: 1 });
    expect(valuesOf(families, "rekey_versions_in_grace")).toEqual({ rekey_versions_in_grace: 0 });
  });

  it("name no key, no destination and nothing of a value", async () => {
    const ring = await furnish();
    const { name, secret } = await makeAccessKey(ring, ["keys:read"]);
    const { body } = await ring.call<string>("GET", "/metrics");
    const { version = [] } = await readTables(ring);
    const hints = version.map(({ hint }) => `"${String(hint)}"`);
    expect(hints.length).toBeGreaterThan(1);
    for (const text of [ring.key, "billing", "spare", name, secret, secret.slice(-8), ring.name, ...hints]) {
      expect(body).not.toContain(text);
    }
  });
});

describe("the metrics of a keyring of thousands of keys", () => {
  it("take a sample of ages, read a bounded number of rows and write none", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, ["keys:read"]);
    await copyKeys(ring, "billing", 3_000);
    const count = async () => {
      let found: Meter | undefined;
      await runInDurableObject(objectOf(ring), (_, state) => {
        found = meter(state);
      });
      const { body } = await call<string>("GET", "/metrics");
      const statements = found?.statements() ?? [];
      found?.remove();
      return {
        ages: valuesOf(parseOpenMetrics(body), "rekey_key_age_seconds"),
        read: statements.reduce((sum, { rowsRead }) => sum + rowsRead, 0),
        written: statements.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0),
      };
    };
    const { ages, read, written } = await count();
    expect(Object.keys(ages)).toEqual(["0.5", "0.9", "0.99"]);
    // A sixth of the 3,000 current versions; all keys and versions would be 9,000.
    expect(read).toBeGreaterThan(480);
    expect(read).toBeLessThan(1_000);
    expect(written).toBe(0);
  });
});

describe("quantiles", () => {
  it("are values that are there, by the nearest rank", () => {
    expect(quantilesOf([])).toEqual([]);
    expect(quantilesOf([2_500])).toEqual([0.5, 0.9, 0.99].map((quantile) => ({ quantile, seconds: 2.5 })));
    const hundred = Array.from({ length: 100 }, (_, n) => (100 - n) * 1000);
    expect(quantilesOf(hundred).map(({ seconds }) => seconds)).toEqual([50, 90, 99]);
  });
});

describe("the text", () => {
  it("escapes what would end a line or a label", () => {
    const help = 'a "quoted" \\ thing\nand more';
    const text = renderFamilies([
      { name: "a", type: "gauge", help, samples: [{ labels: { b: help }, value: 1.5 }] },
    ]);
    const [sample] = parseOpenMetrics(text).get("a")?.samples ?? [];
    expect(sample).toEqual({ name: "a", labels: { b: help }, value: 1.5 });
  });

  it("refuses a name that does not end in its unit", () => {
    const family = { name: "a", type: "gauge", unit: "seconds", help: "b", samples: [] } as const;
    expect(() => renderFamilies([family])).toThrow("does not end in seconds");
  });

  it.each([
    ["no end", "# TYPE a gauge\n# HELP a b\na 1\n"],
    ["a sample outside its family", "# TYPE a gauge\n# HELP a b\nb 1\n# EOF\n"],
    ["a sample twice", "# TYPE a gauge\n# HELP a b\na 1\na 2\n# EOF\n"],
    ["a family twice", "# TYPE a gauge\n# HELP a b\n# TYPE c gauge\n# HELP c d\n# TYPE a gauge\n# EOF\n"],
    ["an unknown value", "# TYPE a gauge\n# HELP a b\na undefined\n# EOF\n"],
  ])("with %s is not taken by the reader of these tests", (_, text) => {
    expect(() => parseOpenMetrics(text)).toThrow();
  });
});
