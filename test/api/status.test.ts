/** GET /v1/status: from a red light to its cause and remedy in one call, at a cost that does not grow with the keys. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { StatusView } from "../../src/keyring/operations/status.ts";
import type { ProblemView } from "../../src/keyring/problems.ts";
import { factsOfKeyring } from "../../src/rotation/health.ts";
import type { Policy } from "../../src/store/keys.ts";
import { durableObjectSql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { makeKeyring, request, type TestKeyring } from "../support/api.ts";
import { deliveryRow } from "../support/database.ts";
import { type Meter, meter } from "../support/meter.ts";
import { QUIET_URL } from "../support/network.ts";
import { inRegistry, noteCron } from "../support/registry.ts";
import {
  callAs,
  changeStore,
  expectProblem,
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

const HOUR_MS = 3_600_000;

async function statusOf(ring: TestKeyring): Promise<StatusView> {
  const { status, body } = await ring.call<StatusView>("GET", "/v1/status");
  expect(status).toBe(200);
  return body;
}

describe("a keyring that is well", () => {
  it("is healthy, with what there is and nothing to do", async () => {
    const ring = await furnish();
    await makeKey(ring, "paused", {
      policy: { maxAge: "30d", paused: true },
      destinations: [{ id: "spare" }],
    });
    await makeKey(ring, "later", {
      policy: { maxAge: "30d" },
      destinations: [{ id: "spare", as: "later" }],
    });
    await settle(ring);
    const later = await ring.call<{ nextRotationAt: string }>("GET", "/v1/keys/later");
    expect(await statusOf(ring)).toEqual({
      health: "healthy",
      reasons: [],
      keys: {
        total: 3,
        pending: 0,
        active: 3,
        lost: 0,
        revoked: 0,
        deleting: 0,
        paused: 1,
        overdue: 0,
        due: 0,
      },
      rotations: { live: 0, blocked: 0, needsSlot: 0, needsAttention: 0, needsHuman: 0 },
      versions: { inGrace: 1, held: 0, revoking: 0, stuck: 0, due: 0 },
      deliveries: { pending: 0, failing: 0 },
      destinations: { failing: [] },
      subscriptions: { failing: [] },
      nextRotationAt: later.body.nextRotationAt,
      lastSweepAt: expect.stringMatching(/Z$/),
      hold: null,
      batches: [],
      problems: [],
    });
  });

  it("counts revoked and deleted keys as they become so", async () => {
    const ring = await furnish();
    await makeKey(ring, "gone");
    await makeKey(ring, "over");
    await ring.call("POST", "/v1/keys/over/revoke", { body: { reason: "a test" } });
    await ring.call("DELETE", "/v1/keys/gone");
    await settle(ring);
    const { key = [] } = await readTables(ring);
    const states = key.map(({ state }) => state).sort();
    expect(states).toEqual(["active", "deleted", "revoked"]);
    expect((await statusOf(ring)).keys).toMatchObject({ total: 2, active: 1, revoked: 1, deleting: 0 });
  });

  it("shows the batches that are not over", async () => {
    const ring = await furnish();
    await ring.call("POST", "/v1/settings/hold", { body: { reason: "an audit" } });
    const body = { select: { all: true }, reason: "a leaver" };
    const { id } = (await ring.call<{ id: string }>("POST", "/v1/rotations", { body })).body;
    expect((await statusOf(ring)).batches).toMatchObject([{ id, state: "running", total: 1, left: 1 }]);
    await ring.call("POST", `/v1/batches/${id}/cancel`);
    expect((await statusOf(ring)).batches).toEqual([]);
  });

  it("shows the hold", async () => {
    const ring = await furnish();
    await ring.call("POST", "/v1/settings/hold", { body: { reason: "an audit" } });
    expect((await statusOf(ring)).hold).toMatchObject({ reason: "an audit", by: "root", until: null });
  });
});

const HELD_AT = Date.UTC(2026, 0, 31);

/** Each way to be wrong, and what is then said of it. */
const WRONG: [
  what: string,
  make: (ring: Awaited<ReturnType<typeof furnish>>) => Promise<unknown>,
  says: Partial<ProblemView>,
  counts: object,
][] = [
  [
    "a key that lost its value",
    (ring) => makeLostKey(ring, "lost"),
    { what: "key-lost", remedy: expect.stringMatching(/PUT \/v1\/keys\/key_\w+\/value/) },
    { health: "failing", keys: { lost: 1 } },
  ],
  [
    "a rotation that needs a human",
    (ring) => makeStuckRotation(ring, { state: "needs-human", step: "settle" }),
    {
      what: "rotation-needs-human",
      cause: "a test.",
      remedy: expect.stringMatching(/Look at the service/),
      nextTryAt: expect.stringMatching(/Z$/),
    },
    { health: "failing", rotations: { live: 1, needsHuman: 1 } },
  ],
  [
    "a rotation that needs attention",
    (ring) => makeStuckRotation(ring, { state: "needs-attention", step: "mint" }),
    {
      what: "rotation-needs-attention",
      cause: "a test; it waits for the service, for the second time.",
      remedy: expect.stringMatching(/rot_\w+\/retry/),
    },
    { health: "failing", rotations: { live: 1, needsAttention: 1 } },
  ],
  [
    "a revocation that does not succeed",
    (ring) => makeStuckRevocation(ring),
    {
      what: "revocation-stuck",
      cause: expect.stringMatching(/^Version 1 may still work: 7 tries/),
      remedy: expect.stringMatching(/versions\/1\/abandon/),
    },
    { health: "failing", versions: { inGrace: 0, revoking: 1, stuck: 1 } },
  ],
  [
    "a rotation blocked past its time",
    (ring) => makeStuckRotation(ring, { state: "blocked", step: "preflight", deadlineAt: Date.now() - 1 }),
    { what: "rotation-blocked", cause: "a test.", remedy: expect.stringMatching(/\/retry/) },
    { health: "failing", rotations: { live: 1, blocked: 1 } },
  ],
  [
    "a rotation that waits for a slot, in its time",
    (ring) => makeStuckRotation(ring, { state: "needs-slot", step: "preflight" }),
    {
      what: "rotation-needs-slot",
      remedy: expect.stringMatching(/Every credential that the service allows/),
    },
    { health: "healthy", rotations: { live: 1, needsSlot: 1 } },
  ],
  [
    "a key that failed to rotate again and again",
    (ring) => patchKey(ring, { failures: 3 }),
    { what: "key-failing", cause: expect.stringMatching(/^The last 3 rotations failed/) },
    { health: "failing" },
  ],
  [
    "a key whose last rotation failed",
    (ring) => patchKey(ring, { failures: 1 }),
    { what: "key-failing", cause: expect.stringMatching(/^The last rotation failed/) },
    { health: "degraded" },
  ],
  [
    "a rotation that nothing starts",
    (ring) => patchKey(ring, { dueAt: Date.now() - 2 * HOUR_MS }),
    {
      what: "key-overdue",
      cause: "Its rotation was due and was not started: cron did not come, or could not start it.",
      remedy: expect.stringMatching(/POST \/v1\/keys\/key_\w+\/rotate starts this one now/),
    },
    { health: "failing", keys: { overdue: 1 } },
  ],
  [
    "a rotation that a hold keeps from starting",
    async (ring) => {
      await ring.call("POST", "/v1/settings/hold", { body: { reason: "a test" } });
      await patchKey(ring, { dueAt: Date.now() - 2 * HOUR_MS });
    },
    { what: "key-overdue", remedy: expect.stringMatching(/^POST \/v1\/settings\/release/) },
    { health: "failing", keys: { overdue: 1 } },
  ],
  [
    "a delivery that was given up",
    (ring) =>
      changeStore(ring, (store) =>
        store.deliveries.insert(
          deliveryRow({
            id: "dlv_failing",
            keyId: ring.key,
            destinationId: ring.destination,
            state: "failing",
            attempt: 10,
            lastCall: { method: "POST", host: "hooks.acme.dev", status: 503, code: "status", at: 1 },
          }),
        ),
      ),
    {
      what: "delivery-failing",
      id: "dlv_failing",
      cause: "store did not take version 1 in 10 tries (POST hooks.acme.dev: HTTP 503).",
      remedy: expect.stringMatching(/POST \/v1\/deliveries\/dlv_failing\/replay/),
    },
    { health: "degraded", deliveries: { pending: 0, failing: 1 } },
  ],
  [
    "a destination that does not answer",
    (ring) =>
      changeStore(ring, (store) => {
        const row = store.destinations.find("spare");
        if (!row) throw new Error("no destination");
        const lastCall = { method: "GET", host: "kv", code: "timeout", at: 1 };
        store.destinations.update(row, { state: "failing", lastCall });
      }),
    {
      what: "destination-failing",
      cause: "spare does not answer as it should (GET kv: timeout).",
      remedy: expect.stringMatching(/POST \/v1\/destinations\/dst_\w+\/test/),
    },
    {
      health: "degraded",
      destinations: {
        failing: [
          { name: "spare", host: "kv", problem: "spare does not answer as it should (GET kv: timeout)." },
        ],
      },
    },
  ],
  [
    "a subscription that was told to stop",
    async (ring) => {
      const body = { name: "ops", url: QUIET_URL, types: ["chain.broken"] };
      await ring.call("POST", "/v1/subscriptions", { body });
      await settle(ring);
      await changeStore(ring, (store) => {
        const row = store.subscriptions.find("ops");
        if (row) store.subscriptions.update(row, { state: "disabled" });
      });
    },
    { what: "subscription-failing", cause: "ops told us to stop (HTTP 410)." },
    { health: "degraded", subscriptions: { failing: [{ name: "ops", host: "quiet.acme.dev" }] } },
  ],
  [
    "a grace that is held beyond its time",
    (ring) => holdGrace(ring, {}),
    {
      what: "grace-held",
      since: new Date(HELD_AT).toISOString(),
      cause: expect.stringMatching(
        /^Version 1 lives beyond its grace, now until \S+Z: the new version was not seen yet. It is revoked on \S+Z, whoever uses it still.$/,
      ),
      remedy: expect.stringMatching(/versions\/1\/extend gives them more time/),
      nextTryAt: expect.stringMatching(/Z$/),
    },
    { health: "healthy", versions: { inGrace: 1, held: 1, revoking: 0, stuck: 0 } },
  ],
  [
    "a grace that is held until somebody ends it",
    (ring) => holdGrace(ring, { onCeiling: "hold" }),
    { what: "grace-held", cause: expect.stringMatching(/It is held until a person ends it.$/) },
    { health: "healthy" },
  ],
  [
    "what an import left on hold",
    (ring) =>
      runInDurableObject(objectOf(ring), (_, { storage }) =>
        storage.sql.exec("INSERT INTO held VALUES ('start', 'key_x', 1)"),
      ),
    { what: "keyring-on-hold", remedy: expect.stringMatching(/\/release until nothing is left/) },
    { health: "healthy" },
  ],
];

/** Has the first version of `billing` wait until the second one was seen. */
function holdGrace(ring: { key: string; code: string }, more: Policy) {
  return changeStore(ring, (store) => {
    const key = store.keys.get(ring.key);
    const version = key && store.versions.byNumber(key.id, 1);
    if (!key || !version) throw new Error("no version");
    store.keys.update(key, { policy: { revokeWhen: ["newSeen"], ...more } });
    store.versions.update(version, { heldAt: HELD_AT });
  });
}

function patchKey(ring: { key: string; code: string }, patch: { failures?: number; dueAt?: number }) {
  return changeStore(ring, (store) => {
    const key = store.keys.get(ring.key);
    if (key) store.keys.update(key, patch);
  });
}

describe("a keyring with", () => {
  it.each(WRONG)("%s names it, with its cause and what to do", async (_, make, says, counts) => {
    const ring = await furnish();
    await make(ring);
    const status = await statusOf(ring);
    expect(status).toMatchObject(counts);
    const [problem] = status.problems.filter(({ what }) => what === says.what);
    expect(problem).toMatchObject(says);
    expect(status.problems).toHaveLength(1);
  });

  it("cron that stays away says since when", async () => {
    const ring = await furnish();
    await inRegistry((_, { storage }) =>
      storage.sql.exec("UPDATE setting SET value = 1000 WHERE name = 'lastCronAt'"),
    );
    const status = await statusOf(ring);
    expect(status.lastSweepAt).toBe("1970-01-01T00:00:01.000Z");
    expect(status.problems).toMatchObject([{ what: "cron-missing", since: "1970-01-01T00:00:01.000Z" }]);
    await noteCron(Date.now());
    expect((await statusOf(ring)).problems).toEqual([]);
  });

  it("a history behind its anchor is failing, which only root may still see", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, ["keys:read"]);
    await inRegistry((_, { storage }) =>
      storage.sql.exec("UPDATE keyring SET anchorSeq = 10000, anchorHash = x'00' WHERE code = ?", ring.code),
    );
    await abortAllDurableObjects();
    const { health, reasons, problems } = await statusOf(ring);
    expect({ health, reasons }).toEqual({ health: "failing", reasons: ["the keyring is closed"] });
    expect(problems[0]).toMatchObject({
      what: "keyring-closed",
      remedy: expect.stringMatching(/reconcile/),
    });
    expect((await call("GET", "/v1/status")).status).toBe(503);
  });

  it("many problems shows the worst 100, the worst first", async () => {
    const ring = await furnish();
    await patchKey(ring, { failures: 1 });
    await copyKeys(ring, "billing", 150);
    await makeLostKey(ring, "lost");
    await changeStore(ring, (store) => store.deliveries.insert(deliveryRow({ state: "failing" })));
    const { problems, reasons } = await statusOf(ring);
    expect(problems).toHaveLength(100);
    expect(problems[0]?.what).toBe("key-lost");
    expect(problems.slice(1).every(({ what }) => what === "key-failing")).toBe(true);
    expect(reasons).toEqual([
      "1 key has lost the value",
      "the last rotation of 151 keys failed",
      "1 delivery was given up",
    ]);
  });

  it("each fact of its health has a problem that says more", async () => {
    const ring = await furnish();
    for (const [what, make] of WRONG) {
      // One stuck rotation is made under one name.
      if (!/rotation (that|blocked)/.test(what)) await make(ring);
    }
    await makeStuckRotation(ring, { state: "needs-human", step: "settle" });
    const facts = await runInDurableObject(objectOf(ring), (_, { storage }) =>
      factsOfKeyring(new Store(durableObjectSql(storage)), Date.now()),
    );
    const { problems } = await statusOf(ring);
    const kinds = new Set(problems.map(({ what }) => what));
    expect(facts).toMatchObject({ lost: 1, stuckRevocations: 1, failingDeliveries: 1, needAttention: 1 });
    for (const what of [
      "key-lost",
      "revocation-stuck",
      "delivery-failing",
      "rotation-needs-human",
    ] as const) {
      expect(kinds).toContain(what);
    }
  });
});

describe("the status of a keyring of thousands of keys", () => {
  it("reads as many rows as that of one with a few, and writes none", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, ["keys:read"]);
    // The first call reads its credential, too.
    await call("GET", "/v1/status");
    const few = await rowsOf(ring, () => call("GET", "/v1/status"));
    await copyKeys(ring, "billing", 3_000);
    const many = await rowsOf(ring, () => call("GET", "/v1/status"));
    expect((await statusOf(ring)).keys.total).toBe(3_002);
    expect(few.read).toBeGreaterThan(10);
    // Versions in grace are under way, and copied ones are not in the queue.
    expect(many.read).toBe(few.read);
    expect(many.read).toBeLessThan(100);
    expect(many.written).toBe(0);
  });
});

async function rowsOf(
  ring: TestKeyring,
  work: () => Promise<unknown>,
): Promise<{ read: number; written: number }> {
  let found: Meter | undefined;
  await runInDurableObject(objectOf(ring), (_, state) => {
    found = meter(state);
  });
  await work();
  return runInDurableObject(objectOf(ring), () => {
    const statements = found?.statements() ?? [];
    found?.remove();
    expect(statements.length).toBeGreaterThan(0);
    return {
      read: statements.reduce((sum, { rowsRead }) => sum + rowsRead, 0),
      written: statements.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0),
    };
  });
}

describe.each(["/v1/status", "/metrics"])("GET %s", (path) => {
  it("is refused without a credential, with a dead one and without the scope", async () => {
    const ring = await furnish();
    expectProblem(await request(null, "GET", path), 401, "credential-missing");
    const dead = await makeAccessKey(ring, ["keys:read"]);
    expect((await dead.call("GET", path)).status).toBe(200);
    await ring.call("POST", `/v1/keys/${dead.name}/revoke`, { body: { reason: "a test" } });
    expectProblem(await dead.call("GET", path), 401, "credential-revoked");
    const { secret } = await makeKey(ring, "issued", { scopes: ["keys:read"] });
    expectProblem(await callAs(secret)("GET", path), 401, "credential-unknown");
    const other = await makeAccessKey(ring, ["settings:read", "events:read"]);
    expect(expectProblem(await other.call("GET", path), 403, "scope-missing").scope).toBe("keys:read");
  });

  it("is of the credential's own keyring", async () => {
    const theirs = await furnish();
    await makeLostKey(theirs, "lost");
    const mine = await makeKeyring();
    const { call } = await makeAccessKey(mine, ["keys:read"]);
    const text = JSON.stringify((await call("GET", path)).body);
    expect(text).not.toContain(theirs.key);
    expect(text).not.toMatch(/"lost":1|state=\\"lost\\"} 1/);
  });
});

describe("GET /v1/keys/{key}", () => {
  it("says how the key is", async () => {
    const ring = await furnish();
    expect((await ring.call("GET", "/v1/keys/billing")).body).toMatchObject({ health: "healthy" });
    await patchKey(ring, { failures: 1 });
    expect((await ring.call("GET", "/v1/keys/billing")).body).toMatchObject({ health: "degraded" });
    await makeStuckRevocation(ring);
    expect((await ring.call("GET", "/v1/keys/billing")).body).toMatchObject({ health: "failing" });
  });
});
