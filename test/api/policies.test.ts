/** Shared policies: what a change would do, what it does, and to whom. */
import { describe, expect, it } from "vitest";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { expectInvalid, expectProblem, furnish, makeKey, settle, snapshot } from "./fixtures.ts";

const DAY = 24 * 3_600_000;

interface KeyBody {
  id: string;
  policy: object;
  sharedPolicy: string | null;
  nextRotationAt: string | null;
  versions: { issuedAt: string }[];
}

interface Changed {
  policy: { keys: number; applied: boolean; policy: object };
  effect: Record<string, unknown> & { items: { name: string; from: string | null; to: string | null }[] };
}

/** Makes `count` keys that share the policy `monthly`: 30 days. */
async function share(count: number): Promise<TestKeyring> {
  const ring = await furnish();
  const policy = { maxAge: "30d", grace: "2d" };
  const made = await ring.call("POST", "/v1/policies", { body: { name: "monthly", policy } });
  expect(made.status).toBe(201);
  for (let n = 0; n < count; n++) {
    await makeKey(ring, `key-${n}`, { policy: "monthly", destinations: [{ id: "spare", as: `key-${n}` }] });
  }
  await settle(ring);
  return ring;
}

async function read(ring: TestKeyring, name: string): Promise<KeyBody> {
  return (await ring.call<KeyBody>("GET", `/v1/keys/${name}`)).body;
}

function ageOf(key: KeyBody): number {
  return Date.parse(key.nextRotationAt ?? "") - Date.parse(key.versions[0]?.issuedAt ?? "");
}

describe("a shared policy", () => {
  it("is what its keys go by, and says how many there are", async () => {
    const ring = await share(2);
    const key = await read(ring, "key-1");
    expect(key).toMatchObject({ policy: { maxAge: "30d", grace: "2d" }, sharedPolicy: "monthly" });
    expect(ageOf(key)).toBe(30 * DAY);
    const policy = await ring.call("GET", "/v1/policies/monthly");
    expect(policy.body).toMatchObject({
      id: expect.stringMatching(/^pol_[0-9a-z]{26}$/),
      name: "monthly",
      policy: { maxAge: "30d", grace: "2d" },
      keys: 2,
      applied: true,
      createdBy: "root",
    });
  });

  it("shows what a change would do, and changes nothing for that", async () => {
    const ring = await share(3);
    const before = await snapshot(ring);
    const answer = await ring.call<Changed>("PATCH", "/v1/policies/monthly?dryRun=true", {
      body: { policy: { maxAge: "10d" } },
    });
    expect(answer.status).toBe(200);
    expect(answer.body.effect).toMatchObject({ keys: 3, complete: true, sooner: 3, later: 0, dueNow: 0 });
    expect(answer.body.effect.items.map(({ name }) => name)).toEqual(["key-0", "key-1", "key-2"]);
    const [first] = answer.body.effect.items;
    expect(Date.parse(first?.from ?? "") - Date.parse(first?.to ?? "")).toBe(20 * DAY);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("does to its keys what it showed, and to no other", async () => {
    const ring = await share(2);
    const other = await makeKey(ring, "other", { policy: { grace: "1h" } });
    const body = { policy: { schedule: { cron: "0 3 1 * *", timeZone: "Europe/Berlin" }, paused: true } };
    const shown = await ring.call<Changed>("PATCH", "/v1/policies/monthly?dryRun=true", { body });
    const done = await ring.call<Changed>("PATCH", "/v1/policies/monthly", { body });
    expect(done.body.effect).toEqual(shown.body.effect);
    expect(done.body.effect).toMatchObject({ unplanned: 2 });
    expect(done.body.policy).toMatchObject({ keys: 2, applied: true, ...body });
    expect(await read(ring, "key-0")).toMatchObject({ ...body, nextRotationAt: null });
    expect(await read(ring, other.id)).toMatchObject({ policy: { grace: "1h" }, sharedPolicy: null });
    const history = await ring.call<{ items: object[] }>("GET", "/v1/events?type=policy.updated");
    expect(history.body.items).toMatchObject([{ actor: "root", data: { name: "monthly", keys: 2 } }]);
  });

  it("plans keys that were not planned, and says which fall due at once", async () => {
    const ring = await furnish();
    await ring.call("POST", "/v1/policies", { body: { name: "none", policy: {} } });
    const fields = { secret: "obviously-fake-and-very-old" };
    await makeKey(ring, "old", {
      policy: "none",
      fields,
      issuedAt: "2020-01-01T00:00:00Z",
      destinations: [{ id: "spare", as: "old" }],
    });
    const answer = await ring.call<Changed>("PATCH", "/v1/policies/none?dryRun=true", {
      body: { policy: { maxAge: "30d" } },
    });
    expect(answer.body.effect).toMatchObject({ keys: 1, planned: 1, dueNow: 1, sooner: 0 });
  });

  it("is left behind by a key that gets one of its own, and taken up again by name or id", async () => {
    const ring = await share(1);
    const { id } = (await ring.call<{ id: string }>("GET", "/v1/policies/monthly")).body;
    await ring.call("PATCH", "/v1/keys/key-0", { body: { policy: { maxAge: "5d" } } });
    await ring.call("PATCH", "/v1/policies/monthly", { body: { policy: { maxAge: "1d" } } });
    expect(await read(ring, "key-0")).toMatchObject({ policy: { maxAge: "5d" }, sharedPolicy: null });
    await ring.call("PATCH", "/v1/keys/key-0", { body: { policy: id } });
    expect(await read(ring, "key-0")).toMatchObject({ policy: { maxAge: "1d" }, sharedPolicy: "monthly" });
  });

  it("stays with a key whose labels change", async () => {
    const ring = await share(1);
    await ring.call("PATCH", "/v1/keys/key-0", { body: { labels: { team: "payments" } } });
    expect(await read(ring, "key-0")).toMatchObject({ sharedPolicy: "monthly" });
  });

  it("cannot be deleted while a key has it, and can afterwards", async () => {
    const ring = await share(1);
    const { id } = await read(ring, "key-0");
    const refused = await ring.call("DELETE", "/v1/policies/monthly");
    expect(expectProblem(refused, 409, "in-use").usedBy).toEqual([id]);
    await ring.call("PATCH", "/v1/keys/key-0", { body: { policy: {} } });
    expect((await ring.call("DELETE", "/v1/policies/monthly")).status).toBe(204);
    expectProblem(await ring.call("GET", "/v1/policies/monthly"), 404, "not-found");
  });

  it("that would plan a key without a destination is refused, naming the key", async () => {
    const ring = await makeKeyring();
    await ring.call("POST", "/v1/policies", { body: { name: "calm", policy: {} } });
    const { id } = await makeKey(ring, "lonely", { policy: "calm" });
    const before = await snapshot(ring);
    const refused = await ring.call("PATCH", "/v1/policies/calm", { body: { policy: { maxAge: "1d" } } });
    expect(expectProblem(refused, 409, "no-receiver").usedBy).toEqual([id]);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("has a name of its own", async () => {
    const ring = await share(0);
    const again = await ring.call("POST", "/v1/policies", { body: { name: "monthly", policy: {} } });
    expectProblem(again, 409, "name-taken");
    await ring.call("POST", "/v1/policies", { body: { name: "weekly", policy: {} } });
    expectProblem(
      await ring.call("PATCH", "/v1/policies/weekly", { body: { name: "monthly" } }),
      409,
      "name-taken",
    );
  });

  it("that does not exist is named as what is wrong with a key", async () => {
    const ring = await makeKeyring();
    const body = { name: "billing", provider: "issuer", policy: "nobody" };
    expectInvalid(await ring.call("POST", "/v1/keys", { body }), "policy");
  });

  it("reaches more keys than one commit takes", { timeout: 60_000 }, async () => {
    const ring = await share(1);
    const { copyKeys } = await import("./many-keys.ts");
    await copyKeys(ring, "key-0", 1_200);
    const done = await ring.call<Changed>("PATCH", "/v1/policies/monthly", {
      body: { policy: { maxAge: "3d" } },
    });
    expect(done.body.effect).toMatchObject({ keys: 1_201, sooner: 1_201 });
    expect(done.body.effect.items).toHaveLength(100);
    await expect
      .poll(async () => (await ring.call("GET", "/v1/policies/monthly")).body)
      .toMatchObject({ applied: true, keys: 1_201 });
    const { countPlanned } = await import("./many-keys.ts");
    expect(await countPlanned(ring, '{"maxAge":"3d"}')).toBe(1_201);
  });
});

describe("a policy", () => {
  it.each<[string, object, string]>([
    ["maxAge and schedule", { maxAge: "1d", schedule: { cron: "0 3 * * *" } }, "policy.schedule"],
    ["a schedule with seconds", { schedule: { cron: "0 0 3 * * *" } }, "policy.schedule.cron"],
    ["a day that never comes", { schedule: { cron: "0 0 31 2 *" } }, "policy.schedule.cron"],
    [
      "an unknown time zone",
      { schedule: { cron: "0 3 * * *", timeZone: "Mars/Olympus" } },
      "policy.schedule.timeZone",
    ],
    ["a window of a month", { window: { cron: "0 0 1 * *", duration: "30d" } }, "policy.window.duration"],
    ["a window of no length", { window: { cron: "0 0 1 * *", duration: "0" } }, "policy.window.duration"],
    [
      "a freeze that ends before it begins",
      { freezes: [{ from: "2027-01-02T00:00:00Z", until: "2027-01-01T00:00:00Z" }] },
      "policy.freezes.0.until",
    ],
    ["a maxGrace below the grace", { grace: "3d", maxGrace: "2d" }, "policy.maxGrace"],
  ])("with %s is refused by the name of the field", async (_, policy, field) => {
    const ring = await makeKeyring();
    expectInvalid(await ring.call("POST", "/v1/policies", { body: { name: "odd", policy } }), field);
    const key = { name: "billing", provider: "issuer", policy };
    expectInvalid(await ring.call("POST", "/v1/keys", { body: key }), field);
  });
});
