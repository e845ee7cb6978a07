/**
 * A key that only a person can make, under every fault at every call and killed after every event: on each day of the table somebody is
 * asked, never twice within a day for one thing, and in the end the new value is everywhere and the old one dead.
 */
import { describe, expect, it } from "vitest";
import { createKey } from "../../src/keyring/operations/create-key.ts";
import { createDestination } from "../../src/keyring/operations/destinations.ts";
import { handInValue } from "../../src/keyring/operations/keys.ts";
import type { Outbound } from "../../src/outbound/port.ts";
import type { KeyRow } from "../../src/store/keys.ts";
import type { VersionRow } from "../../src/store/versions.ts";
import {
  atRest,
  chainHolds,
  deadAreAnchored,
  heldBy,
  oneOfEach,
  queueAgrees,
  retiredOnlyWhenReplaced,
} from "./promises.ts";
import { FAULTS, type Plan, Simulator } from "./simulator.ts";
import { answerOf, World } from "./world.ts";

const ROOT = { id: "root", scopes: "all" } as const;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const VENDOR = "api.vendor.acme.dev";
/** Days after the first time, as docs/manual.md has them. */
const TABLE = [0, 1, 3, 7, 14];
/** How late anything may be: cron, a restart, a call that hangs. */
const LATE_MS = HOUR_MS;
/** A person takes this long to make a value, and to end one. */
const MAKES_AFTER_MS = 4.5 * DAY_MS;
const ENDS_AFTER_MS = 1.5 * DAY_MS;

interface Due {
  at: number;
  errand: string;
  version: number;
}

class Run {
  readonly world = new World();
  readonly accepted = new Set<string>(["manual-secret-1000"]);
  readonly simulator: Simulator;
  #handedIn = 0;

  constructor(plan: Plan = () => undefined) {
    this.simulator = new Simulator({
      plan,
      outbound: (simulator) => this.#outbound(simulator),
      inspect: (simulator) => [
        ...this.#holdsAccepted(simulator),
        ...simulator.store.keys.list({}, "", 10).flatMap(({ id }) => {
          return retiredOnlyWhenReplaced(simulator, this.world, id);
        }),
        ...oneOfEach(simulator),
        ...queueAgrees(simulator),
        ...deadAreAnchored(simulator),
      ],
    });
    this.simulator.act((context) => {
      must(createDestination(context, ROOT, { name: "kv", type: "kv", config: { propagation: "0" } }));
      const config = { url: "https://one.acme.dev/", secretMode: "plain" };
      must(createDestination(context, ROOT, { name: "one", type: "webhook", config }));
      must(
        createKey(context, ROOT, {
          name: "billing",
          provider: "manual",
          config: {
            runbook: { text: "Make one." },
            test: {
              method: "GET",
              url: `https://${VENDOR}/me`,
              headers: { authorization: "Bearer {{value.secret}}" },
              body: "any",
              ok: [200],
              rejected: [401],
            },
          },
          scopes: [],
          labels: {},
          policy: { grace: "1h", maxAge: "30d" },
          fields: { secret: "manual-secret-1000" },
          destinations: ["kv", "one"].map((id) => ({ id, required: true, mustAcknowledge: false })),
        }),
      );
    });
  }

  get key(): KeyRow {
    const key = this.simulator.store.keys.byName("billing");
    if (!key) throw new Error("no key");
    return key;
  }

  get versions(): VersionRow[] {
    return this.simulator.store.versions.ofKey(this.key.id);
  }

  /** Goes on to the day after the second value is a month old, with a person who looks twice a day. */
  async live(days: number, onStep: () => void = () => undefined): Promise<void> {
    const end = this.simulator.now + days * DAY_MS;
    while (this.simulator.now < end) {
      const until = this.simulator.now + DAY_MS / 2;
      while (await this.simulator.step(until)) onStep();
      this.#doWhatIsAsked();
    }
  }

  #doWhatIsAsked(): void {
    const { store, now } = this.simulator;
    const { askedAt } = this.key;
    const isTime = (since: number | null, after: number) => since !== null && now - since >= after;
    for (const { askedAt: since, hint } of this.versions) {
      if (isTime(since, ENDS_AFTER_MS)) this.accepted.delete(`manual-secret-${hint}`);
    }
    if (!isTime(askedAt, MAKES_AFTER_MS) || store.rotations.live(this.key.id)) return;
    this.#handedIn += 1;
    const secret = `manual-secret-${1000 + this.#handedIn}`;
    this.accepted.add(secret);
    this.simulator.act((context) => must(handInValue(context, ROOT, "billing", { fields: { secret } })));
  }

  #outbound(simulator: Simulator): Outbound {
    const port = this.world.outbound(simulator);
    return {
      ...port,
      send: async (request) => {
        if (new URL(request.url).host !== VENDOR) return port.send(request);
        const secret = request.headers.authorization?.slice("Bearer ".length) ?? "";
        const reply = await simulator.outside("vendor", () => (this.accepted.has(secret) ? 200 : 401));
        return answerOf(reply, request.method, VENDOR, simulator.now);
      },
    };
  }

  /** Promise 1, by what the service itself accepts. */
  #holdsAccepted(simulator: Simulator): string[] {
    const links = simulator.store.keys
      .list({ state: "active" }, "", 10)
      .flatMap(({ id }) => simulator.store.destinations.linksOfKey(id));
    return links.flatMap((link) => {
      const value = heldBy(simulator, this.world, link);
      return value === undefined || this.accepted.has(value)
        ? []
        : [`promise 1: ${link.target} holds a dead value`];
    });
  }

  /** What was asked, oldest first. */
  get asked(): Due[] {
    const { rows } = this.simulator.store.events.page({ type: "key.due" }, Infinity, 1_000);
    return rows
      .map(({ at, data }) => {
        const { do: errand, version } = JSON.parse(data) as { do: string; version: number };
        return { at, errand, version };
      })
      .reverse();
  }

  /** What is wrong about what was asked, in words. */
  findWrongAsks(): string[] {
    const groups = Map.groupBy(this.asked, ({ errand, version }) => `${errand} ${version}`);
    const wanted = this.versions.flatMap((version) => [
      ...this.#expectReplace(version),
      ...this.#expectRevoke(version),
    ]);
    const missing = wanted
      .filter(({ name }) => !groups.has(name))
      .map(({ name }) => `nobody was asked to ${name}`);
    return [
      ...missing,
      ...wanted.flatMap(({ name, from, until }) => findWrongTimes(name, groups.get(name) ?? [], from, until)),
      ...[...groups.keys()]
        .filter((name) => !wanted.some((one) => one.name === name))
        .map((name) => `somebody was asked to ${name}, which nothing called for`),
    ];
  }

  /** A value is asked for from its day on, until the one after it is current. */
  #expectReplace({ number, issuedAt, promotedAt }: VersionRow) {
    const from = issuedAt + 30 * DAY_MS;
    const next = this.versions.find((other) => other.number > number && other.promotedAt !== null);
    const until = next?.promotedAt ?? this.simulator.now;
    return promotedAt !== null && from + LATE_MS < until ? [{ name: `replace ${number}`, from, until }] : [];
  }

  /** Its end is asked for from the end of its grace on, until it is seen. */
  #expectRevoke({ number, graceEndsAt, revokedAt }: VersionRow) {
    const until = revokedAt ?? this.simulator.now;
    return graceEndsAt !== null && graceEndsAt + LATE_MS < until
      ? [{ name: `revoke ${number}`, from: graceEndsAt, until }]
      : [];
  }
}

/** Each day of the table has its one, as long as it was not done. */
function findWrongTimes(name: string, asked: readonly Due[], from: number, until: number): string[] {
  const first = asked[0]?.at ?? from;
  const days = TABLE.map((day) => first + day * DAY_MS).filter((at) => at + LATE_MS < until);
  const isAround = (at: number) => (due: Due) => due.at >= at && due.at <= at + LATE_MS;
  const close = asked.filter((due, index) => due.at - (asked[index - 1]?.at ?? -Infinity) < DAY_MS);
  return [
    ...(first < from || first > from + LATE_MS ? [`${name} is first asked at a wrong time`] : []),
    ...days
      .filter((at) => !asked.some(isAround(at)))
      .map((at) => `${name} is not asked on day ${(at - first) / DAY_MS}`),
    ...close.map(() => `${name} is asked twice within a day`),
    ...(asked.length > days.length + 1 ? [`${name} is asked too often`] : []),
  ];
}

function must<T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

/** One value's month, the person's days, and what follows until the old one is dead. */
const DAYS = 38;

function findBroken(run: Run): string[] {
  const { simulator, world } = run;
  const current = simulator.store.versions.current(run.key.id);
  const links = simulator.store.destinations.linksOfKey(run.key.id);
  const held = new Set(links.map((link) => heldBy(simulator, world, link)));
  return [
    ...simulator.bugs.map((bug) => `bug: ${bug instanceof Error ? bug.stack : String(bug)}`),
    ...new Set([...simulator.broken, ...world.broken]),
    ...atRest(simulator),
    ...chainHolds(simulator),
    ...run.findWrongAsks(),
    ...(current && current.number > 1 ? [] : ["no new value is current"]),
    ...(held.size === 1 && held.has(`manual-secret-${current?.hint}`) ? [] : ["not everybody holds it"]),
    ...(run.versions[0]?.confirmed ? [] : ["the first value was not seen dead"]),
  ];
}

/** Indexes without the middle of long runs of the same: one hourly look is like another. */
function edgesOf(names: readonly string[], margin: number): number[] {
  return [...names.keys()].filter((at) =>
    names.slice(Math.max(0, at - margin), at + margin + 1).some((name) => name !== names[at]),
  );
}

describe("a key that a person makes", () => {
  it("is asked for on its days, handed in, delivered, and its old value's end is asked for", async () => {
    const run = new Run();
    await run.live(DAYS);
    expect(findBroken(run)).toEqual([]);
    expect(run.asked.map(({ errand, version }) => `${errand} ${version}`)).toEqual([
      ...["replace 1", "replace 1", "replace 1"],
      ...["revoke 1", "revoke 1"],
    ]);
  });

  it.each(FAULTS)("survives %s at each call", async (fault) => {
    const calm = new Run();
    await calm.live(DAYS);
    for (const at of edgesOf(calm.simulator.calls, 2)) {
      const run = new Run((index) => (index === at ? fault : undefined));
      await run.live(DAYS);
      expect(findBroken(run), `at call ${at}, ${calm.simulator.calls[at]}`).toEqual([]);
    }
  });

  it("survives being killed after each event", async () => {
    const names: string[] = [];
    const calm = new Run();
    await calm.live(DAYS, () => void names.push(calm.simulator.calls.at(-1) ?? ""));
    const moments = edgesOf(names, 20);
    expect(moments.length).toBeGreaterThan(60);
    for (const at of moments) {
      const run = new Run();
      let step = 0;
      await run.live(DAYS, () => {
        if (step === at) run.simulator.crash();
        step += 1;
      });
      expect(findBroken(run), `after event ${at}`).toEqual([]);
    }
  });

  it("says nothing twice when every alarm runs twice", async () => {
    const run = new Run();
    run.simulator.doubleAlarms = true;
    await run.live(DAYS);
    expect(findBroken(run)).toEqual([]);
  });

  it("is asked for over and over while nobody answers", async () => {
    const run = new Run();
    await run.simulator.runFor(90 * DAY_MS);
    const first = run.asked[0]?.at ?? 0;
    expect(run.asked.map(({ at }) => Math.round((at - first) / DAY_MS))).toEqual([
      0, 1, 3, 7, 14, 28, 42, 56,
    ]);
    expect(run.findWrongAsks().filter((wrong) => !wrong.includes("too often"))).toEqual([]);
  });
});
