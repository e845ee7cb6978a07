/** A key goes when every version of it was seen dead, however long the service takes. */
import { describe, expect, it, vi } from "vitest";
import { issuer } from "../../src/providers/issuer.ts";
import { pass } from "../support/clock.ts";
import { quiet, ring, runUntil } from "../support/inside.ts";
import { reach } from "../support/moments.ts";
import { makeScene } from "../support/scene.ts";

const HOUR = 3_600_000;

describe("deleting a key", () => {
  it.each(["preflight", "blocked", "delivery", "put-back"] as const)(
    "at its %s retires every version; then its name is free",
    async (name) => {
      const { scene, keyId, old, id, release } = await reach(name);
      const deleted = await scene.must<{ state: string }>("DELETE", "/v1/keys/billing");
      expect(deleted.state).toBe("deleting");
      expect(await scene.verdict(old)).toBe("revoked");
      release();
      await quiet(scene);
      const key = await scene.read(keyId);
      expect(key.state).toBe("deleted");
      expect(key.versions.every(({ stage, confirmed }) => stage !== "current" && confirmed)).toBe(true);
      expect(await scene.rotation(id)).toMatchObject({ live: false });
      expect((await scene.keyring.call("GET", "/v1/keys/billing")).status).toBe(404);
      const again = await scene.startKey({ destinations: ["hook"] });
      expect(again.id).not.toBe(keyId);
      await quiet(scene);
    },
  );

  it("says that it is deleting, and keeps its name, until the service has let go of every version", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    const { id } = await scene.key({ destinations: ["hook"] });
    const failing = vi
      .spyOn(issuer, "revoke")
      .mockResolvedValue({ kind: "failed", problem: "the service is down" });
    await scene.must("DELETE", "/v1/keys/billing");
    await runUntil(scene, Date.now() + 24 * HOUR);
    expect(await scene.read(id)).toMatchObject({ state: "deleting" });
    const taken = await scene.keyring.call("POST", "/v1/keys", {
      body: { name: "billing", provider: "issuer" },
    });
    expect(taken).toMatchObject({ status: 409, body: { code: "name-taken", holder: id } });

    failing.mockRestore();
    await runUntil(scene, Date.now() + 24 * HOUR);
    expect(await scene.read(id)).toMatchObject({ state: "deleted" });
    const ofKeys = (await scene.events()).filter(({ type }) => type.startsWith("key."));
    expect(ofKeys.at(-1)).toMatchObject({ type: "key.deleted", key: id });
    expect((await scene.destination("hook")).usedBy).toEqual([]);
  });

  it("is refused nothing twice: a second time answers the same", async () => {
    const scene = await makeScene();
    const { id } = await scene.key({});
    await scene.must("DELETE", `/v1/keys/${id}`);
    await quiet(scene);
    expect(await scene.must("DELETE", `/v1/keys/${id}`)).toMatchObject({ state: "deleted" });
    expect(await scene.events("key.deleted")).toHaveLength(1);
  });
});

describe("a revocation that the service does not take", () => {
  it("goes on without end, is announced once, and is seen in the key until it is over", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    const { secret: old } = await scene.key({ destinations: ["hook"], policy: { grace: "1h" } });
    const asked = vi.spyOn(issuer, "revoke").mockResolvedValue({ kind: "failed", problem: "down" });
    await scene.rotate();
    await quiet(scene);
    await runUntil(scene, Date.now() + 30 * 24 * HOUR);

    expect((await scene.read()).versions[0]).toMatchObject({
      stage: "revoking",
      confirmed: false,
      nextTryAt: expect.any(String),
    });
    expect(await scene.verdict(old)).toBe("grace-ended");
    expect(await scene.events("key.revocation.stuck")).toHaveLength(1);
    const before = asked.mock.calls.length;
    await runUntil(scene, Date.now() + 3 * 24 * HOUR);
    expect(asked.mock.calls.length - before).toBeGreaterThanOrEqual(2);
    asked.mockRestore();
    await runUntil(scene, Date.now() + 2 * 24 * HOUR);
    expect((await scene.read()).versions[0]).toMatchObject({ stage: "revoked", confirmed: true });
  });

  it("is not believed while the old value still works", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { grace: "1h" } });
    const revoked = vi.spyOn(issuer, "revoke");
    const tested = vi.spyOn(issuer, "test");
    await scene.rotate();
    await quiet(scene);
    tested.mockResolvedValue({ kind: "valid" });
    pass("1h");
    await ring(scene);
    expect((await scene.read()).versions[0]).toMatchObject({ stage: "revoking", confirmed: false });
    expect(await scene.events("key.revoked")).toEqual([]);
    await runUntil(scene, Date.now() + 24 * HOUR);
    expect(revoked.mock.calls.length).toBeGreaterThan(2);
    tested.mockRestore();
    await runUntil(scene, Date.now() + 24 * HOUR);
    expect((await scene.read()).versions[0]).toMatchObject({ stage: "revoked", confirmed: true });
  });
});
