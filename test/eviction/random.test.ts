/**
 * Random lives of keys of every kind of service, in the real object: people, faults at any call, crashes in the middle of things,
 * evictions. A failing run prints its seed and shrinks to the fewest steps that break a promise.
 */
import "../lab/register-in-tests.ts";

import { reset } from "cloudflare:test";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type Abilities, canRevoke, KIND_NAMES, KINDS } from "../lab/kinds.ts";
import type { CallName, Fault } from "../lab/service.ts";
import { quiet } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { cron } from "../support/scene.ts";
import {
  createKey,
  DAY_MS,
  LEASE_MS,
  MINUTE_MS,
  openEmptyStage,
  openStage,
  POLICY,
  type Stage,
} from "./stage.ts";

const RUNS = 200;
const CALLS: CallName[] = ["preflight", "mint", "mint", "mint", "test", "revoke", "find", "list"];

/** Nothing that a service may not do: it says no to what it knows, and lists what it has when it must. */
const FAULTS: Fault[] = [
  { kind: "status", status: 503 },
  { kind: "status", status: 403 },
  { kind: "status", status: 429, retryAfterSeconds: 7 },
  { kind: "lost-before" },
  { kind: "lost-after" },
  { kind: "lost-lands-late", ms: 20_000 },
  { kind: "garbage" },
  { kind: "accepts-late", ms: 5_000 },
  { kind: "no-slot" },
  { kind: "dies" },
];

const MOODS: Record<string, (stage: Stage) => void> = {
  up: ({ hook }) => hook.up(),
  down: ({ hook }) => hook.fail(500),
  refuses: ({ hook }) => hook.refuseDeliveries(),
  loses: ({ hook }) => hook.loseAnswers(),
  gone: ({ hook }) => hook.fail(410),
};

type Act = (stage: Stage) => Promise<unknown>;

const rotate: Act = ({ scene }) => scene.keyring.call("POST", "/v1/keys/billing/rotate", { body: {} });
const acts: fc.Arbitrary<[string, Act]> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<[string, Act]>(["rotate", rotate]) },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom(1, 6, 45, 400)
      .map((minutes): [string, Act] => [`run ${minutes} min`, (stage) => stage.runFor(minutes * MINUTE_MS)]),
  },
  {
    weight: 9,
    arbitrary: fc
      .tuple(fc.constantFrom(...CALLS), fc.constantFrom(...FAULTS), fc.integer({ min: 0, max: 3 }))
      .map(([call, fault, luck]): [string, Act] => [
        `${luck > 0 ? "rotate into" : "some time"} ${call}: ${JSON.stringify(fault)}`,
        async (stage) => {
          stage.service.fail(call, fault);
          if (luck > 0) await rotate(stage);
        },
      ]),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(...Object.keys(MOODS))
      .map((mood): [string, Act] => [`the receiver is ${mood}`, async (stage) => MOODS[mood]?.(stage)]),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.constantFrom<CallName>("preflight", "mint", "mint", "test"),
        fc.constantFrom<"before" | "after">("before", "after"),
      )
      .map(([call, when]): [string, Act] => [
        `rotate and crash ${when} ${call} took effect`,
        async (stage) => {
          const release = stage.service.hold(call, when);
          const calls = stage.calls(call);
          await rotate(stage);
          for (let looks = 0; looks < 10 && stage.calls(call) === calls; looks++) await sleep(2);
          await stage.crash();
          release();
          // Whatever it had in hand is taken up then.
          await stage.runFor(LEASE_MS);
        },
      ]),
  },
  { weight: 2, arbitrary: fc.constant<[string, Act]>(["evict", (stage) => stage.evict()]) },
  { weight: 1, arbitrary: fc.constant<[string, Act]>(["cron", () => cron()]) },
  { weight: 2, arbitrary: fc.constant<[string, Act]>(["heal", (stage) => stage.heal()]) },
  {
    weight: 1,
    arbitrary: fc.boolean().map((down): [string, Act] => [
      `KV is ${down ? "down" : "up"}`,
      async ({ scene }) => {
        scene.kvIsDown = down;
      },
    ]),
  },
  {
    weight: 1,
    arbitrary: fc.constant<[string, Act]>([
      // Under a label of their own: by the same one nobody could tell it from ours.
      "somebody makes a key",
      async ({ service }) => service.make("somebody", true),
    ]),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("current", "pending", "previous").map((stage): [string, Act] => [
      `revoke the ${stage} one`,
      async ({ scene }) => {
        const version = (await scene.read()).versions.find((one) => one.stage === stage)?.number;
        if (version) await scene.must("POST", "/v1/keys/billing/revoke", { reason: "random", version });
      },
    ]),
  },
);

it(`${RUNS} random lives break no promise`, { timeout: 300_000 }, async () => {
  const lives = fc.record({
    kind: fc.constantFrom(...KIND_NAMES),
    isAdopted: fc.integer({ min: 0, max: 3 }).map((luck) => luck > 0),
    steps: fc.array(acts, { minLength: 2, maxLength: 9 }),
  });
  await fc.assert(
    fc.asyncProperty(lives, async ({ kind, isAdopted, steps }) => {
      try {
        const policy = { ...POLICY, maxAge: "30h", allowDowntime: true };
        const stage = isAdopted ? await openStage(kind, policy) : await openEmptyStage(kind);
        if (!isAdopted) await createKey(stage, policy);
        for (const [, act] of steps) {
          await act(stage);
          await quiet(stage.scene);
          expect(await shutOut(stage)).toEqual([]);
        }
        await stage.heal();
        await stage.scene.must("PATCH", "/v1/keys/billing", { paused: true });
        await stage.runFor(2 * DAY_MS);
        expect(await broken(stage)).toEqual([]);
      } finally {
        // The next life must not share its cron, its service or its receiver with this one.
        await reset();
        network.resetHandlers();
      }
    }),
    { numRuns: RUNS },
  );
});

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Promise 1: what a consumer holds lives at the service, as long as anything is promised. */
async function shutOut(stage: Stage): Promise<string[]> {
  const { overlap } = KINDS[stage.kind];
  const { state, versions } = await stage.scene.read();
  if (overlap === "none" || state !== "active") return [];
  if (versions.some(({ endReason }) => endReason === "revoked")) return [];
  const live = stage.service.live();
  const dead = [stage.hook.secret, await stage.scene.inKv("billing")]
    .map((secret) => stage.service.credentials.find((one) => one.secret === secret))
    .filter((held) => held !== undefined && !live.includes(held.reference));
  if (dead.length === 0 || (overlap === "provider" && (await wasAnnounced(stage)))) return [];
  return dead.map((held) => `a consumer holds ${held?.reference}, which is dead`);
}

/** A service's clock does not wait, for Rekey or for a person: both say so in time. */
async function wasAnnounced({ scene }: Stage): Promise<boolean> {
  const [atRisk, asks] = [await scene.events("key.at-risk"), await scene.events("key.rotation.needs-human")];
  return atRisk.length + asks.length > 0;
}

/** What is wrong in the end, in words. */
async function broken(stage: Stage): Promise<string[]> {
  const { versions } = await stage.scene.read();
  const rotations = await stage.scene.rotations();
  const rotation = rotations.find(({ live }) => live);
  const asksPerson = rotation?.state === "needs-human";
  const abilities: Abilities = KINDS[stage.kind];
  const stuck = versions.filter(
    ({ stage: at }) =>
      (at === "revoking" && canRevoke(abilities)) || (at === "pending" && !asksPerson) || at === "previous",
  );
  const wrong = await stage.disagreements();
  return [
    ...stuck.map(({ number, stage: at }) => `version ${number} is still ${at}`),
    ...(rotation && !asksPerson ? [`still ${rotation.state} at ${rotation.step}: ${rotation.problem}`] : []),
    // Whoever is asked to settle a mint is told of it, and what it made has no other name here until then.
    ...(asksPerson ? wrong.filter((text) => !/unknown here|thought to live/.test(text)) : wrong),
    ...rotations
      .filter((one) => !one.live && one.state !== "succeeded" && !one.problem)
      .map(({ id }) => `${id} failed and does not say why`),
  ];
}
