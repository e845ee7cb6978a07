/** What verification keeps in memory is never behind the rows: whoever writes one of the two takes it away. */
import { describe, expect, it } from "vitest";
import { durableObjectSql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { keyRow, onFreshStore, versionRow } from "../support/database.ts";
import { type Meter, meter } from "../support/meter.ts";

/** A store that is its database's only writer, with one key and two versions, all read once. */
function onWarmStore(work: (store: Store, reads: () => number, state: DurableObjectState) => void) {
  return onFreshStore((_, state) => {
    const store = new Store(durableObjectSql(state.storage), { isOnlyWriter: true });
    store.keys.insert(keyRow());
    store.versions.insert(versionRow({ id: "one", number: 1 }));
    store.versions.insert(versionRow({ id: "two", number: 2 }));
    for (const id of ["one", "two", "nobody"]) store.verifiables.find(id);
    const { statements }: Meter = meter(state);
    work(store, () => statements().filter(({ rowsWritten }) => rowsWritten === 0).length, state);
  });
}

describe("what verification looks at", () => {
  it("is read once, and that there is nothing as well", async () => {
    await onWarmStore((store, reads) => {
      expect(store.verifiables.find("one")?.version.number).toBe(1);
      expect(store.verifiables.find("nobody")).toBeUndefined();
      store.verifiables.during(["one", "two", "nobody"], () => {
        expect(store.verifiables.find("two")?.version.number).toBe(2);
      });
      expect(reads()).toBe(0);
    });
  });

  it("follows each write of the version, of the key, and of one that was not there", async () => {
    await onWarmStore((store) => {
      const version = store.versions.get("one");
      if (!version) throw new Error("no version");
      store.versions.update(version, { stage: "revoking", endReason: "revoked" });
      expect(store.verifiables.find("one")?.version.stage).toBe("revoking");
      expect(store.verifiables.find("two")?.version.stage).toBe("current");

      store.keys.update(keyRow(), { state: "revoked", expiresAt: 7 });
      for (const id of ["one", "two"]) {
        expect(store.verifiables.find(id)?.key).toMatchObject({ state: "revoked", expiresAt: 7 });
      }

      store.versions.insert(versionRow({ id: "nobody", number: 3 }));
      expect(store.verifiables.find("nobody")?.version.number).toBe(3);
    });
  });

  it("shows a write inside its transaction, and nothing of one that failed", async () => {
    await onWarmStore((store) => {
      const fail = () =>
        store.transaction(() => {
          store.keys.update(keyRow(), { state: "revoked" });
          expect(store.verifiables.find("one")?.key.state).toBe("revoked");
          throw new Error("on purpose");
        });
      expect(fail).toThrow("on purpose");
      expect(store.verifiables.find("one")?.key.state).toBe("active");
    });
  });

  it("is not kept by who is not the only writer", async () => {
    await onFreshStore((store, state) => {
      const key = store.keys.insert(keyRow());
      store.versions.insert(versionRow({ id: "one", number: 1 }));
      const other = new Store(durableObjectSql(state.storage));
      expect(other.verifiables.find("one")?.key.state).toBe("active");
      other.verifiables.during(["one"], () =>
        expect(other.verifiables.find("one")?.key.state).toBe("active"),
      );
      store.keys.update(key, { state: "revoked" });
      expect(other.verifiables.find("one")?.key.state).toBe("revoked");
    });
  });

  it("forgets the oldest when there is too much of it", async () => {
    await onWarmStore((store, reads) => {
      for (let n = 0; n < 5_000; n++) store.verifiables.find(`stranger-${n}`);
      const before = reads();
      store.verifiables.find("stranger-4999");
      expect(reads()).toBe(before);
      expect(store.verifiables.find("one")?.version.number).toBe(1);
      expect(reads()).toBe(before + 1);
    });
  });
});
