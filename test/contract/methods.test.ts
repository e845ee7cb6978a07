/** What each call to a service promises by itself, whichever service it is: one suite over all that are called outside, against their fakes. */
import { http } from "msw";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import page from "../../docs/http.md?raw";
import type { Credential, ListResult, Provider } from "../../src/providers/provider.ts";
import { providerOf } from "../../src/providers/registry.ts";
import { configuredBy } from "../../src/rotation/configured.ts";
import { describedFakes } from "../lab/services/described.ts";
import type { LabFault } from "../lab/services/fake.ts";
import { type Entry, FAKES } from "../lab/services/registry.ts";
import { openAccount, runFor } from "../support/account.ts";
import { INTENT, mintedOf } from "../support/bench.ts";
import { pass } from "../support/clock.ts";
import { network } from "../support/network.ts";
import { Booth } from "./booth.ts";

vi.setConfig({ testTimeout: 60_000 });

const ALL: Record<string, Entry> = { ...FAKES, ...describedFakes(page) };

const UNANSWERED = ["error-before", "error-after", "cut-before", "cut-after", "garbage"] as const;
/** Those that did nothing, and those that did it all the same. */
const BEFORE: readonly LabFault[] = ["error-before", "cut-before", "rate-limited"];
const AFTER: readonly LabFault[] = ["error-after", "cut-after", "garbage"];

/** What a wrong value is called elsewhere: a wrong signature is no word about the key, and one is tested by its name alone. */
const OF_WRONG: Record<string, string> = { "aws-iam": "indeterminate", "http, as for Spaces": "valid" };

/** Whose 429 does not say when to come back. */
const SILENT = ["aws-iam"];

/** Whatever a service or the way there says that belongs into no error: bodies, and what no value may look like. */
const BODIES = ["<html>", "upstream connect error", "Bad gateway", "Welcome"];

describe.each(Object.entries(ALL))("the provider %s", (name, entry) => {
  let booth: Booth;
  let results: unknown[];

  beforeEach(() => {
    results = [];
    booth = new Booth(name, entry, results);
  });

  afterEach(() => {
    // What went wrong is told without a value and without a word of the service's own.
    const told = results.filter((one) => (one as { kind: string }).kind !== "minted");
    const text = JSON.stringify(told);
    const { secrets } = booth;
    for (const one of [...secrets, ...BODIES]) expect(text).not.toContain(one);
    expect(booth.fake.broken).toEqual([]);
  });

  const hasMethod = (method: "revoke" | "disable" | "find" | "list" | "lastUsed") =>
    booth.provider[method] !== undefined;

  it("is green with a good credential, and red with one that opens nothing", async () => {
    expect((await booth.seen(booth.provider.preflight(booth.context()))).kind).toBe("green");
    const isAsked = booth.fake.journal.length > 0;
    const { kind } = await booth.seen(booth.provider.preflight(booth.badly()));
    // A description may have no call that shows it.
    expect(kind).toBe(isAsked ? "red" : "green");
  });

  it("mints nothing with a credential that opens nothing, and says so", async () => {
    const before = booth.fake.credentials.length;
    const { kind } = await booth.seen(booth.provider.mint(booth.badly(), INTENT));
    expect(["refused", "postponed"]).toContain(kind);
    expect(booth.fake.credentials).toHaveLength(before);
  });

  it("waits for a mint as long as it says, whose lost answer may cost the key", async () => {
    const old = booth.first ?? (await booth.mint());
    booth.takeWaits();
    await booth.provider.mint(booth.context({ old }), INTENT);
    const waits = booth.takeWaits();
    expect(waits.length).toBeGreaterThan(0);
    expect(waits.reduce((sum, ms) => sum + ms, 0)).toBe(booth.provider.timeoutMs);
  });

  it("mints a value that is valid, and what was never one is not", async () => {
    const made = await booth.mint();
    expect(made.fields?.secret.length).toBeGreaterThan(8);
    expect(made.fields?.secret).not.toBe(booth.first?.fields?.secret);
    expect(await booth.provider.test?.(booth.context(), made)).toMatchObject({ kind: "valid" });
    const wrong = { ...made, fields: { ...made.fields, secret: "a-value-that-opens-nothing" } };
    const { kind } = (await booth.seen(Promise.resolve(booth.provider.test?.(booth.context(), wrong)))) ?? {};
    expect(kind).toBe(OF_WRONG[name] ?? "rejected");
  });

  it("has an old value that is seen dead when it should be", async () => {
    const old = booth.first ?? (await booth.mint());
    const made = mintedOf(await booth.provider.mint(booth.context({ old }), INTENT));
    await booth.settle();
    if (booth.provider.overlap === "provider") {
      expect(await booth.provider.test?.(booth.context(), old)).toMatchObject({ kind: "valid" });
      pass(`${INTENT.graceMs / 1_000}s`);
    } else if (booth.provider.overlap === "ours") {
      expect(await booth.provider.test?.(booth.context(), old)).toMatchObject({ kind: "valid" });
      await booth.provider.disable?.(booth.context(), old);
      expect(await booth.provider.revoke?.(booth.context(), old)).toMatchObject({ kind: "revoked" });
    }
    await booth.settle();
    expect(await booth.provider.test?.(booth.context(), old)).toMatchObject({ kind: "rejected" });
    expect(await booth.provider.test?.(booth.context(), made)).toMatchObject({ kind: "valid" });
  });

  it("revokes what lives, what was revoked before, and what is gone", async () => {
    if (!hasMethod("revoke")) return expect(booth.provider.overlap).not.toBe("ours");
    const made = await booth.mint();
    await booth.provider.disable?.(booth.context(), made);
    for (let time = 0; time < 2; time++) {
      expect(await booth.seen(Promise.resolve(booth.provider.revoke?.(booth.context(), made)))).toMatchObject(
        {
          kind: "revoked",
        },
      );
    }
    expect(booth.fake.live().map(({ reference }) => reference)).not.toContain(made.reference);
    await booth.settle();
    expect(await booth.provider.test?.(booth.context(), made)).toMatchObject({ kind: "rejected" });
    expect((await booth.provider.disable?.(booth.context(), made))?.kind ?? "revoked").toBe("revoked");
  });

  it("says of a mint whose answer is lost that nobody knows, and finds out afterwards", async () => {
    const call = await mintCall(name, entry);
    for (const fault of AFTER) {
      booth = new Booth(name, entry, results);
      const { provider } = booth;
      const old = booth.first ?? (await booth.mint());
      const before = booth.fake.credentials.length;
      const had = await referencesOf(provider.list?.(booth.context({ old })));
      booth.fake.fail(call, fault);
      const { kind } = await booth.seen(provider.mint(booth.context({ old }), INTENT));
      expect(kind, fault).toBe("in-doubt");
      expect(booth.fake.credentials.length, fault).toBe(before + 1);
      await booth.settle();
      const found = await referencesOf(provider.find?.(booth.context({ old }), INTENT.marker));
      if (found) expect(found, fault).toEqual([booth.fake.credentials.at(-1)?.reference]);
      const has = await referencesOf(provider.list?.(booth.context({ old })));
      if (has)
        expect(
          has.filter((one) => !had?.includes(one)),
          fault,
        ).toHaveLength(1);
      if (!found && !has) {
        expect(await provider.test?.(booth.context(), old), fault).toMatchObject({ kind: "rejected" });
      }
    }
  });

  it("never says of a mint that was not done that it was, and never the reverse", async () => {
    const call = await mintCall(name, entry);
    for (const fault of [...BEFORE, "expired"] as const) {
      booth = new Booth(name, entry, results);
      const old = booth.first ?? (await booth.mint());
      const before = booth.fake.credentials.length;
      booth.fake.fail(call, fault);
      const { kind } = await booth.seen(booth.provider.mint(booth.context({ old }), INTENT));
      expect(kind, fault).not.toBe("minted");
      if (fault === "error-before" || fault === "cut-before") expect(kind, fault).not.toBe("refused");
      expect(booth.fake.credentials, fault).toHaveLength(before);
    }
  });

  it("takes only a plain refusal for one: a test that was not answered says nothing", async () => {
    const made = await booth.mint();
    const run = () => booth.seen(Promise.resolve(booth.provider.test?.(booth.context(), made)));
    const call = await booth.callOf(run);
    for (const fault of [...UNANSWERED, "rate-limited"] as const) {
      booth.fake.fail(call, fault);
      expect(await run(), fault).toMatchObject({ kind: "indeterminate" });
    }
    booth.fake.fail(call, "rate-limited");
    const later = await run();
    if (!SILENT.includes(name)) expect(later).toMatchObject({ retryAfterMs: 7_000 });
    expect(await run()).toMatchObject({ kind: "valid" });
  });

  it("says of a revocation only what it knows", async () => {
    if (!hasMethod("revoke")) return expect(booth.provider.overlap).not.toBe("ours");
    const call = await revokeCall(name, entry);
    for (const fault of [...UNANSWERED, "rate-limited"] as const) {
      booth = new Booth(name, entry, results);
      const made = await booth.mint();
      await booth.provider.disable?.(booth.context(), made);
      const revoke = () => booth.seen(Promise.resolve(booth.provider.revoke?.(booth.context(), made)));
      booth.fake.fail(call, fault);
      const { kind } = (await revoke()) ?? {};
      const isGone = !booth.fake.live().some(({ reference }) => reference === made.reference);
      if (kind === "revoked") expect(isGone, fault).toBe(true);
      else expect(await revoke(), fault).toMatchObject({ kind: "revoked" });
    }
  });

  it("makes no list of an answer that is none", async () => {
    const made = booth.first ?? (await booth.mint());
    const looks = {
      find: () => booth.provider.find?.(booth.context({ old: made }), INTENT.marker),
      list: () => booth.provider.list?.(booth.context({ old: made })),
      lastUsed: () => booth.provider.lastUsed?.(booth.context(), made),
    };
    for (const [method, look] of Object.entries(looks)) {
      if (!hasMethod(method as keyof typeof looks)) continue;
      expect(await look(), method).toMatchObject({ kind: method === "lastUsed" ? "told" : "listed" });
      const call = await booth.callOf(look);
      for (const fault of [...UNANSWERED, "rate-limited", "expired"] as const) {
        booth.fake.fail(call, fault);
        const found = await booth.seen(Promise.resolve(look()));
        expect(found, `${method} with ${fault}`).toMatchObject({ kind: "failed" });
      }
    }
  });

  it("takes a call that is never answered for what it is", async () => {
    const made = await booth.mint();
    const { provider } = booth;
    const kinds: Record<string, string | undefined> = {
      test: (await booth.seen(Promise.resolve(provider.test?.(booth.unanswered(), made))))?.kind,
      revoke: (await booth.seen(Promise.resolve(provider.revoke?.(booth.unanswered(), made))))?.kind,
      disable: (await booth.seen(Promise.resolve(provider.disable?.(booth.unanswered(), made))))?.kind,
      find: (await booth.seen(Promise.resolve(provider.find?.(booth.unanswered(), INTENT.marker))))?.kind,
      list: (await booth.seen(Promise.resolve(provider.list?.(booth.unanswered()))))?.kind,
      lastUsed: (await booth.seen(Promise.resolve(provider.lastUsed?.(booth.unanswered(), made))))?.kind,
    };
    for (const [method, kind] of Object.entries(kinds)) {
      expect(kind ?? "failed", method).toBe(method === "test" ? "indeterminate" : "failed");
    }
    // Where a look comes before it, nothing was asked for yet.
    const minted = await booth.seen(provider.mint(booth.unanswered(), INTENT));
    expect(["in-doubt", "postponed"]).toContain(minted.kind);
  });

  it("is called in the order that its overlap asks for", async () => {
    const fake = entry.make();
    const beginning = entry.begin(fake);
    const base = providerOf(entry.provider ?? name);
    const calls: string[] = [];
    watch(base, calls);
    const account = await openAccount(fake, beginning, base.name);
    const before = account.hook.secret ?? "";
    calls.length = 0;
    await account.scene.rotate();
    await runFor(account, "3d");
    vi.restoreAllMocks();
    const after = account.hook.secret ?? "";
    const told = calls.map((call) => call.replace(before, "old").replace(after, "new"));
    const order = told.filter((call, index) => call !== told[index - 1] && !/find|list|lastUsed/.test(call));
    const { overlap } = configuredBy(base, beginning.connection?.config ?? {});
    // Without overlap the mint ends the old value: that it is dead is seen while the new one is tested.
    const rest = {
      ours: ["test new", "revoke old", "test old"],
      provider: ["test new", "test old"],
      none: ["test old", "test new"],
    }[overlap];
    expect(order.filter((call) => !call.startsWith("disable"))).toEqual(["preflight", "mint", ...rest]);
    if (base.disable) expect(order.indexOf("disable old")).toBe(order.indexOf("revoke old") - 1);
  });
});

async function referencesOf(listing: Promise<ListResult> | undefined): Promise<string[] | undefined> {
  const listed = await listing;
  if (listed === undefined) return undefined;
  if (listed.kind === "failed") throw new Error(listed.problem);
  return listed.references;
}

describe.each(["bitscale", "log10x"])("the provider %s", (name) => {
  it("takes the old key for no new one", async () => {
    const entry = FAKES[name];
    if (!entry) throw new Error("no such fake");
    const booth = new Booth(name, entry, []);
    const secret = booth.first?.fields?.secret ?? "";
    const echo = { api_key: secret, user: { user_id: "u", username: "u", environments: [] } };
    network.use(http.post(`${new URL(booth.fake.origin).origin}/*`, () => Response.json(echo)));
    const { kind } = await booth.provider.mint(booth.context(), INTENT);
    expect(kind).toBe("in-doubt");
  });
});

/** By which name the fake calls the mint itself: the call that makes a credential. */
async function mintCall(name: string, entry: Entry): Promise<string> {
  const probe = new Booth(name, entry, []);
  const old = probe.first ?? (await probe.mint());
  const counts: number[] = [];
  probe.fake.journal.length = 0;
  const push = probe.fake.journal.push.bind(probe.fake.journal);
  probe.fake.journal.push = (...lines) => {
    counts.push(probe.fake.credentials.length);
    return push(...lines);
  };
  await probe.provider.mint(probe.context({ old }), INTENT);
  const made = counts.indexOf(probe.fake.credentials.length);
  return probe.fake.journal[made]?.split(" ")[0] ?? "none";
}

/** By which name the fake calls the revocation itself. */
async function revokeCall(name: string, entry: Entry): Promise<string> {
  const probe = new Booth(name, entry, []);
  const made = await probe.mint();
  await probe.provider.disable?.(probe.context(), made);
  return probe.callOf(() => probe.provider.revoke?.(probe.context(), made));
}

/** Has every call of a provider's methods written down, with whose value it is about. */
function watch(base: Provider, calls: string[]): void {
  const methods = ["preflight", "mint", "test", "revoke", "disable", "find", "list", "lastUsed"] as const;
  const written =
    (method: string, original: (...params: never[]) => unknown) =>
    (...params: unknown[]) => {
      const about = (params[1] as Partial<Credential> | undefined)?.fields?.secret;
      calls.push(about === undefined ? method : `${method} ${about}`);
      return original(...(params as never[]));
    };
  for (const method of methods) {
    const original = base[method];
    if (original && !base.configured) {
      vi.spyOn(base, method as "mint").mockImplementation(written(method, original.bind(base)) as never);
    }
  }
  const configured = base.configured?.bind(base);
  if (!configured) return;
  vi.spyOn(base as Required<Provider>, "configured").mockImplementation((config) => {
    const made = configured(config);
    const watched = methods.flatMap((method) => {
      const original = made[method];
      return original ? [[method, written(method, original.bind(made))]] : [];
    });
    return { ...made, ...Object.fromEntries(watched) } as Provider;
  });
}
