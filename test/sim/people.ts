/** What people, and those who report leaks, do to a key at any moment. Each does nothing where the API would refuse it. */
import { deleteKey, handInValue, patchKey, revokeKey } from "../../src/keyring/operations/keys.ts";
import { Uses } from "../../src/keyring/uses.ts";
import { acknowledgeDelivery } from "../../src/rotation/acknowledge.ts";
import { changeConnection } from "../../src/rotation/connections.ts";
import type { EngineContext } from "../../src/rotation/context.ts";
import {
  abandonRotation,
  abandonVersion,
  cancelRotation,
  extendGrace,
  finishGrace,
  retryRotation,
} from "../../src/rotation/interventions.ts";
import { takeReport } from "../../src/rotation/leak-reports.ts";
import type { OnCompromise, Policy } from "../../src/store/keys.ts";
import type { Stage, VersionRow } from "../../src/store/versions.ts";
import { ROOT, type Run, rotateKey } from "./scene.ts";

/** One thing that somebody does to a key, in one transaction. */
export type Deed = (context: EngineContext, keyId: string) => void;

/** What happens to one key, or around it. What it calls outside may still be under way when it returns. */
export type Act = (run: Run, keyId: string) => unknown;

/** Acts of deeds. */
export function actsOf(deeds: Record<string, Deed>): Record<string, Act> {
  return Object.fromEntries(
    Object.entries(deeds).map(([name, deed]): [string, Act] => [
      name,
      ({ simulator }, keyId) => simulator.act((context) => deed(context, keyId)),
    ]),
  );
}

/** The newest version at a stage. */
function newest({ store }: EngineContext, keyId: string, stage: Stage): VersionRow | undefined {
  return store.versions.ofKey(keyId).findLast((version) => version.stage === stage);
}

function live({ store }: EngineContext, keyId: string) {
  return store.rotations.live(keyId);
}

function reportLeak(context: EngineContext, keyId: string, number: number): void {
  const items = [{ leaked: { key: keyId, version: number }, source: "test" }];
  takeReport(context, { source: "standard", reporter: "signal", items });
}

/** The newest version at a stage leaks. */
function leak(stage: Stage, onCompromise?: OnCompromise): Deed {
  return (context, keyId) => {
    const key = context.store.keys.get(keyId);
    if (key && onCompromise) context.store.keys.update(key, { policy: { ...key.policy, onCompromise } });
    const version = newest(context, keyId, stage);
    // A signal: written down now, acted on when the engine comes to it.
    if (version) reportLeak(context, keyId, version.number);
  };
}

/** The newest version at a stage is revoked by hand; one in its grace is thereby finished. */
function revoke(stage: Stage): Deed {
  return (context, keyId) => {
    const version = newest(context, keyId, stage);
    if (version) revokeKey(context, ROOT, keyId, { reason: "by hand", version: version.number });
  };
}

function change(input: { policy?: Policy; paused?: boolean }): Deed {
  return (context, keyId) => void patchKey(context, ROOT, keyId, input, false);
}

/** What people do while a rotation is live. */
export const INTERRUPTIONS: Record<string, Deed> = {
  "a second trigger": (context, keyId) => {
    if (!live(context, keyId)) rotateKey(context, keyId);
  },
  "a delete": (context, keyId) => void deleteKey(context, ROOT, keyId),
  "a pause": change({ paused: true }),
  "a change of policy": change({ policy: { grace: "2h", maxAge: "90d" } }),
  "a cancel": (context, keyId) => {
    const rotation = live(context, keyId);
    if (rotation) cancelRotation(context, rotation, "root");
  },
  // Of a mint in doubt that only a person can settle it would say that nothing is there, which the scene cannot know.
  "a retry": (context, keyId) => {
    const rotation = live(context, keyId);
    if (rotation && rotation.state !== "needs-human") retryRotation(context, rotation);
  },
  "a revoke of every version": (context, keyId) => void revokeKey(context, ROOT, keyId, { reason: "left" }),
  "a revoke of the current version": revoke("current"),
  "a revoke of the new version": revoke("pending"),
  "a leak of the current version": leak("current"),
  "a leak of the current version, to be held": leak("current", "hold"),
  "a leak of the current version, to be revoked first": leak("current", "revoke-first"),
  "a leak of the current version, only to be revoked": leak("current", "revoke-only"),
  "a leak of the current version, only to be told": leak("current", "notify-only"),
  "a leak of the new version": leak("pending"),
  "a leak of the old version": leak("previous"),
  "a leak of a version that is being revoked": leak("revoking"),
};

/** What people do besides, at leisure. */
export const INTERVENTIONS: Record<string, Deed> = {
  "an end of the pause": change({ paused: false }),
  "another policy": change({ policy: { grace: "3h" } }),
  "an end of a grace": revoke("previous"),
  "giving up on a mint in doubt": (context, keyId) => {
    const rotation = live(context, keyId);
    if (rotation) abandonRotation(context, rotation, "root");
  },
  "giving up on a revocation": (context, keyId) => {
    const version = newest(context, keyId, "revoking");
    if (version) abandonVersion(context, version, "root");
  },
};

/** Policies that hold an old version, each for something else. */
export const HOLDING: Policy[] = [
  { grace: "1h", maxGrace: "4h", revokeWhen: ["acknowledged"] },
  { grace: "10m", maxGrace: "2h", revokeWhen: ["newSeen"], onCeiling: "hold" },
  { grace: "0", maxGrace: "45m", revokeWhen: ["oldIdle:30m"] },
  { grace: "1h", maxGrace: "1h", revokeWhen: ["delivered", "newSeen"] },
  { grace: "40m", maxGrace: "90m", revokeWhen: ["delivered", "oldIdle:20m"] },
];

/** Somebody uses the newest version at a stage, which verification writes down. */
function use(stage: Stage): Act {
  return ({ simulator }, keyId) =>
    simulator.act((context) => {
      const uses = new Uses(context.store, () => undefined);
      const version = newest(context, keyId, stage);
      if (version) uses.see(version.id, context.now());
      uses.write();
    });
}

/** What consumers do, as far as a policy may wait for it. */
export const USES: Record<string, Act> = {
  // Of what has come to them: who says so of what never came tells the untruth.
  "an acknowledgement": ({ simulator, world }, keyId) =>
    simulator.act((context) => {
      const current = newest(context, keyId, "current") ?? newest(context, keyId, "pending");
      const sent = current ? context.store.deliveries.ofVersion(keyId, current.number) : [];
      for (const delivery of sent) {
        if (world.arrived.has(delivery.id)) acknowledgeDelivery(context, delivery, "root");
      }
    }),
  "a use of the new value": use("current"),
  "a use of the old value": use("previous"),
};

/** What people do about a grace and what it waits for. */
export const HOLDS: Record<string, Deed> = {
  "an extension of a grace": (context, keyId) => {
    const key = context.store.keys.get(keyId);
    const version = newest(context, keyId, "previous");
    if (key && version) extendGrace(context, key, version, "90m", "root");
  },
  "an end of a held grace": (context, keyId) => {
    const key = context.store.keys.get(keyId);
    const version = newest(context, keyId, "previous");
    if (key && version) finishGrace(context, key, version, "root");
  },
  "a policy that waits": change({ policy: { grace: "1h", maxGrace: "4h", revokeWhen: ["acknowledged"] } }),
  "a policy that waits without end": change({
    policy: { grace: "20m", maxGrace: "2h", revokeWhen: ["acknowledged"], onCeiling: "hold" },
  }),
  "a policy that waits for nothing": change({ policy: { grace: "1h", maxGrace: "90m" } }),
};

/** A person makes a value at the service and hands it in, where a key waits for that. */
export function handIn({ simulator, service }: Run, keyId: string): void {
  const key = simulator.store.keys.get(keyId);
  if (key?.state !== "lost" || simulator.store.rotations.live(keyId)) return;
  const { reference, secret } = service.make("by hand", key.name);
  simulator.act((context) => void handInValue(context, ROOT, keyId, { fields: { secret }, reference }));
}

/** The same with a value that the service has never known. */
export function handInWrong({ simulator }: Run, keyId: string): void {
  const fields = { secret: `wrong-secret-${simulator.asked}` };
  const reference = `wrong-${simulator.asked}`;
  simulator.act((context) => void handInValue(context, ROOT, keyId, { fields, reference }));
}

/** Who has the connection gives it another credential, of the same account or of another. True once it was taken. */
export async function changeAdmin(
  { simulator, service }: Run,
  secret: string,
  account?: string,
): Promise<boolean> {
  const row = simulator.store.connections.get("con_main");
  const present = row && simulator.store.connections.revision(row.id, row.revision)?.config.account;
  if (!row) return false;
  const to = account ?? String(present);
  const admins = service.admins.get(to) ?? new Set();
  service.admins.set(to, admins.add(secret));
  const changed = await simulator.perform((context) =>
    changeConnection(context, "root", "main", {
      ...(account !== undefined && { config: { account } }),
      credential: { fields: { secret } },
    }),
  );
  return changed?.ok === true;
}
