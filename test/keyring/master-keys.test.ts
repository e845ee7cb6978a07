/** The change of the master key: every keyring follows by itself, none is closed meanwhile, and a crash anywhere loses nothing. */
import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { parseMasterKeys, unwrapDataKey, wrapDataKey } from "../../src/crypto/master-keys.ts";
import { secureRandom } from "../../src/crypto/random.ts";
import { openContext } from "../../src/keyring/opening.ts";
import { registryOf } from "../../src/registry/stub.ts";
import { durableObjectSql, type Sql } from "../../src/store/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { ROOT, request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { inside } from "../support/inside.ts";
import { inRegistry, insertKeyrings } from "../support/registry.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";

const [NEWEST, OLDER] = parseMasterKeys(env.MASTER_KEYS) ?? [];
if (!NEWEST || !OLDER) throw new Error("these tests need two master keys");

beforeEach(async () => {
  await cron();
});

interface Rewrapped {
  masterKeyId: string;
  done: number;
  left: number;
  failing: { name: string; code: string }[];
  nextCursor: string | null;
}

const rewrap = async (query = "") =>
  (await request<Rewrapped>(ROOT, "POST", `/v1/keyrings/rewrap${query}`)).body;

const entryOf = async ({ name }: Scene) => {
  const { body } = await request<{ items: { name: string; masterKeyId: string | null }[] }>(
    ROOT,
    "GET",
    "/v1/keyrings?limit=100",
  );
  return body.items.find((item) => item.name === name);
};

function wrapWith(store: Store, code: string, id: string): void {
  const wrapped = store.settings.wrappedDataKey();
  const dataKey =
    wrapped &&
    unwrapDataKey(
      [NEWEST, OLDER].flatMap((key) => key ?? []),
      code,
      wrapped,
    );
  const key = [NEWEST, OLDER].find((one) => one?.id === id);
  if (!dataKey || !key) throw new Error("no data key");
  store.settings.setWrappedDataKey(wrapDataKey([key], code, dataKey, secureRandom));
}

/** A keyring as it was made before the newest master key came, with a key in it; its object starts anew. */
async function makeOld(): Promise<Scene & { secret: string }> {
  const scene = await makeScene();
  await scene.kv("store", { propagation: "0" });
  const { secret } = await scene.key({ destinations: ["store"] });
  await eventually(async () => expect(await entryOf(scene)).toMatchObject({ masterKeyId: "test" }));
  await inside(scene, (store) => store.transaction(() => wrapWith(store, scene.code, "older")));
  await registryOf(env).noteMasterKeys([{ code: scene.code, masterKeyId: "older" }]);
  await abortAllDurableObjects();
  return Object.assign(scene, { secret });
}

const wrapperOf = (scene: Scene) => inside(scene, (store) => store.settings.wrappedDataKey()?.masterKeyId);

describe("a keyring whose data key an older master key wraps", () => {
  it("is wrapped by the newest once it is opened, which is one event, and what it sealed still opens", async () => {
    const scene = await makeOld();
    expect(await wrapperOf(scene)).toBe("older");
    expect(await scene.verdict(scene.secret)).toBe("valid");
    expect(await wrapperOf(scene)).toBe("test");
    const events = await scene.events("keyring.rewrapped");
    expect(events).toMatchObject([{ actor: "rekey", data: { masterKeyId: "test", before: "older" } }]);
    const { rotation } = await scene.must<{ rotation: { state: string } }>(
      "POST",
      "/v1/keys/billing/rotate?wait=10s",
      {},
    );
    expect(rotation.state).toBe("succeeded");
    await abortAllDurableObjects();
    expect(await scene.verdict(scene.secret)).toBe("valid");
    expect(await scene.events("keyring.rewrapped")).toHaveLength(1);
    await eventually(async () => expect(await entryOf(scene)).toMatchObject({ masterKeyId: "test" }));
  });

  it("follows at the sweep's daily visit, without any call", async () => {
    const scene = await makeOld();
    pass("25h");
    await cron();
    expect(await wrapperOf(scene)).toBe("test");
    expect(await entryOf(scene)).toMatchObject({ masterKeyId: "test" });
  });

  it("opens after a crash at any statement of it, under the one or the other", async () => {
    const scene = await makeOld();
    await inside(scene, (store, state) => {
      const real = durableObjectSql(state.storage);
      const seen = { older: 0, test: 0 };
      for (let crashAt = 1; seen.test === 0; crashAt++) {
        let count = 0;
        const failing: Sql = {
          all: (query, ...params) => {
            count += 1;
            if (count === crashAt) throw new Error("crashed");
            return real.all(query, ...params);
          },
          transaction: (body) => real.transaction(body),
        };
        const events = store.events.head()?.seq ?? 0;
        try {
          openContext(failing, env, state.exports.Outside);
        } catch {
          // The object dies here; what is stored is what the next one finds.
        }
        const wrapped = store.settings.wrappedDataKey();
        const id = wrapped?.masterKeyId as keyof typeof seen;
        expect(wrapped && unwrapDataKey([NEWEST, OLDER], scene.code, wrapped)).toHaveLength(32);
        // The wrapping and the event that tells of it come together.
        expect((store.events.head()?.seq ?? 0) - events).toBe(id === "test" ? 1 : 0);
        seen[id] += 1;
        expect(crashAt).toBeLessThan(50);
      }
      expect(seen.older).toBeGreaterThan(5);
    });
    expect(await scene.verdict(scene.secret)).toBe("valid");
  });
});

describe("POST /v1/keyrings/rewrap", () => {
  it("wraps every keyring now, page by page, and says when the older key may go", async () => {
    const scenes = [await makeOld(), await makeOld(), await makeOld()];
    const first = await rewrap("?limit=2");
    expect(first).toMatchObject({ masterKeyId: "test", done: 2, left: 1, failing: [] });
    const second = await rewrap(`?limit=2&cursor=${first.nextCursor}`);
    expect(second).toEqual({ masterKeyId: "test", done: 1, left: 0, failing: [], nextCursor: null });
    for (const scene of scenes) {
      expect(await wrapperOf(scene)).toBe("test");
      expect(await scene.events("keyring.rewrapped")).toHaveLength(1);
    }
    expect(await rewrap()).toEqual({ masterKeyId: "test", done: 0, left: 0, failing: [], nextCursor: null });
  });

  it("makes one that was listed and never made", async () => {
    await insertKeyrings(1, () => ({ nextStartAt: null, visitedAt: Date.now() }), "M");
    expect(await rewrap()).toMatchObject({ done: 1, left: 0, failing: [] });
  });

  it("names those that it could not, goes on with the others, and counts them as left", async () => {
    const scenes = [await makeOld(), await makeOld()];
    const [lost] = scenes;
    await inside(lost as Scene, (store) =>
      store.transaction(() =>
        store.settings.setWrappedDataKey({ masterKeyId: "gone", wrapped: new Uint8Array(61) }),
      ),
    );
    await abortAllDurableObjects();
    const answer = await rewrap();
    expect(answer).toMatchObject({ done: 1, left: 1, nextCursor: null });
    expect(answer.failing).toEqual([
      { name: lost?.name, code: "not-configured", detail: expect.stringContaining('"gone"') },
    ]);
    expect(await entryOf(lost as Scene)).toMatchObject({ masterKeyId: "older" });
  });

  it("believes an object only when that says that it is wrapped by the newest", async () => {
    const scene = await makeOld();
    expect(await scene.verdict(scene.secret)).toBe("valid");
    // As an object does that was not restarted since the secret was changed.
    await inside(scene, (store) => store.transaction(() => wrapWith(store, scene.code, "older")));
    await inRegistry((registry) => registry.noteMasterKeys([{ code: scene.code, masterKeyId: "older" }]));
    expect(await rewrap()).toMatchObject({ done: 0, left: 1, failing: [{ name: scene.name }] });
  });

  it("refuses a cursor of something else", async () => {
    const answer = await request(ROOT, "POST", "/v1/keyrings/rewrap?cursor=%20");
    expect(answer).toMatchObject({ status: 422, body: { code: "invalid" } });
  });
});
