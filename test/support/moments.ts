/** A live rotation that stands still at one of its moments, with a call on its way that is answered when the test says so. */
import { at, pass, setTime } from "./clock.ts";
import { eventually } from "./eventually.ts";
import { quiet, runUntil, startAlarm } from "./inside.ts";
import { type Hook, makeScene, type Scene } from "./scene.ts";

export interface Moment {
  scene: Scene;
  /** A required destination; the call on its way is to this one. */
  hook: Hook;
  /** Another required destination, which answers everything. */
  other: Hook;
  /** A destination that the key does not go to yet. */
  spare: Hook;
  /** A deleted key has no name any more. */
  keyId: string;
  /** The value of version 1. */
  old: string;
  /** Id of the rotation. */
  id: string;
  /** Answers the call on its way, 204 unless another status is given. */
  release(status?: number): void;
}

export type MomentName = keyof typeof MOMENTS;

const MOMENTS = {
  preflight: async ({ scene, hook }: Stage) => {
    const release = hook.hold();
    const { id } = await scene.rotate();
    await eventually(() => expectCount(hook.pings.length, 2));
    return { id, release };
  },
  blocked: async ({ scene, hook }: Stage) => {
    hook.fail(503);
    const { id } = await scene.rotate();
    await quiet(scene);
    return { id, release: () => hook.up() };
  },
  delivery: async ({ scene, hook }: Stage) => {
    const release = hook.hold(({ type }) => type !== "ping");
    const { id } = await scene.rotate();
    await eventually(() => expectCount(hook.deliveries.length, 2));
    return { id, release };
  },
  "put-back": async ({ scene, hook }: Stage) => {
    hook.refuseDeliveries();
    const { id } = await scene.rotate();
    await quiet(scene);
    const deadline = at((await scene.rotation(id)).deadlineAt);
    await runUntil(scene, deadline - 1);
    const release = hook.hold(({ data }) => data.version === 1);
    setTime(deadline);
    await startAlarm(scene);
    await eventually(() => expectCount(hook.deliveries.filter(({ data }) => data.version === 1).length, 2));
    return { id, release };
  },
};

export const MOMENT_NAMES = Object.keys(MOMENTS) as MomentName[];

interface Stage {
  scene: Scene;
  hook: Hook;
}

/** Brings a rotation of the key `billing` to a moment. */
export async function reach(name: MomentName): Promise<Moment> {
  const scene = await makeScene();
  const hook = await scene.webhook("hook");
  const other = await scene.webhook("other");
  const spare = await scene.webhook("spare");
  const { id: keyId, secret: old } = await scene.key({
    destinations: ["hook", "other"],
    policy: { maxAge: "365d", grace: "2h", deliverWithin: "10m" },
  });
  pass("10m");
  const { id, release } = await MOMENTS[name]({ scene, hook });
  return { scene, hook, other, spare, keyId, old, id, release };
}

function expectCount(found: number, wanted: number): void {
  if (found !== wanted) throw new Error(`${found} calls, not ${wanted}`);
}
