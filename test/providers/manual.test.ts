/** Keys that only a person can make: reminded of, handed in, delivered, and asked for again until the old value is dead. */
import { http } from "msw";
import { describe, expect, it } from "vitest";
import { parseDuration } from "../../src/duration.ts";
import type { StatusView } from "../../src/keyring/operations/status.ts";
import type { KeySummaryView, KeyView } from "../../src/keyring/views.ts";
import { compromiseVersion } from "../../src/rotation/compromise.ts";
import type { Policy } from "../../src/store/keys.ts";
import { at, pass, setTime } from "../support/clock.ts";
import { quiet, ring, runUntil } from "../support/inside.ts";
import { watchObjects } from "../support/live.ts";
import { network } from "../support/network.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";

const DAY = parseDuration("1d");
const RUNBOOK = { text: "Console, tokens, new token.", url: "https://vendor.acme.dev/tokens" };
const TEST = {
  method: "GET",
  url: "https://api.vendor.acme.dev/me",
  headers: { authorization: "Bearer {{value.secret}}" },
};
const FIRST = "the-first-value-of-a-person";
const SECOND = "the-second-value-of-a-person";
const HAND_IN = { fields: { secret: SECOND } };

interface Vendor {
  accepted: Set<string>;
  down: boolean;
}

/** The service behind the test. */
function serve(): Vendor {
  const vendor = { accepted: new Set([FIRST, SECOND]), down: false };
  network.use(
    http.get(TEST.url, ({ request }) => {
      if (vendor.down) return new Response(null, { status: 503 });
      const secret = request.headers.get("authorization")?.slice("Bearer ".length) ?? "";
      return vendor.accepted.has(secret)
        ? Response.json({ id: 1 })
        : Response.json({ error: "unauthorized" }, { status: 401 });
    }),
  );
  return vendor;
}

interface Made {
  policy?: Policy;
  tested?: boolean;
  destinations?: string[];
}

async function makeManual({
  policy = { maxAge: "30d", grace: "1h" },
  tested = true,
  destinations = ["kv"],
}: Made = {}) {
  const vendor = serve();
  const scene = await makeScene();
  await scene.kv("kv", { propagation: "0" });
  await scene.must("POST", "/v1/keys", {
    name: "billing",
    provider: "manual",
    config: { runbook: RUNBOOK, ...(tested && { test: TEST }) },
    fields: { secret: FIRST },
    policy,
    destinations: destinations.map((id) => ({ id })),
  });
  await quiet(scene);
  return { scene, vendor };
}

/** Lets the schedule's day come. */
async function comeDue(scene: Scene): Promise<void> {
  setTime(at((await scene.read()).nextRotationAt));
  await cron();
}

/** Goes on for days, with cron and alarms as they come. */
async function live(scene: Scene, days: number): Promise<void> {
  const until = Date.now() + days * DAY;
  while (Date.now() < until) {
    const next = (await scene.read()).nextRotationAt;
    const at = Math.min(until, next === null ? until : Math.max(Date.now(), Date.parse(next)));
    await runUntil(scene, at);
    await cron();
    await quiet(scene);
  }
}

async function handIn(scene: Scene, body: object = HAND_IN) {
  const answer = await scene.keyring.call<{ code?: string }>("PUT", "/v1/keys/billing/value", { body });
  await quiet(scene);
  return answer;
}

/** When each `key.due` came, in days since a time, and what it asked for. */
async function listDue(scene: Scene, since: number): Promise<[number, unknown][]> {
  const events = await scene.events("key.due");
  return events.map(({ at: time, data }) => [Math.floor((Date.parse(time) - since) / DAY), data.do]);
}

async function leak(scene: Scene, objects: ReturnType<typeof watchObjects>, number: number): Promise<void> {
  await scene.read();
  await objects.act(scene, ({ context }) => {
    const key = context.store.keys.byName("billing");
    const version = key && context.store.versions.byNumber(key.id, number);
    if (!version) throw new Error("no such version");
    compromiseVersion(context, version, { source: "test", actor: "root" });
  });
  await quiet(scene);
}

describe("a manual key that is made", () => {
  it.each<[what: string, body: object, path: string]>([
    ["no runbook", { config: {} }, "config.runbook"],
    ["no words", { config: { runbook: { text: "" } } }, "config.runbook.text"],
    [
      "an address that is no https",
      { config: { runbook: { text: "x", url: "http://acme.dev" } } },
      "config.runbook.url",
    ],
    ["no value", { fields: undefined }, "fields"],
    [
      "a test that shows no value",
      { config: { runbook: RUNBOOK, test: { method: "GET", url: TEST.url } } },
      "config.test",
    ],
    [
      "a test with the value in its address",
      { config: { runbook: RUNBOOK, test: { method: "GET", url: `${TEST.url}?key={{value.secret}}` } } },
      "config.test.url",
    ],
    [
      "a test that names another secret",
      {
        config: {
          runbook: RUNBOOK,
          test: { ...TEST, headers: { a: "{{value.secret}}", b: "{{credential.secret}}" } },
        },
      },
      "config.test.headers.b",
    ],
    [
      "a test at a private address",
      { config: { runbook: RUNBOOK, test: { ...TEST, url: "https://10.0.0.1/me" } } },
      "config",
    ],
    [
      "a value without a field that its test names",
      {
        config: {
          runbook: RUNBOOK,
          test: { ...TEST, headers: { a: "{{value.secret}}", b: "{{value.account}}" } },
        },
      },
      "fields.account",
    ],
  ])("with %s is refused, and the answer names where", async (_, more, path) => {
    const scene = await makeScene();
    const body = {
      name: "billing",
      provider: "manual",
      config: { runbook: RUNBOOK },
      fields: { secret: FIRST },
      ...more,
    };
    const answer = await scene.keyring.call<{ errors: { path: string }[] }>("POST", "/v1/keys", { body });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ path }] } });
  });

  it("may have a plan and go to no destination", async () => {
    const { scene } = await makeManual({ destinations: [] });
    await comeDue(scene);
    expect((await handIn(scene)).status).toBe(202);
    expect(await scene.stages()).toEqual(["previous", "current"]);
  });

  it("may get another runbook, and keeps its test", async () => {
    const { scene } = await makeManual();
    const patch = (config: object) =>
      scene.keyring.call<{ errors: { path: string }[] }>("PATCH", "/v1/keys/billing", { body: { config } });
    const runbook = { text: "Ask the finance team." };
    expect((await patch({ runbook, test: TEST })).status).toBe(200);
    await comeDue(scene);
    expect((await scene.events("key.due"))[0]?.data).toMatchObject({ runbook: runbook.text, url: null });
    const elsewhere = { ...TEST, url: "https://other.acme.dev/me" };
    for (const test of [elsewhere, undefined]) {
      const answer = await patch({ runbook, test });
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ path: "config.test" }] } });
    }
    expect((await patch({})).body.errors).toMatchObject([{ path: "config.runbook" }]);
  });

  it("cannot be rotated: the answer says what its runbook says", async () => {
    const { scene } = await makeManual();
    const answer = await scene.keyring.call("POST", "/v1/keys/billing/rotate", { body: {} });
    const detail = `${RUNBOOK.text} (${RUNBOOK.url})`;
    expect(answer).toMatchObject({ status: 409, body: { code: "made-by-hand", detail } });
    const { plan } = await scene.must<{
      plan: { ready: boolean; blockers: { what: string }[]; steps: { step: string; does: string }[] };
    }>("POST", "/v1/keys/billing/rotate", { dryRun: true });
    expect(plan).toMatchObject({ ready: false, blockers: [{ what: "request" }] });
    for (const name of ["mint", "revoke"])
      expect(plan.steps.find(({ step }) => step === name)?.does).toMatch(/^a person .* as the runbook says/);
    expect(await scene.rotations()).toEqual([]);
  });
});

describe("on the day", () => {
  it("an event says what to do and where, instead of a rotation", async () => {
    const { scene } = await makeManual();
    await comeDue(scene);
    const [event, ...more] = await scene.events("key.due");
    expect(more).toEqual([]);
    const { id } = await scene.read();
    expect(event).toMatchObject({
      actor: "rekey",
      key: id,
      data: {
        since: event?.at,
        do: "replace",
        version: 1,
        todo: `Make a new value as the runbook says and hand it in: PUT /v1/keys/${id}/value.`,
        runbook: RUNBOOK.text,
        url: RUNBOOK.url,
      },
    });
    expect(await scene.rotations()).toEqual([]);
  });

  it("reminders follow by the table, and never two within a day however often cron comes", async () => {
    const { scene } = await makeManual();
    await comeDue(scene);
    const since = Date.now();
    for (let n = 0; n < 3; n++) await cron();
    await live(scene, 60);
    expect((await listDue(scene, since)).map(([day]) => day)).toEqual([0, 1, 3, 7, 14, 28, 42, 56]);
  });

  it("it shows in the lists and in the status, with what to do", async () => {
    const { scene } = await makeManual();
    const list = async (due: string) =>
      (await scene.must<{ items: KeySummaryView[] }>("GET", `/v1/keys?due=${due}`)).items;
    expect([await list("true"), (await list("false")).length]).toEqual([[], 1]);
    await comeDue(scene);
    const since = new Date(Date.now()).toISOString();
    const [key] = await list("true");
    expect(key).toMatchObject({
      config: { runbook: RUNBOOK },
      due: { since, remindedAt: since, todo: expect.stringContaining("PUT /v1/keys/") },
    });
    expect(await list("false")).toEqual([]);
    const status = await scene.must<StatusView>("GET", "/v1/status");
    expect(status).toMatchObject({ health: "degraded", keys: { due: 1, overdue: 0 } });
    expect(status.problems).toMatchObject([
      { what: "key-due", key: key?.id, since, remedy: expect.stringContaining(RUNBOOK.text) },
    ]);
    expect((await scene.read()).health).toBe("degraded");
  });

  it("nobody is reminded while the key is paused or in a freeze, and not again once its policy moved the day", async () => {
    const { scene } = await makeManual();
    await comeDue(scene);
    const since = Date.now();
    await scene.must("PATCH", "/v1/keys/billing", { paused: true });
    await live(scene, 10);
    await scene.must("PATCH", "/v1/keys/billing", { paused: false });
    const from = new Date(Date.now() - DAY).toISOString();
    const until = new Date(Date.now() + 5 * DAY).toISOString();
    await scene.must("PATCH", "/v1/keys/billing", { policy: { maxAge: "30d", freezes: [{ from, until }] } });
    await live(scene, 4);
    expect(await listDue(scene, since)).toEqual([[0, "replace"]]);
    await scene.must("PATCH", "/v1/keys/billing", { policy: { maxAge: "90d" } });
    expect((await scene.read()).due).toBeNull();
    await live(scene, 40);
    expect(await listDue(scene, since)).toEqual([[0, "replace"]]);
  });
});

describe("a value that is handed in", () => {
  it("is tested, delivered and current; the old one has its grace, and then a person is asked to end it", async () => {
    const { scene, vendor } = await makeManual();
    await comeDue(scene);
    expect((await handIn(scene)).status).toBe(202);
    expect(await scene.inKv("billing")).toBe(SECOND);
    const key = await scene.read();
    expect(key).toMatchObject({ due: null, currentVersion: 2 });
    expect(at(key.versions[0]?.graceEndsAt)).toBe(Date.now() + parseDuration("1h"));

    const since = Date.now();
    await live(scene, 0.9);
    const revoking = await scene.read();
    expect(revoking.versions[0]).toMatchObject({
      stage: "revoking",
      due: { todo: expect.stringContaining(`/v1/keys/${key.id}/versions/1/abandon`) },
    });
    const { items } = await scene.must<{ items: KeyView[] }>("GET", "/v1/keys?due=true");
    expect(items.map(({ id }) => id)).toEqual([key.id]);
    const status = await scene.must<StatusView>("GET", "/v1/status");
    expect(status).toMatchObject({ health: "degraded", versions: { due: 1, stuck: 0 }, keys: { due: 0 } });
    expect(status.problems).toMatchObject([
      { what: "revocation-due", key: key.id, remedy: expect.stringContaining(RUNBOOK.url) },
    ]);
    await live(scene, 8);
    const asked = (await listDue(scene, since)).slice(1);
    expect(asked).toEqual([0, 1, 3, 7].map((day) => [day, "revoke"]));

    vendor.accepted.delete(FIRST);
    await live(scene, 0.5);
    expect((await scene.read()).versions[0]).toMatchObject({ stage: "revoked", confirmed: true, due: null });
    expect((await scene.events("key.revocation.stuck")).length).toBe(0);
    expect(await scene.must<StatusView>("GET", "/v1/status")).toMatchObject({ health: "healthy" });
  });

  it("comes at any time: when nothing is due, in a pause, in a freeze", async () => {
    const freezes = [{ from: "2039-01-01T00:00:00Z", until: "2099-01-01T00:00:00Z" }];
    const { scene } = await makeManual({ policy: { maxAge: "30d", grace: "1h", freezes } });
    await scene.must("PATCH", "/v1/keys/billing", { paused: true });
    expect((await handIn(scene)).status).toBe(202);
    expect(await scene.stages()).toEqual(["previous", "current"]);
    expect(await scene.events("key.due")).toEqual([]);
  });

  it("that its test refuses is dropped; the old one stays, and nobody is reminded twice that day", async () => {
    const { scene, vendor } = await makeManual();
    await comeDue(scene);
    const since = Date.now();
    vendor.accepted.delete(SECOND);
    await handIn(scene);
    expect(await scene.stages()).toEqual(["current", "discarded"]);
    expect(await scene.inKv("billing")).toBe(FIRST);
    const [rotation] = await scene.rotations();
    expect(rotation).toMatchObject({ state: "failed", problem: expect.stringContaining("401") });
    await live(scene, 0.9);
    expect((await listDue(scene, since)).map(([day]) => day)).toEqual([0]);
    await live(scene, 1);
    expect((await listDue(scene, since)).map(([day]) => day)).toEqual([0, 1]);
  });

  it("that no destination takes is put back, and a person is asked to end it", async () => {
    const { scene } = await makeManual({ policy: { maxAge: "30d", grace: "1h", deliverWithin: "10m" } });
    await comeDue(scene);
    scene.kvIsDown = true;
    await handIn(scene);
    await runUntil(scene, Date.now() + parseDuration("30m"));
    scene.kvIsDown = false;
    await runUntil(scene, Date.now() + parseDuration("7h"));
    expect(await scene.inKv("billing")).toBe(FIRST);
    expect(await scene.stages()).toEqual(["current", "revoking"]);
    const last = (await scene.events("key.due")).at(-1);
    expect(last?.data).toMatchObject({ do: "revoke", version: 2, runbook: RUNBOOK.text });
  });

  it("is refused while another one is on its way, and by a key that is over", async () => {
    const { scene, vendor } = await makeManual();
    vendor.down = true;
    await handIn(scene);
    const third = { fields: { secret: "the-third-value-of-a-person" } };
    expect((await handIn(scene, third)).body.code).toBe("rotation-live");
    await scene.must("DELETE", "/v1/keys/billing");
    expect((await handIn(scene, third)).body.code).toBe("key-deleting");
  });

  it("is refused when it is known already", async () => {
    const { scene } = await makeManual();
    const answer = await handIn(scene, { fields: { secret: FIRST } });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ path: "fields.secret" }] } });
  });

  it("on a day of reminders is the last word of that day, however soon the next one is due", async () => {
    const { scene } = await makeManual({ policy: { maxAge: "1h", grace: "0" } });
    await comeDue(scene);
    const since = Date.now();
    await handIn(scene);
    await live(scene, 0.9);
    const replaced = (await listDue(scene, since)).filter(([, asked]) => asked === "replace");
    expect(replaced).toEqual([[0, "replace"]]);
    await live(scene, 0.2);
    expect((await scene.read()).due).not.toBeNull();
  });
});

describe("an old value without a test", () => {
  it("is over when a person says so, unconfirmed", async () => {
    const { scene } = await makeManual({ tested: false });
    await handIn(scene);
    await live(scene, 2);
    expect(await scene.stages()).toEqual(["revoking", "current"]);
    expect(await listDue(scene, Date.now() - 2 * DAY)).toEqual([
      [0, "revoke"],
      [1, "revoke"],
    ]);
    await scene.must("POST", "/v1/keys/billing/versions/1/abandon");
    expect((await scene.read()).versions[0]).toMatchObject({ stage: "revoked", confirmed: false, due: null });
    const revoked = (await scene.events("key.revoked")).at(-1);
    expect(revoked).toMatchObject({ actor: "root", data: { confirmed: false, abandoned: true } });
    await live(scene, 20);
    expect(await scene.events("key.due")).toHaveLength(2);
  });

  it("may end its grace early", async () => {
    const { scene } = await makeManual({ tested: false });
    await handIn(scene);
    await scene.must("POST", "/v1/keys/billing/versions/1/finish");
    await quiet(scene);
    expect(await listDue(scene, Date.now())).toEqual([[0, "revoke"]]);
  });

  it("keeps its key from being deleted until somebody says that it is dead", async () => {
    const { scene } = await makeManual({ tested: false });
    await scene.must("DELETE", "/v1/keys/billing");
    await quiet(scene);
    const { id } = await scene.read();
    expect((await scene.events("key.due")).at(-1)?.data).toMatchObject({ do: "revoke", version: 1 });
    await scene.must("POST", `/v1/keys/${id}/versions/1/abandon`);
    expect((await scene.read(id)).state).toBe("deleted");
  });
});

describe("a manual value that leaked", () => {
  it("as the current one: the event says what to do, reminders follow whatever is frozen, and its successor has no grace to give", async () => {
    const freezes = [{ from: "2039-01-01T00:00:00Z", until: "2099-01-01T00:00:00Z" }];
    const objects = watchObjects();
    const { scene, vendor } = await makeManual({ policy: { grace: "1h", freezes } });
    await cron();
    await leak(scene, objects, 1);
    const since = Date.now();
    const [event] = await scene.events("key.compromised");
    const { id } = await scene.read();
    expect(event?.data).toEqual({
      ...{ action: "asked", rotationId: null, version: 1, stage: "current", source: "test" },
      ...{ do: "replace", runbook: RUNBOOK.text, url: RUNBOOK.url },
      todo: `Make a new value as the runbook says and hand it in: PUT /v1/keys/${id}/value.`,
    });
    expect(await scene.rotations()).toEqual([]);
    const status = await scene.must<StatusView>("GET", "/v1/status");
    expect(status).toMatchObject({ health: "failing", problems: [{ what: "key-due" }] });
    await live(scene, 4);
    expect((await listDue(scene, since)).map(([day]) => day)).toEqual([1, 3]);

    await handIn(scene);
    expect(await scene.stages()).toEqual(["revoking", "current"]);
    expect((await scene.events("key.due")).at(-1)?.data).toMatchObject({ do: "revoke", version: 1 });
    vendor.accepted.delete(FIRST);
    await live(scene, 0.1);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    expect(await scene.must<StatusView>("GET", "/v1/status")).toMatchObject({ health: "healthy" });
  });

  it("in its grace: a person is asked to end it now", async () => {
    const objects = watchObjects();
    const { scene } = await makeManual({ policy: { grace: "10d" } });
    await handIn(scene);
    await leak(scene, objects, 1);
    const [event] = await scene.events("key.compromised");
    expect(event?.data).toMatchObject({ action: "revoked", do: "revoke", version: 1, runbook: RUNBOOK.text });
    expect(await scene.stages()).toEqual(["revoking", "current"]);
    expect((await scene.events("key.due")).map(({ data }) => data.do)).toEqual(["revoke"]);
    expect(await scene.must<StatusView>("GET", "/v1/status")).toMatchObject({ health: "failing" });
  });

  it("before it is current: it is dropped, and the rotation ends as nothing can be made by a call", async () => {
    const objects = watchObjects();
    const { scene, vendor } = await makeManual();
    vendor.down = true;
    await handIn(scene);
    await leak(scene, objects, 2);
    const [rotation] = await scene.rotations();
    expect(rotation).toMatchObject({ live: false, problem: "its new version leaked" });
    expect(await scene.stages()).toEqual(["current", "revoking"]);
  });

  it("while its successor is on its way: that one becomes an emergency, and when it is refused a person is asked again", async () => {
    const objects = watchObjects();
    const { scene, vendor } = await makeManual();
    vendor.down = true;
    await handIn(scene);
    vendor.down = false;
    vendor.accepted.delete(SECOND);
    await leak(scene, objects, 1);
    await runUntil(scene, Date.now() + parseDuration("1h"));
    const [rotation] = await scene.rotations();
    expect(rotation?.live).toBe(false);
    expect((await scene.events("key.compromised"))[0]?.data).toMatchObject({ action: "escalated" });
    await cron();
    expect((await scene.events("key.due")).at(-1)?.data).toMatchObject({ do: "replace", version: 1 });
  });

  it("with revoke-only is asked to be ended and not replaced", async () => {
    const objects = watchObjects();
    const { scene } = await makeManual({ policy: { onCompromise: "revoke-only" } });
    await leak(scene, objects, 1);
    expect(await scene.read()).toMatchObject({ state: "revoked", due: null });
    expect((await scene.events("key.due")).map(({ data }) => data.do)).toEqual(["revoke"]);
    pass("1h");
    await ring(scene);
  });
});
