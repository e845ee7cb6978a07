/** A keyring with one key of a lab service, a KV and a webhook destination; time that goes on, objects that die, and the truth. */
import "../lab/register-in-tests.ts";

import { evictDurableObject } from "cloudflare:test";
import { http } from "msw";
import { expect } from "vitest";
import type { RotationView } from "../../src/keyring/views.ts";
import type { Policy } from "../../src/store/keys.ts";
import { isDead, type VersionRow } from "../../src/store/versions.ts";
import { KINDS, type KindName } from "../lab/kinds.ts";
import { LAB_URL } from "../lab/register-in-tests.ts";
import { Service } from "../lab/service.ts";
import { pass, setTime } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { alarmAt, crash, inside, quiet, ring, stubOf } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { cron, type Hook, makeScene, type Scene } from "../support/scene.ts";

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
/** After this, what a dead instance had in hand is taken up again. */
export const LEASE_MS = 45 * SECOND_MS;
export const POLICY: Policy = { grace: "2h", deliverWithin: "30m" };
/** A jump longer than this has a cron in it. */
const CRON_MS = 5 * MINUTE_MS;
const MAX_ALARMS = 1_000;

export class Stage {
  readonly kind: KindName;
  readonly scene: Scene;
  readonly service: Service;
  readonly hook: Hook;
  /** Answers a call that is held. */
  release: () => void = () => undefined;

  constructor(kind: KindName, scene: Scene, service: Service, hook: Hook) {
    this.kind = kind;
    this.scene = scene;
    this.service = service;
    this.hook = hook;
  }

  /** Rings each alarm when it is due, with a cron before each that is far, until a time (milliseconds since the epoch). */
  async runUntil(until: number, ringIt: (scene: Scene) => Promise<void> = ring): Promise<void> {
    for (let rung = 0; rung < MAX_ALARMS; rung++) {
      const next = (await alarmAt(this.scene)) ?? Infinity;
      const at = Math.max(Math.min(next, until), Date.now());
      const isFar = at - Date.now() > CRON_MS;
      setTime(at);
      if (isFar) await cron();
      if (next > until) return;
      await ringIt(this.scene);
    }
    throw new Error("the alarm rings without end");
  }

  runFor(durationMs: number): Promise<void> {
    return this.runUntil(Date.now() + durationMs);
  }

  /** The object leaves memory while nothing is under way. */
  async evict(): Promise<void> {
    await quiet(this.scene);
    await evictDurableObject(stubOf(this.scene));
  }

  /** The object dies with whatever it had under way. */
  crash(): Promise<void> {
    return crash(this.scene);
  }

  /** Calls of a name that reached the service. */
  calls(name: string): number {
    return this.service.calls.filter(({ call }) => call === name).length;
  }

  /** Waits until a call of a name is on its way. */
  async reachesService(name: string): Promise<void> {
    await eventually(() => expect(this.calls(name)).toBeGreaterThan(0));
  }

  /** The rotation that is live, or else the newest one. Two that began in the same millisecond have no order. */
  async rotation(): Promise<RotationView> {
    const rotations = await this.scene.rotations();
    const rotation = rotations.find(({ live }) => live) ?? rotations[0];
    if (!rotation) throw new Error("there is no rotation");
    return rotation;
  }

  /** Everything answers again, and whoever was given up is asked. */
  async heal(): Promise<void> {
    this.service.revive();
    this.hook.up();
    this.scene.kvIsDown = false;
    const { state } = await this.scene.destination("hook");
    if (state !== "ready") await this.scene.must("POST", "/v1/destinations/hook/test");
  }

  /** What does not agree between Rekey, the service and the consumers, in words. */
  async disagreements(): Promise<string[]> {
    const { versions, key } = await inside(this.scene, (store) => {
      const found = store.keys.find("billing");
      return { key: found, versions: found ? store.versions.ofKey(found.id) : [] };
    });
    const known = versions.filter((version) => !isDead(version)).map(({ reference }) => reference);
    const live = this.service.live();
    const lost = versions.filter(({ stage }) => stage === "lost").length;
    const unknown = live.filter((reference) => !known.includes(reference)).slice(lost);
    const gone = known.filter((reference) => reference === null || !live.includes(reference));
    const current = versions.find(({ stage }) => stage === "current");
    const wasRevoked = versions.some(({ endReason }) => endReason === "revoked");
    const made = this.service.credentials.find(({ reference }) => reference === current?.reference);
    const inKv = (await this.scene.inKv("billing")) ?? undefined;
    const chain = await this.scene.must<{ ok: boolean }>("GET", "/v1/events/verify");
    return [
      ...this.service.broken,
      ...unknown.map((reference) => `${reference} lives at the service and is unknown here`),
      ...gone.map((reference) => `${reference} is thought to live and is dead`),
      ...(key?.state === "active" && !current && !wasRevoked ? ["there is no current version"] : []),
      ...(made && this.hook.secret !== made.secret ? ["the receiver does not hold the current value"] : []),
      ...(made && inKv !== made.secret ? ["KV does not hold the current value"] : []),
      ...(chain.ok ? [] : ["the chain of the history is broken"]),
      ...versions.flatMap((version) => this.#revokedTooEarly(version)),
    ];
  }

  /** A version that was rotated away, and that we told the service to revoke, had been replaced by then, and its grace was over. */
  #revokedTooEarly({ number, endReason, reference, graceEndsAt }: VersionRow): string[] {
    const credential = this.service.credentials.find((one) => one.reference === reference);
    if (endReason !== "rotated" || credential?.endedBy !== "revocation") return [];
    const revokedAt = credential.endsAt ?? Infinity;
    const wasReplaced = this.hook.deliveries.some(
      ({ at, data }) => at <= revokedAt && (data.version ?? 0) > number,
    );
    return [
      ...(wasReplaced ? [] : [`version ${number} was revoked before another one was sent`]),
      ...((graceEndsAt ?? 0) <= revokedAt ? [] : [`version ${number} was revoked before its grace ended`]),
      ...(KINDS[this.kind].overlap === "ours"
        ? []
        : [`version ${number} was revoked, which its service does by itself`]),
    ];
  }
}

/** Opens a stage whose key was adopted at a service of this kind, and is held everywhere. */
export async function openStage(kind: KindName, policy: Policy = POLICY): Promise<Stage> {
  const stage = await openEmptyStage(kind);
  const { reference, secret } = stage.service.make("billing");
  await createKey(stage, policy, { fields: { secret }, reference });
  await quiet(stage.scene);
  stage.scene.journal.length = 0;
  pass("10m");
  return stage;
}

/** Opens a stage with a service of this kind, and no key yet. */
export async function openEmptyStage(kind: KindName): Promise<Stage> {
  const scene = await makeScene();
  const service = new Service(kind, KINDS[kind], {
    onCall: (text) => scene.journal.push(`service: ${text}`),
  });
  network.use(http.all(`${LAB_URL}/${kind}/*`, ({ request }) => service.handle(request)));
  const hook = await scene.webhook("hook");
  await scene.kv("kv", { propagation: "0" });
  return new Stage(kind, scene, service, hook);
}

/** Creates the key; without a value of its own, its first rotation makes one. */
export async function createKey(
  { kind, scene }: Stage,
  policy: Policy = POLICY,
  value: { fields?: { secret: string }; reference?: string } = {},
): Promise<void> {
  await scene.must("POST", "/v1/keys", {
    name: "billing",
    prefix: "billing",
    provider: kind,
    policy,
    destinations: [{ id: "hook" }, { id: "kv" }],
    ...value,
  });
}
