/** The lines on the console: one an event, after its commit, and nothing else. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { EVENT_TYPES, type EventType } from "../../src/events/catalogue.ts";
import { appendEvent } from "../../src/events/chain.ts";
import { levelOf } from "../../src/events/log.ts";
import { Keyring } from "../../src/keyring/keyring.ts";
import type { Store } from "../../src/store/store.ts";
import { objectOf, readTables } from "../api/fixtures.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { onFreshStore } from "../support/database.ts";

const METHODS = ["log", "info", "warn", "error", "debug"] as const;
/** A call of its own each time, as over the wire. */
const newCall = () => ({ credential: { kind: "root" }, route: "POST /v1/keys" }) as const;
const KEY = { name: "billing", provider: "issuer", scopes: [], labels: {}, policy: {}, destinations: [] };

interface Line {
  level: string;
  event: string;
  at: string;
  keyring: string;
  seq: number;
  id: string;
  key: string | null;
  actor: string;
  data: Record<string, unknown>;
}

let written: { method: string; text: string }[];
beforeEach(() => {
  written = [];
  for (const method of METHODS) {
    vi.spyOn(console, method).mockImplementation((...words: unknown[]) => {
      written.push({ method, text: words.map(String).join(" ") });
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
});

const lines = () => written.map(({ text }) => JSON.parse(text) as Line);

/** Opens a keyring as if the Worker had been deployed with this LOG_EVENTS. */
function openWith(ring: TestKeyring, mode: string, use: (keyring: Keyring) => void): Promise<void> {
  return runInDurableObject(objectOf(ring), async (_, state) => {
    const keyring = new Keyring(state, { ...env, LOG_EVENTS: mode } as Env);
    await state.blockConcurrencyWhile(async () => undefined);
    use(keyring);
  });
}

describe("with LOG_EVENTS=all", () => {
  it("each event of the history is one line of JSON, in order, as loud as its type", async () => {
    const ring = await makeKeyring();
    const { event: before = [] } = await readTables(ring);
    let key = "";
    await openWith(ring, "all", (keyring) => {
      const made = keyring.createKey(newCall(), KEY);
      if (made.ok) key = made.value.key.id;
      keyring.getKey(newCall(), "billing");
    });
    const { event = [] } = await readTables(ring);
    const added = event.slice(before.length);
    expect(added.map(({ type }) => type)).toEqual(["root.used", "key.created", "root.used"]);
    expect(lines()).toEqual(
      added.map(({ seq, id, type, at, actor, keyId, data }) => ({
        level: type === "root.used" ? "warn" : "info",
        event: type,
        at: new Date(Number(at)).toISOString(),
        keyring: ring.name,
        seq,
        id,
        key: keyId,
        actor,
        data: JSON.parse(String(data)),
      })),
    );
    expect(lines()[1]?.key).toBe(key);
    expect(written.map(({ method }) => method)).toEqual(["warn", "info", "warn"]);
    for (const { text } of written) expect(text).not.toContain("\n");
  });

  it("a refused request leaves the line of root's use and no other", async () => {
    const ring = await makeKeyring();
    await openWith(ring, "all", (keyring) => {
      keyring.createKey(newCall(), KEY);
      written.length = 0;
      expect(keyring.createKey(newCall(), KEY)).toMatchObject({ ok: false, error: { code: "name-taken" } });
    });
    expect(lines().map(({ event: type }) => type)).toEqual(["root.used"]);
  });
});

describe("the events of a commit", () => {
  const told = (work: (store: Store, append: (type: EventType) => void, types: string[]) => void) =>
    onFreshStore((store) => {
      const types: string[] = [];
      store.onCommitted((rows) => types.push(...rows.map(({ type }) => type)));
      work(store, (type) => appendEvent(store.events, { type, actor: "root" }, 1, secureRandom), types);
      return types;
    });

  it("are told of once it is made, not before", async () => {
    await told((store, append, types) => {
      store.transaction(() => {
        append("key.created");
        store.transaction(() => append("key.updated"));
        expect(types).toEqual([]);
      });
      expect(types).toEqual(["key.created", "key.updated"]);
    });
  });

  it("are not told of when it is rolled back, and those of the next one are", async () => {
    const types = await told((store, append) => {
      const failing = () =>
        store.transaction(() => {
          append("key.created");
          throw new Error("rolled back");
        });
      expect(failing).toThrow();
      store.transaction(() => append("key.updated"));
    });
    expect(types).toEqual(["key.updated"]);
  });

  it("leave out those of a part that was rolled back", async () => {
    const types = await told((store, append) => {
      store.transaction(() => {
        append("key.created");
        const part = () =>
          store.transaction(() => {
            append("key.lost");
            throw new Error("rolled back");
          });
        expect(part).toThrow();
        append("key.updated");
      });
      expect(store.events.head()?.seq).toBe(2);
    });
    expect(types).toEqual(["key.created", "key.updated"]);
  });
});

describe("with less", () => {
  it("`warnings` leaves out what is only information", async () => {
    const ring = await makeKeyring();
    await openWith(ring, "warnings", (keyring) => void keyring.createKey(newCall(), KEY));
    expect(lines().map(({ event: type }) => type)).toEqual(["root.used"]);
  });

  it("`none` writes nothing", async () => {
    const ring = await makeKeyring();
    await openWith(ring, "none", (keyring) => void keyring.createKey(newCall(), KEY));
    expect(written).toEqual([]);
  });

  it("anything else is refused, and said so", async () => {
    const ring = await makeKeyring();
    await openWith(ring, "some", (keyring) => {
      const refused = keyring.createKey(newCall(), KEY);
      expect(refused).toMatchObject({ ok: false, error: { code: "not-configured" } });
    });
  });
});

describe("the level of an event", () => {
  it.each([
    ["key.lost", "error"],
    ["key.at-risk", "error"],
    ["key.rotation.failed", "error"],
    ["key.revocation.stuck", "error"],
    ["delivery.failing", "error"],
    ["chain.broken", "error"],
    ["key.rotation.blocked", "warn"],
    ["key.rotation.needs-human", "warn"],
    ["root.used", "warn"],
    ["chain.reconciled", "warn"],
    ["key.rotated", "info"],
    ["delivery.recovered", "info"],
  ])("of %s is %s", (type, level) => {
    expect(EVENT_TYPES).toContain(type);
    expect(levelOf(type)).toBe(level);
  });
});
