/** A person acts at any moment of a live rotation: whatever they do, it comes to an end, and that end is sound. */
import { describe, expect, it } from "vitest";
import { pass } from "../support/clock.ts";
import { crash, quiet, runUntil } from "../support/inside.ts";
import { MOMENT_NAMES, type Moment, type MomentName, reach } from "../support/moments.ts";

const HOUR = 3_600_000;

type Action = (moment: Moment) => Promise<unknown>;

const links = (...ids: (string | { id: string; required: boolean })[]) => ({
  destinations: ids.map((id) => (typeof id === "string" ? { id } : id)),
});

const ACTIONS: Record<string, Action> = {
  "nothing at all": async () => {},
  "the key is deleted": ({ scene }) => scene.must("DELETE", "/v1/keys/billing"),
  "the key is revoked": ({ scene }) => scene.must("POST", "/v1/keys/billing/revoke", { reason: "test" }),
  "the current version is revoked": ({ scene }) =>
    scene.must("POST", "/v1/keys/billing/revoke", { reason: "test", version: 1 }),
  "the new version is revoked": ({ scene }) =>
    scene.keyring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "test", version: 2 } }),
  "both are revoked, the new one first": async ({ scene }) => {
    await scene.keyring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "test", version: 2 } });
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "test", version: 1 });
  },
  "both are revoked, the old one first": async ({ scene }) => {
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "test", version: 1 });
    await scene.keyring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "test", version: 2 } });
  },
  "the key is paused": ({ scene }) => scene.must("PATCH", "/v1/keys/billing", { paused: true }),
  "another rotation is asked for": ({ scene }) => scene.rotate(),
  "the busy destination is taken out": ({ scene }) => scene.must("PATCH", "/v1/keys/billing", links("other")),
  "the busy destination is taken out and put in again": async ({ scene }) => {
    await scene.must("PATCH", "/v1/keys/billing", links("other"));
    await scene.must("PATCH", "/v1/keys/billing", links("hook", "other"));
  },
  "the busy destination is made optional": ({ scene }) =>
    scene.must("PATCH", "/v1/keys/billing", links({ id: "hook", required: false }, "other")),
  "a destination is added": ({ scene }) =>
    scene.must("PATCH", "/v1/keys/billing", links("hook", "other", "spare")),
  "a destination is added with ?rotate=true": ({ scene }) =>
    scene.must("PATCH", "/v1/keys/billing?rotate=true", links("hook", "other", "spare")),
  "all destinations are exchanged": ({ scene }) => scene.must("PATCH", "/v1/keys/billing", links("spare")),
  "the policy changes": ({ scene }) =>
    scene.must("PATCH", "/v1/keys/billing", { policy: { maxAge: "365d", grace: "0", deliverWithin: "1h" } }),
  "the busy destination is pointed elsewhere": ({ scene, spare }) =>
    scene.must("PATCH", "/v1/destinations/hook", { config: { url: spare.url, secretMode: "plain" } }),
};

const CASES = MOMENT_NAMES.flatMap((moment) =>
  Object.keys(ACTIONS).flatMap((action) =>
    [204, 503].map((status): [MomentName, string, number] => [moment, action, status]),
  ),
);

describe("a rotation comes to a sound end", () => {
  it.each(CASES)(
    "when at its %s %s, and the call on its way is answered %i",
    async (name, action, status) => {
      const moment = await reach(name);
      await ACTIONS[action]?.(moment);
      moment.release(status);
      await quiet(moment.scene);
      await expectSoundEnd(moment);
    },
  );

  it.each(CASES.filter(([, , status]) => status === 204))(
    "when at its %s %s, and the object dies",
    async (name, action) => {
      const moment = await reach(name);
      await ACTIONS[action]?.(moment);
      await crash(moment.scene);
      moment.hook.up();
      await expectSoundEnd(moment);
    },
  );
});

/** With everything up again, days later: nothing is live or half-dead, and every required destination holds a valid value. */
async function expectSoundEnd({ scene, hook, other, spare, keyId, old, id }: Moment): Promise<void> {
  await runUntil(scene, Date.now() + 72 * HOUR);
  pass("1m");
  expect(await scene.rotation(id)).toMatchObject({ live: false });
  const key = await scene.read(keyId);
  expect(key.rotation).toBeNull();
  const stages = key.versions.map(({ stage }) => stage);
  for (const stage of stages) expect(["current", "revoked", "discarded"]).toContain(stage);
  expect(await scene.must("GET", "/v1/events/verify")).toMatchObject({ ok: true });
  if (key.state !== "active") {
    expect(["revoked", "deleted"]).toContain(key.state);
    expect(stages).not.toContain("current");
    expect(await scene.verdict(old)).toMatch(/revoked|grace-ended/);
    return;
  }
  expect(stages.filter((stage) => stage === "current")).toHaveLength(1);
  const byId = new Map<string, (typeof hook)[]>();
  for (const name of ["hook", "other", "spare"]) {
    const { id: destinationId, config } = await scene.destination(name);
    byId.set(
      destinationId,
      [hook, other, spare].filter(({ url }) => url === config.url),
    );
  }
  for (const link of key.destinations) {
    for (const receiver of byId.get(link.id) ?? []) {
      expect(await scene.verdict(receiver.secret ?? ""), `${receiver.name} holds ${receiver.versions}`).toBe(
        "valid",
      );
    }
  }
}
