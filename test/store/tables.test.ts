/** What the tables promise by themselves, whoever writes them. */
import { describe, expect, it } from "vitest";
import { keyRow, onFreshStore, rotationRow, versionRow } from "../support/database.ts";
import { meter } from "../support/meter.ts";

describe("a row", () => {
  it("comes back as it went in: lists, objects, booleans, bytes and nothing", async () => {
    await onFreshStore((store) => {
      const key = keyRow({
        scopes: ["a", "b"],
        labels: { team: 'pay"ments' },
        policy: { maxAge: "30d" },
        paused: true,
        subject: "agent-7",
        dueAt: 5,
      });
      store.keys.insert(key);
      expect(store.keys.get(key.id)).toEqual(key);
      const version = versionRow({
        sealed: Uint8Array.of(0, 255, 7),
        digest: new Uint8Array(32),
        confirmed: true,
        lastCall: { method: "POST", host: "hooks.acme.dev", code: "ok", at: 1, status: 200 },
      });
      store.versions.insert(version);
      expect(store.versions.get("v1")).toEqual(version);
    });
  });

  it("writes only what changed", async () => {
    await onFreshStore((store, state) => {
      const key = store.keys.insert(keyRow());
      const { statements } = meter(state);
      expect(store.keys.update(key, { revision: 1, paused: false })).toBe(key);
      expect(store.keys.update(key, { revision: 2, paused: false }).revision).toBe(2);
      expect(statements().map(({ query }) => query)).toEqual(["UPDATE key SET revision = ? WHERE id = ?"]);
    });
  });
});

describe("the tables", () => {
  it("let a key have one live rotation, and any number that are over", async () => {
    await onFreshStore((store) => {
      const first = store.rotations.insert(rotationRow({ id: "rot_1" }));
      expect(() => store.rotations.insert(rotationRow({ id: "rot_2" }))).toThrow(/UNIQUE/);
      store.rotations.update(first, { live: false });
      store.rotations.insert(rotationRow({ id: "rot_2", live: false }));
      store.rotations.insert(rotationRow({ id: "rot_3" }));
      store.rotations.insert(rotationRow({ id: "rot_4", keyId: "key_2" }));
      expect(store.rotations.live("key_1")?.id).toBe("rot_3");
    });
  });

  it("let a name be used again only after its key is deleted", async () => {
    await onFreshStore((store) => {
      const key = store.keys.insert(keyRow({ id: "key_1", name: "billing" }));
      for (const state of ["active", "revoked", "deleting"] as const) {
        store.keys.update(store.keys.get(key.id) ?? key, { state });
        expect(() => store.keys.insert(keyRow({ id: "key_2", name: "billing" }))).toThrow(/UNIQUE/);
      }
      store.keys.update(store.keys.get(key.id) ?? key, { state: "deleted" });
      store.keys.insert(keyRow({ id: "key_2", name: "billing" }));
      expect(store.keys.find("billing")?.id).toBe("key_2");
      expect(store.keys.find("key_1")?.state).toBe("deleted");
    });
  });

  it("let a version's number be used once by its key", async () => {
    await onFreshStore((store) => {
      store.versions.insert(versionRow({ id: "a" }));
      expect(() => store.versions.insert(versionRow({ id: "b" }))).toThrow(/UNIQUE/);
      store.versions.insert(versionRow({ id: "b", keyId: "key_2" }));
    });
  });

  it("store all of a transaction or, when it throws, nothing", async () => {
    await onFreshStore((store) => {
      expect(() =>
        store.transaction(() => {
          store.keys.insert(keyRow({ dueAt: 5 }));
          throw new Error("no");
        }),
      ).toThrow("no");
      expect(store.keys.get("key_1")).toBeUndefined();
      expect(store.due.earliestStartAt()).toBeNull();
    });
  });
});
