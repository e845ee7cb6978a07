/** The account behind a key changes while a rotation waits, or the key that opens it is rotated. */
import { describe, expect, it } from "vitest";
import { createKey } from "../../src/keyring/operations/create-key.ts";
import { deleteKey } from "../../src/keyring/operations/keys.ts";
import { compromiseVersion } from "../../src/rotation/compromise.ts";
import { changeConnection, createConnection, deleteConnection } from "../../src/rotation/connections.ts";
import { cancelRotation, retryRotation } from "../../src/rotation/interventions.ts";
import { changeAdmin } from "./people.ts";
import {
  DAY_MS,
  findBroken,
  HOUR_MS,
  KEY,
  open,
  ROOT,
  type Run,
  rotate,
  rotateKey,
  runRotation,
} from "./scene.ts";
import { type Abilities, Service } from "./service.ts";
import type { Fault } from "./simulator.ts";

const SECOND_MS = 1_000;
const BEHIND: Abilities = { overlap: "ours", find: true, connects: true };
const TWO = { fields: { secret: "admin-two" } };

/** The admin's credential is replaced by another, and the first one is withdrawn when that is safe. */
async function changeCredential(run: Run): Promise<void> {
  const { simulator, service } = run;
  const admins = service.admins.get("main");
  admins?.add("admin-two");
  const changed = await simulator.perform((context) =>
    changeConnection(context, "root", "main", { credential: TWO }),
  );
  if (changed?.ok && service.abilities.tellsAccount) admins?.delete("admin-one");
}

function live({ simulator }: Run) {
  return simulator.store.rotations.live("key_scripted");
}

function leakCurrent({ simulator }: Run): void {
  simulator.act((context) => {
    const current = context.store.versions.current(KEY);
    if (current) compromiseVersion(context, current, { source: "test", actor: "root" });
  });
}

function stages({ simulator }: Run, keyId = "key_scripted"): string[] {
  return simulator.store.versions.ofKey(keyId).map(({ stage }) => stage);
}

describe("a change of connection", () => {
  it("that its service does not let in changes nothing", async () => {
    const run = open(BEHIND, () => undefined);
    const refused = run.simulator.perform((context) =>
      changeConnection(context, "root", "main", { credential: { fields: { secret: "not-an-admin" } } }),
    );
    await run.simulator.runFor(SECOND_MS);
    expect(await refused).toMatchObject({ ok: false, error: { code: "connection-rejected" } });
    expect(run.simulator.store.connections.get("con_main")?.revision).toBe(1);
    await runRotation(run);
    expect(findBroken(run)).toEqual([]);
  });

  it("unblocks a rotation that waits for a credential that works", async () => {
    const run = open(BEHIND, () => undefined);
    const admins = run.service.admins.get("main");
    admins?.clear();
    run.simulator.act(rotate);
    await run.simulator.runFor(2 * HOUR_MS);
    expect(live(run)?.state).toBe("blocked");
    admins?.add("admin-two");
    const changing = changeCredential(run);
    await run.simulator.runFor(2 * SECOND_MS);
    await changing;
    expect(stages(run)).toEqual(["previous", "current"]);
  });

  it("to another account leaves a mint in doubt with its own, and what that makes keeps to it", async () => {
    let mints = 0;
    const run: Run = open({ ...BEHIND, propagationMs: 30_000 }, (_, name) => {
      if (name !== "mint") return undefined;
      mints += 1;
      return mints === 1 ? "answer-lost-lands-late" : undefined;
    });
    run.service.admins.set("other", new Set(["admin-two"]));
    run.simulator.act(rotate);
    await run.simulator.runFor(SECOND_MS);
    expect(live(run)?.step).toBe("settle");
    const changing = run.simulator.perform((context) =>
      changeConnection(context, "root", "main", { config: { account: "other" }, credential: TWO }),
    );
    await run.simulator.runFor(SECOND_MS);
    expect(await changing).toMatchObject({ ok: true });
    expect(live(run)?.connectionRevision).toBe(1);
    await run.simulator.runFor(HOUR_MS / 2);
    // What was lost was found where it was made, and its replacement is there, too.
    expect(run.service.credentials.map(({ account }) => account)).toEqual(["main", "main", "main"]);
    expect(live(run)).toBeUndefined();
    // The new version was made there, too, and is revoked there one day.
    expect(run.simulator.store.connections.revision("con_main", 1)).toBeDefined();
  });

  it("to another account, and once more there, has old values ended where they were made", async () => {
    const run = open(BEHIND, () => undefined);
    for (const secret of ["admin-two", "admin-three"]) {
      const changing = changeAdmin(run, secret, "other");
      await run.simulator.runFor(SECOND_MS);
      expect(await changing).toBe(true);
    }
    await runRotation(run);
    expect(stages(run)).toEqual(["revoked", "current"]);
    expect(run.service.credentials.map(({ account }) => account)).toEqual(["main", "other"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("to another account, and once more there, does not take a mint in doubt along", async () => {
    const faults = new Map<string, Fault>([["mint", "answer-lost-lands-late"]]);
    const run = open({ ...BEHIND, tellsAccount: true }, (_, name) => faults.get(name));
    run.simulator.act(rotate);
    await run.simulator.runFor(SECOND_MS);
    faults.clear();
    for (const secret of ["admin-two", "admin-three"]) {
      const changing = changeAdmin(run, secret, "other");
      await run.simulator.runFor(SECOND_MS);
      expect(await changing).toBe(true);
    }
    expect(live(run)?.connectionRevision).toBe(1);
    await run.simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
  });

  it("is taken up by a rotation whose mint was refused, which may be cancelled, too", async () => {
    const cases: [boolean, Fault | undefined][] = [
      [false, undefined],
      [true, undefined],
      // The first mint was in doubt, and is known to have made nothing before the next one is refused.
      [false, "timeout-no-effect"],
      [true, "timeout-no-effect"],
    ];
    for (const [isCancelled, fault] of cases) {
      let mints = 0;
      const run = open({ overlap: "none", connects: true }, (_, name) => {
        if (name !== "mint") return undefined;
        mints += 1;
        return mints === 1 ? fault : undefined;
      });
      const away = changeAdmin(run, "admin-two", "other");
      await run.simulator.runFor(SECOND_MS);
      expect(await away).toBe(true);
      leakCurrent(run);
      await run.simulator.runFor(HOUR_MS);
      // Only the key itself could have asked for its successor, and it is not in that account.
      expect(live(run)).toMatchObject({ state: "blocked", connectionRevision: 2 });
      if (isCancelled) {
        run.simulator.act((context) => {
          const rotation = live(run);
          return rotation && cancelRotation(context, rotation, "root");
        });
        expect(live(run)).toBeUndefined();
        continue;
      }
      const back = changeAdmin(run, "admin-two", "main");
      await run.simulator.runFor(DAY_MS);
      expect(await back).toBe(true);
      expect(stages(run)).toEqual(["revoked", "current"]);
      expect(findBroken(run)).toEqual([]);
    }
  });

  it("is taken up by a rotation that learns later that its mint in doubt made nothing", async () => {
    const faults = new Map<string, Fault>();
    const run = open({ overlap: "none", connects: true }, (_, name) => faults.get(name));
    const away = changeAdmin(run, "admin-two", "other");
    await run.simulator.runFor(SECOND_MS);
    expect(await away).toBe(true);
    faults.set("mint", "timeout-no-effect");
    leakCurrent(run);
    await run.simulator.runFor(20 * SECOND_MS);
    faults.clear();
    expect(live(run)).toMatchObject({ step: "settle", connectionRevision: 2 });
    const back = changeAdmin(run, "admin-two", "main");
    await run.simulator.runFor(SECOND_MS);
    expect(await back).toBe(true);
    // What it may have made is in the other account still, so it stays there until that is known.
    expect(live(run)).toMatchObject({ step: "settle", connectionRevision: 2 });
    await run.simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked", "current"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("is not taken up by a rotation that looks for what another one may have left", async () => {
    const faults = new Map<string, Fault>([["mint", "answer-lost-lands-late"]]);
    const abilities = { ...BEHIND, propagationMs: 60_000, listLagMs: 60_000 };
    const run = open(abilities, (_, name) => faults.get(name));
    run.simulator.act(rotate);
    await run.simulator.runFor(SECOND_MS);
    faults.clear();
    await run.simulator.runFor(DAY_MS, () => live(run)?.step === "sweep");
    faults.set("preflight", "server-error");
    leakCurrent(run);
    await run.simulator.runFor(SECOND_MS);
    faults.clear();
    expect(live(run)).toMatchObject({ step: "preflight", mints: 0, sought: expect.any(Array) });
    const changing = changeAdmin(run, "admin-two", "other");
    await run.simulator.runFor(SECOND_MS);
    expect(await changing).toBe(true);
    expect(live(run)?.connectionRevision).toBe(1);
    await run.simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
  });

  it("leaves an emergency that takes over the credential of the account where it has to look", async () => {
    const faults = new Map<string, Fault>([["mint", "crash-before"]]);
    const run = open(BEHIND, (_, name) => faults.get(name));
    run.world.down.add("KEYS");
    leakCurrent(run);
    await run.simulator.runFor(SECOND_MS);
    faults.clear();
    await run.simulator.runFor(HOUR_MS);
    expect(live(run)).toMatchObject({ step: "deliver", doubts: 1, connectionRevision: 1 });
    const changing = changeAdmin(run, "admin-two", "main");
    await run.simulator.runFor(SECOND_MS);
    expect(await changing).toBe(true);
    leakCurrent(run);
    expect(live(run)).toMatchObject({ sought: expect.any(Array), connectionRevision: 1 });
    run.world.down.clear();
    await run.simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
    expect(run.simulator.store.connections.revision("con_main", 1)).toBeUndefined();
  });

  it("is taken up by a rotation that a person retries", async () => {
    const faults = new Map<string, Fault>();
    const run: Run = open(BEHIND, (_, name) => faults.get(name));
    faults.set("mint", "answer-lost");
    run.simulator.act(rotate);
    await run.simulator.runFor(SECOND_MS);
    faults.clear();
    const changing = changeCredential(run);
    await run.simulator.runFor(SECOND_MS);
    await changing;
    run.service.admins.get("main")?.delete("admin-one");
    await run.simulator.runFor(2 * DAY_MS);
    expect(live(run)).toMatchObject({ step: "sweep", state: "needs-attention", connectionRevision: 1 });
    run.simulator.act((context) => {
      const rotation = live(run);
      if (rotation) retryRotation(context, rotation);
    });
    await run.simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
    expect(stages(run)).toContain("current");
    expect(live(run)).toBeUndefined();
  });
});

/** A second service issues the key `opener`, whose current value opens the connection of the first one. */
async function openedByAKey(abilities: Abilities) {
  const faults = new Map<string, Fault>();
  const vault = new Service({ overlap: abilities.overlap, find: true }, "vault");
  const run: Run = open({ ...BEHIND, tellsAccount: true }, (_, name) => faults.get(name), 1, [vault]);
  run.service.opensToo = (secret) => vault.accepts(secret);
  const { reference, secret } = vault.make("by hand");
  const opener = run.simulator.act((context) => {
    const made = createKey(context, ROOT, {
      name: "opener",
      provider: "vault",
      scopes: [],
      labels: {},
      policy: { grace: "1h" },
      destinations: [{ id: "kv", required: true, mustAcknowledge: false }],
      fields: { secret },
      reference,
    });
    if (!made.ok) throw new Error(JSON.stringify(made.error));
    return made.value.key.id;
  });
  const changing = run.simulator.perform((context) =>
    changeConnection(context, "root", "main", { credential: { key: "opener" } }),
  );
  await run.simulator.runFor(HOUR_MS);
  expect(await changing).toMatchObject({ ok: true });
  run.service.admins.clear();
  run.simulator.calls.length = 0;
  return { run, vault, faults, opener };
}

describe("a connection that a key of the keyring opens", () => {
  it("goes on with that key's new value, and both keys keep their promises", async () => {
    const { run, opener } = await openedByAKey({ overlap: "ours" });
    run.simulator.act((context) => rotateKey(context, opener));
    await run.simulator.runFor(2 * DAY_MS);
    run.simulator.act(rotate);
    await run.simulator.runFor(2 * DAY_MS);
    expect(stages(run, opener)).toEqual(["revoked", "current"]);
    expect(stages(run)).toEqual(["revoked", "current"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("is held while that key is being replaced, and goes on the moment that is over", async () => {
    const { run, faults, opener } = await openedByAKey({ overlap: "ours" });
    faults.set("KEYS PUT", "server-error");
    run.simulator.act((context) => rotateKey(context, opener));
    await run.simulator.runFor(SECOND_MS);
    run.simulator.act(rotate);
    await run.simulator.runFor(10 * 60 * SECOND_MS);
    expect(live(run)).toMatchObject({
      state: "blocked",
      problem: "the key that opens its connection is being rotated",
    });
    faults.clear();
    const delivery = run.simulator.store.deliveries.unsettled(opener)[0];
    const until = (delivery?.dueAt ?? 0) - run.simulator.now + 2 * SECOND_MS;
    await run.simulator.runFor(until);
    expect(stages(run, opener)).toEqual(["previous", "current"]);
    expect(stages(run)).toEqual(["previous", "current"]);
  });

  it("is not held in an emergency", async () => {
    const { run, faults, opener } = await openedByAKey({ overlap: "ours" });
    faults.set("KEYS PUT", "server-error");
    run.simulator.act((context) => rotateKey(context, opener));
    await run.simulator.runFor(SECOND_MS);
    run.simulator.act((context) => {
      const current = context.store.versions.current("key_scripted");
      if (current) compromiseVersion(context, current, { source: "test", actor: "root" });
    });
    await run.simulator.runFor(2 * SECOND_MS);
    expect(stages(run)).toEqual(["revoked", "current"]);
  });

  it("keeps its key from being replaced while its old value is in use and would die", async () => {
    const { run, faults, opener } = await openedByAKey({ overlap: "none" });
    faults.set("test", "server-error");
    run.simulator.act(rotate);
    await run.simulator.runFor(SECOND_MS);
    expect(live(run)?.step).toBe("test");
    run.simulator.act((context) => rotateKey(context, opener));
    await run.simulator.runFor(60 * SECOND_MS);
    expect(run.simulator.store.rotations.live(opener)).toMatchObject({
      state: "blocked",
      problem: expect.stringContaining("using this key"),
    });
    faults.clear();
    await run.simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked", "current"]);
    expect(stages(run, opener)).toEqual(["revoked", "current"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("keeps its key from being deleted", async () => {
    const { run } = await openedByAKey({ overlap: "ours" });
    const refused = run.simulator.act((context) => deleteKey(context, ROOT, "opener"));
    expect(refused).toEqual({ ok: false, error: { code: "in-use", usedBy: ["con_main"] } });
  });

  it("cannot be opened by a key that it is needed for", async () => {
    const { run } = await openedByAKey({ overlap: "ours" });
    const refused = await run.simulator.perform((context) =>
      changeConnection(context, "root", "main", { credential: { key: "billing" } }),
    );
    expect(refused).toEqual({ ok: false, error: { code: "connection-cycle" } });
  });
});

describe("a connection", () => {
  it("is made once its service lets it in, and deleted when no key uses it", async () => {
    const run = open(BEHIND, () => undefined);
    const make = (secret: string, name = "second") =>
      run.simulator.perform((context) =>
        createConnection(context, "root", {
          name,
          provider: "scripted",
          config: { account: "main" },
          credential: { fields: { secret } },
        }),
      );
    const answers = [make("wrong"), make("admin-one"), make("admin-one", "main")];
    await run.simulator.runFor(SECOND_MS);
    const [rejected, made, taken] = await Promise.all(answers);
    expect(rejected).toMatchObject({ ok: false, error: { code: "connection-rejected" } });
    expect(made).toMatchObject({ ok: true, value: { name: "second", revision: 1 } });
    expect(taken).toMatchObject({ ok: false, error: { code: "name-taken", holder: "con_main" } });
    expect(run.simulator.act((context) => deleteConnection(context, "root", "second"))).toMatchObject({
      ok: true,
    });
    expect(run.simulator.act((context) => deleteConnection(context, "root", "main"))).toEqual({
      ok: false,
      error: { code: "in-use", usedBy: ["key_scripted"] },
    });
    expect(run.simulator.store.connections.find("second")).toBeUndefined();
    const types = run.simulator.store.events.page({}, Infinity, 10).rows.map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(["connection.created", "connection.deleted"]));
  });
});
