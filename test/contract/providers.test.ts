/** What every provider promises: by itself, and through a keyring from mint to the proof that the old value is dead. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Outbound } from "../../src/outbound/port.ts";
import type { MintIntent, Provider, ProviderContext } from "../../src/providers/provider.ts";
import { PROVIDER_NAMES, PROVIDERS, providerOf } from "../../src/providers/registry.ts";
import { pass } from "../support/clock.ts";
import { quiet, ring } from "../support/inside.ts";
import { makeScene } from "../support/scene.ts";

const unreachable = () => Promise.reject(new Error("nothing outside is called"));
const OUTSIDE: Outbound = {
  send: unreachable,
  readValue: unreachable,
  writeValue: unreachable,
  problemOf: () => undefined,
};

/** The part of a keyring that a provider sees, without one: values are accepted until they are taken out. */
class Bench implements ProviderContext {
  readonly name = "key";
  readonly prefix = "rekey";
  readonly config = {};
  readonly spend = () => 0;
  readonly old = undefined;
  readonly connection = undefined;
  readonly now = 0;
  readonly outbound = OUTSIDE;
  readonly accepted = new Map<string, string>();
  #count = 0;

  readonly issuer = {
    issue: (prefix: string) => {
      this.#count += 1;
      const reference = `reference-${this.#count}`;
      const secret = `${prefix}_secret-${this.#count}`;
      this.accepted.set(reference, secret);
      return { secret, reference };
    },
    accepts: (reference: string) => this.accepted.has(reference),
  };
}

const INTENT: MintIntent = { marker: "marker", idempotencyKey: "key", graceMs: 0, again: false };

/** Beyond what every key needs. */
const EXTRA: Record<string, Record<string, unknown>> = { access: { scopes: ["keys:read"] } };

/** Those that Rekey is itself; the others have a suite of their own in outside.ts. */
const OWN = PROVIDER_NAMES.filter((name) => PROVIDERS[name].local);

describe.each(OWN)("the provider %s by itself", (name) => {
  const provider: Provider = PROVIDERS[name];
  let bench: Bench;

  beforeEach(() => {
    bench = new Bench();
  });

  async function mint() {
    const result = await provider.mint(bench, INTENT);
    if (result.kind !== "minted") throw new Error(result.kind);
    return result;
  }

  it("is found by the name it goes by", () => {
    expect(provider.name).toBe(name);
    expect(providerOf(name)).toBe(provider);
    expect(provider.title).toMatch(/\S/);
  });

  it("is ready, and asking changes nothing", async () => {
    expect(await provider.preflight(bench)).toEqual({ kind: "green" });
    expect(bench.accepted.size).toBe(0);
  });

  it("mints another value each time, under another reference", async () => {
    const [first, second] = [await mint(), await mint()];
    expect(first.fields.secret).not.toBe(second.fields.secret);
    expect(first.reference).not.toBe(second.reference);
  });

  it("finds valid what was minted and rejects what is gone", async () => {
    const { reference } = await mint();
    expect(await provider.test?.(bench, { fields: undefined, reference })).toEqual({ kind: "valid" });
    bench.accepted.delete(reference);
    expect(await provider.test?.(bench, { fields: undefined, reference })).toEqual({
      kind: "rejected",
      problem: expect.stringMatching(/\S/),
    });
  });

  it("revokes, and calls it revoked when it was gone already", async () => {
    const { reference } = await mint();
    expect(await provider.revoke?.(bench, { fields: undefined, reference })).toEqual({ kind: "revoked" });
    bench.accepted.delete(reference);
    expect(await provider.revoke?.(bench, { fields: undefined, reference })).toEqual({ kind: "revoked" });
  });
});

describe.each(OWN)("a key of the provider %s", (name) => {
  const provider: Provider = PROVIDERS[name];

  async function make() {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const key = await scene.key({
      provider: name,
      destinations: ["hook"],
      policy: { grace: "1h", cooldown: "0" },
      ...EXTRA[name],
    });
    return { scene, hook, key };
  }

  it("goes through preflight, mint, test, revoke and the test that sees it dead, in this order", async () => {
    const { scene } = await make();
    const calls: string[] = [];
    for (const method of ["preflight", "mint", "test", "revoke"] as const) {
      const original = provider[method] as (...params: unknown[]) => Promise<unknown>;
      vi.spyOn(provider, method).mockImplementation(async (...params: unknown[]) => {
        const result = (await original(...params)) as { kind: string };
        calls.push(`${method}: ${result.kind}`);
        return result as never;
      });
    }
    await scene.rotate();
    await quiet(scene);
    pass("1h");
    await ring(scene);
    expect(calls).toEqual([
      "preflight: green",
      "mint: minted",
      "test: valid",
      "revoke: revoked",
      "test: rejected",
    ]);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });

  it("has a new value that works before the old one ends, and an old one that never works again", async () => {
    const { scene, hook, key } = await make();
    await scene.rotate();
    await quiet(scene);
    const fresh = hook.secret ?? "";
    expect(fresh).not.toBe(key.secret);
    expect([await scene.verdict(key.secret), await scene.verdict(fresh)]).toEqual(["valid", "valid"]);
    pass("1h");
    await ring(scene);
    expect([await scene.verdict(key.secret), await scene.verdict(fresh)]).toEqual(["grace-ended", "valid"]);
  });

  it("keeps its old value when the new one is rejected by its test", async () => {
    const { scene, hook, key } = await make();
    const test = vi.spyOn(provider, "test").mockResolvedValueOnce({ kind: "rejected", problem: "401" });
    const { id } = await scene.rotate();
    await scene.reaches(id, { state: "failed", problem: "the new value was rejected: 401" });
    test.mockRestore();
    await quiet(scene);
    expect(await scene.stages()).toEqual(["current", "discarded"]);
    expect(await scene.verdict(key.secret)).toBe("valid");
    expect(hook.versions).toEqual([1]);
  });

  it("is minted for nobody when the service refuses", async () => {
    const { scene, key } = await make();
    vi.spyOn(provider, "mint").mockResolvedValueOnce({ kind: "refused", problem: "quota" });
    const { id } = await scene.rotate();
    await scene.reaches(id, { state: "failed", problem: "quota" });
    expect(await scene.stages()).toEqual(["current"]);
    expect(await scene.verdict(key.secret)).toBe("valid");
  });

  it("asks again when its test says nothing, and goes on when it does", async () => {
    const { scene, hook } = await make();
    const test = vi
      .spyOn(provider, "test")
      .mockResolvedValueOnce({ kind: "indeterminate", problem: "timeout" });
    const { id } = await scene.rotate();
    await scene.reaches(id, { step: "test", problem: "timeout" });
    await quiet(scene);
    expect(hook.versions).toEqual([1]);
    pass("6s");
    await ring(scene);
    expect(test).toHaveBeenCalledTimes(2);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded", problem: null });
    expect(hook.versions).toEqual([1, 2]);
  });
});
