/**
 * What every provider of a service outside promises, against a fake of that service written from its contract: through the whole engine,
 * with each fault of the lab at each of its calls.
 */
import { describe, expect, it, vi } from "vitest";
import page from "../../docs/http.md?raw";
import { parseDuration } from "../../src/duration.ts";
import { PROVIDER_NAMES, providerOf } from "../../src/providers/registry.ts";
import { describedFakes } from "../lab/services/described.ts";
import { LAB_FAULTS, type LabFault } from "../lab/services/fake.ts";
import { type Entry, FAKES } from "../lab/services/registry.ts";
import { type Account, openAccount } from "../support/account.ts";
import { runUntil } from "../support/inside.ts";

vi.setConfig({ testTimeout: 60_000 });

/** Those whose service is called to make a value. */
const OUTSIDE = PROVIDER_NAMES.filter((name) => !providerOf(name).local && !providerOf(name).runbook);
const LONG = parseDuration("9d");

/** By the name of their provider, and those that are described, which are of the provider `http`. */
const ALL: Record<string, Entry> = { ...FAKES, ...describedFakes(page) };

/** A key at a service, held by one webhook receiver. */
function begin(label: string, { make, begin: beginAt, provider = label }: Entry): Promise<Account> {
  const fake = make();
  return openAccount(fake, beginAt(fake), provider);
}

/** What does not agree after all came to rest, in words. */
async function findWrong({ fake, scene, hook }: Account): Promise<string[]> {
  const key = await scene.read();
  const rotations = await scene.rotations();
  const isVisible =
    key.state === "lost" || rotations.some(({ live, state }) => live && state === "needs-human");
  const alive = key.versions.filter(({ stage }) =>
    ["pending", "current", "previous", "revoking"].includes(stage),
  );
  const live = fake.live();
  const isOf = (hint: string) => (one: { secret: string }) => hint !== "" && one.secret.endsWith(hint);
  return [
    ...fake.broken,
    ...live
      .filter((one) => !alive.some(({ hint }) => isOf(hint)(one)) && !isVisible)
      .map(({ reference }) => `${reference} lives there and is unknown here`),
    ...alive
      .filter(({ hint }) => !live.some(isOf(hint)) && !isVisible)
      .map(({ number, stage }) => `version ${number} is ${stage} here and dead there`),
    ...rotations
      .filter(({ live: isLive, state }) => isLive && state !== "needs-human")
      .map(({ state, step, problem }) => `a rotation is ${state} at ${step}: ${problem}`),
    ...(key.state === "lost" || fake.holderOf(hook.secret)
      ? []
      : ["the receiver holds a value that opens nothing"]),
    ...(await findSecrets({ fake, scene, hook })),
  ];
}

/** Where a value of the service stands that should be nowhere. */
async function findSecrets({ fake, scene }: Account): Promise<string[]> {
  const pages = await Promise.all(
    [
      "/v1/keys/billing",
      "/v1/rotations?key=billing",
      "/v1/events?limit=100",
      "/v1/status",
      "/v1/connections",
    ].map(async (path) => [path, JSON.stringify(await scene.must("GET", path))] as const),
  );
  return pages
    .filter(([, text]) => fake.credentials.some(({ secret }) => text.includes(secret)))
    .map(([path]) => `${path} shows a value`);
}

describe.each(Object.entries(ALL))("the provider %s", (name, entry) => {
  it("says what people want to know before they trust it", () => {
    const { about, title } = providerOf(entry.provider ?? name);
    expect(title).toMatch(/\S/);
    expect(about?.page).toMatch(/^https:\/\//);
    expect(about?.leastScope).toMatch(/\S/);
    expect(Object.keys(about?.calls ?? {})).toContain("mint");
  });

  it("replaces a value, and the old one is seen dead", async () => {
    const begun = await begin(name, entry);
    const before = begun.hook.secret;
    await begun.scene.rotate();
    await runUntil(begun.scene, Date.now() + LONG);
    expect(await findWrong(begun)).toEqual([]);
    expect(begun.hook.secret).not.toBe(before);
    expect(begun.fake.holderOf(before)).toBeUndefined();
    const stages = await begun.scene.stages();
    expect(stages.filter((stage) => stage === "current")).toHaveLength(1);
    expect(stages).not.toContain("previous");
  });

  /** Which calls a rotation makes, in order. */
  async function listCalls(isMintLost = false): Promise<string[]> {
    const begun = await begin(name, entry);
    if (isMintLost) begun.fake.fail("mint", "cut-after");
    await begun.scene.rotate();
    await runUntil(begun.scene, Date.now() + LONG);
    return [...new Set(begun.fake.journal.map((line) => line.split(" ")[0] ?? ""))];
  }

  it("makes no call that its service does not know", async () => {
    expect([...(await listCalls()), ...(await listCalls(true))]).not.toContain("unknown");
  });

  describe.each(LAB_FAULTS)("with %s", (fault: LabFault) => {
    it("keeps the promises, at whichever call it comes", async () => {
      for (const call of await listCalls()) {
        for (const times of [1, 3]) {
          const begun = await begin(name, entry);
          begun.fake.fail(call, fault, times);
          await begun.scene.rotate();
          await runUntil(begun.scene, Date.now() + LONG);
          expect(await findWrong(begun), `${times} times at ${call}`).toEqual([]);
        }
      }
    });

    it("keeps them when the answer to the mint was lost before", async () => {
      const usual = await listCalls();
      for (const call of (await listCalls(true)).filter((one) => !usual.includes(one))) {
        for (const times of [1, 3]) {
          const begun = await begin(name, entry);
          begun.fake.fail("mint", "cut-after");
          begun.fake.fail(call, fault, times);
          await begun.scene.rotate();
          await runUntil(begun.scene, Date.now() + LONG);
          expect(await findWrong(begun), `${times} times at ${call}`).toEqual([]);
        }
      }
    });
  });
});

it("every provider outside has a fake, and every fake a provider", () => {
  const faked = Object.entries(ALL).map(([name, { provider = name }]) => provider);
  expect([...new Set(faked)].sort()).toEqual([...OUTSIDE].sort());
});
