/**
 * What every provider of a service outside promises, against a fake of that service written from its contract: through the whole engine,
 * with each fault of the lab at each of its calls. A test file each for a part of them, as they run side by side.
 */
import { describe, expect, it, vi } from "vitest";
import page from "../../docs/http.md?raw";
import { PROVIDER_NAMES, providerOf } from "../../src/providers/registry.ts";
import { configuredBy } from "../../src/rotation/configured.ts";
import { resolverOf } from "../../src/rotation/facts.ts";
import { describedFakes } from "../lab/services/described.ts";
import { LAB_FAULTS, type LabFault } from "../lab/services/fake.ts";
import { type Entry, FAKES } from "../lab/services/registry.ts";
import { type Account, openAccount, runFor } from "../support/account.ts";

/** Those whose service is called to make a value. */
const OUTSIDE = PROVIDER_NAMES.filter((name) => !providerOf(name).local && !providerOf(name).runbook);
const LONG = "9d";

/** Keeps a file's time-out in one place: a case goes through a rotation for each call of it, twice. */
const CASE_TIMEOUT_MS = 60_000;

const FIVE = ["bitscale", "a2amarket", "llmconveyors", "lightningfaucet", "log10x"];
const isOfFive = ([name]: [string, Entry]) => FIVE.includes(name);

/** By the name of their provider, in parts; those that are described are of the provider `http`. */
const PARTS = {
  "the five services": Object.entries(FAKES).filter(isOfFive),
  "the platforms": Object.entries(FAKES).filter((one) => !isOfFive(one)),
  "what is described": Object.entries(describedFakes(page)),
};

/** An account, and what its connection is opened with. */
interface Begun extends Account {
  credential: string[];
  /** The service cannot say what became of a mint whose answer was lost. */
  isUnclear: boolean;
}

/** A key at a service, held by one webhook receiver. */
async function begin(label: string, { make, begin: beginAt, provider = label }: Entry): Promise<Begun> {
  const fake = make();
  const beginning = beginAt(fake);
  const account = await openAccount(fake, beginning, provider);
  const base = providerOf(provider);
  const made = configuredBy(base, base.connection?.config.parse(beginning.connection?.config ?? {}) ?? {});
  return {
    ...account,
    credential: Object.values(beginning.connection?.credential ?? {}),
    isUnclear: resolverOf(made) === "nobody",
  };
}

/** Those that take away the answer to a call that was done. */
const ANSWER_LOST: readonly LabFault[] = ["error-after", "cut-after", "garbage"];

/** Whether a value may be lost with such faults: the answer that had it, or the service says again and again that it opens nothing. */
function mayLose(call: string, fault: LabFault, times: number): boolean {
  return call === "mint" ? ANSWER_LOST.includes(fault) : fault === "expired" && times > 1;
}

/** How often in a row a fault comes: those that only take time change nothing when they come again. */
function timesOf(fault: LabFault): number[] {
  return fault === "latency" || fault === "slow-body" ? [1] : [1, 3];
}

/** What does not agree after all came to rest, in words. */
async function findWrong(begun: Begun, isLossAllowed = false): Promise<string[]> {
  const { fake, scene, hook, isUnclear } = begun;
  const key = await scene.read();
  const rotations = await scene.rotations();
  const isLost = key.state === "lost";
  const waitsForPerson = rotations.some(({ live, state }) => live && state === "needs-human");
  // One credential that nobody can tell of is what such a state is about, and no second one.
  const excused = isLost || (waitsForPerson && isUnclear) ? 1 : 0;
  const alive = key.versions.filter(({ stage }) =>
    ["pending", "current", "previous", "revoking"].includes(stage),
  );
  const live = fake.live();
  const isOf = (hint: string) => (one: { secret: string }) => hint !== "" && one.secret.endsWith(hint);
  return [
    ...fake.broken,
    ...(isLost && !isLossAllowed ? ["the key is lost"] : []),
    ...(waitsForPerson && !isUnclear ? ["a person is asked for what the service could tell"] : []),
    ...live
      .filter((one) => !alive.some(({ hint }) => isOf(hint)(one)))
      .slice(excused)
      .map(({ reference }) => `${reference} lives there and is unknown here`),
    ...alive
      .filter(({ hint }) => !live.some(isOf(hint)))
      .map(({ number, stage }) => `version ${number} is ${stage} here and dead there`),
    ...rotations
      .filter(({ live: isLive, state }) => isLive && state !== "needs-human")
      .map(({ state, step, problem }) => `a rotation is ${state} at ${step}: ${problem}`),
    ...(key.state === "lost" || fake.holderOf(hook.secret)
      ? []
      : ["the receiver holds a value that opens nothing"]),
    ...(await findSecrets(begun)),
  ];
}

/** Where a value of the service, or what opens the account, stands that should be nowhere. */
async function findSecrets({ fake, scene, credential }: Begun): Promise<string[]> {
  const pages = await Promise.all(
    [
      "/v1/keys/billing",
      "/v1/rotations?key=billing",
      "/v1/events?limit=100",
      "/v1/status",
      "/v1/connections",
    ].map(async (path) => [path, JSON.stringify(await scene.must("GET", path))] as const),
  );
  const secrets = [...fake.credentials.map(({ secret }) => secret), ...credential];
  return pages
    .filter(([, text]) => secrets.some((secret) => text.includes(secret)))
    .map(([path]) => `${path} shows a value`);
}

/** Has one part promise all of it. */
export function promise(part: keyof typeof PARTS): void {
  vi.setConfig({ testTimeout: CASE_TIMEOUT_MS });
  describe.each(PARTS[part])("the provider %s", promiseOne);
}

function promiseOne(name: string, entry: Entry): void {
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
    await runFor(begun, LONG);
    expect(await findWrong(begun)).toEqual([]);
    expect(begun.hook.secret).not.toBe(before);
    expect(begun.fake.holderOf(before)).toBeUndefined();
    const stages = await begun.scene.stages();
    expect(stages.filter((stage) => stage === "current")).toHaveLength(1);
    expect(stages).not.toContain("previous");
  });

  /** One call of a rotation: its name, and how many of that name were before it. */
  interface Place {
    call: string;
    skip: number;
  }

  const known = new Map<boolean, Promise<Place[]>>();

  /** The calls that a rotation makes, in order; with the first mint's answer lost, those that come after it. */
  function listCalls(isMintLost = false): Promise<Place[]> {
    const places = known.get(isMintLost) ?? seeCalls(isMintLost);
    known.set(isMintLost, places);
    return places;
  }

  async function seeCalls(isMintLost: boolean): Promise<Place[]> {
    const begun = await begin(name, entry);
    if (isMintLost) begun.fake.fail("mint", "cut-after");
    await begun.scene.rotate();
    await runFor(begun, LONG);
    const calls = begun.fake.journal.map((line) => line.split(" ")[0] ?? "");
    const places = calls.map((call, index) => ({
      call,
      skip: calls.slice(0, index).filter((one) => one === call).length,
    }));
    return isMintLost ? places.slice(calls.indexOf("mint") + 1) : places;
  }

  it("makes no call that its service does not know", async () => {
    const calls = [...(await listCalls()), ...(await listCalls(true))].map(({ call }) => call);
    expect(calls).not.toContain("unknown");
  });

  describe.each(LAB_FAULTS)("with %s", (fault: LabFault) => {
    it("keeps the promises, at whichever call it comes", async () => {
      for (const { call, skip } of await listCalls()) {
        for (const times of timesOf(fault)) {
          const begun = await begin(name, entry);
          begun.fake.fail(call, fault, times, skip);
          await begun.scene.rotate();
          await runFor(begun, LONG);
          const wrong = await findWrong(begun, mayLose(call, fault, times));
          expect(wrong, `${times} times at ${call} after ${skip}`).toEqual([]);
        }
      }
    });

    it("keeps them when the answer to the mint was lost before", async () => {
      for (const { call, skip } of await listCalls(true)) {
        const begun = await begin(name, entry);
        begun.fake.fail("mint", "cut-after");
        begun.fake.fail(call, fault, 1, skip);
        await begun.scene.rotate();
        await runFor(begun, LONG);
        expect(await findWrong(begun, true), `at ${call} after ${skip}`).toEqual([]);
      }
    });
  });
}

/** Of every provider whose service is called to make a value, that it is in one of the parts, and the reverse. */
export function promiseAll(): void {
  it("every provider outside has a fake, and every fake a provider", () => {
    const faked = Object.values(PARTS).flatMap((part) => part.map(([name, { provider = name }]) => provider));
    expect([...new Set(faked)].sort()).toEqual([...OUTSIDE].sort());
  });
}
