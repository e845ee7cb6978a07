/** What tools answer: words for what does not fit, calls that may come next, bugs. */
import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { Keyring } from "../../src/keyring/keyring.ts";
import { refuse, textOf } from "../../src/mcp/envelope.ts";
import { err, ok } from "../../src/result.ts";
import { CONFIRMED, happened, makeMcpScene } from "./caller.ts";

describe("answers", () => {
  it("name every argument that does not fit, with an example that does", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { error, actions, text } = await caller.tool("rotate_api_key", {
      gracePeriodHours: -1,
      reveal: "yes",
      more: 1,
    });
    expect(error?.code).toBe("invalid");
    const paths = z
      .array(z.object({ path: z.string() }))
      .parse(error?.errors)
      .map(({ path }) => path);
    expect(paths.sort()).toEqual(["gracePeriodHours", "more", "reveal"]);
    expect(actions).toMatchObject([{ tool: "rotate_api_key", args: { key: "billing-api" } }]);
    for (const path of paths) expect(text).toContain(path);
  });

  it("propose only calls that the caller can make", async () => {
    const scene = await makeMcpScene();
    await scene.key({ name: "one", provider: "issuer" });
    const caller = await scene.caller({ scopes: ["keys:revoke"] });
    const { actions } = await caller.done("revoke_api_key", {
      key: "one",
      reason: "a try",
      confirm: "revoke-now",
    });
    expect(actions).toEqual([]);
  });

  it("say of a bug by which name it is found, and nothing else", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const answer = ok({ reasons: "inner words" }) as never;
    const broken = vi.spyOn(Keyring.prototype, "getStatus").mockResolvedValue(answer);
    const { error, whole } = await caller.tool("get_status");
    broken.mockRestore();
    expect(error?.code).toBe("internal");
    const [line] = log.mock.calls.flat();
    log.mockRestore();
    expect(error?.detail).toBe(
      `instance ${z.object({ instance: z.uuid() }).parse(JSON.parse(String(line))).instance}`,
    );
    expect(whole).not.toContain("inner words");
    expect(String(line)).not.toContain("inner words");
  });

  it("name arguments as agents know them when the keyring refuses their value", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    await scene.key({ name: "one", provider: "issuer", policy: { maxGrace: "48h" } });
    const { error } = await caller.tool("rotate_api_key", {
      key: "one",
      gracePeriodHours: 100,
      ...CONFIRMED,
    });
    expect(error).toMatchObject({ code: "invalid", errors: [{ path: "gracePeriodHours" }] });
    await caller.done("rotate_api_key", { key: "one", ...CONFIRMED });
    const extend = await caller.tool("extend_grace_period", { key: "one", version: 1, hours: 100 });
    expect(extend.text).not.toMatch(/^grace: /m);
    const back = { key: "one", graceMinutes: 60 * 24 * 3, reason: "x" };
    expect((await caller.tool("rollback_key", back)).text).not.toMatch(/^grace: /m);
  });

  it("do not say that a value is dead while its service has yet to end it", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const config = { runbook: { text: "Ask for a new one." } };
    const fields = { secret: "a-value-from-outside" };
    await scene.key({ name: "one", provider: "manual", config, fields, reference: "first" });
    const next = { fields: { secret: "another-value-from-outside" }, reference: "second" };
    await scene.ring.call("PUT", "/v1/keys/one/value", { body: next });
    await vi.waitFor(async () =>
      expect((await caller.done("get_api_key", { key: "one" })).data).toMatchObject({
        key: { currentVersion: 2, versions: [{ number: 1, stage: "previous" }, {}] },
      }),
    );
    const finished = await caller.done("finish_grace_period", { key: "one", version: 1 });
    expect(finished.summary.headline).toBe('Version 1 of "one" is being ended.');
    expect(finished.warnings.join(" ")).toContain("Version 1 is refused here; its service has not confirmed");
    const revoked = await caller.done("revoke_api_key", { key: "one", reason: "x", confirm: "revoke-now" });
    expect(revoked.summary.headline).toBe('"one" is being ended.');
    expect(revoked.warnings).toHaveLength(2);
  });

  it("have in their text whatever a failure names, and say when to try again", () => {
    const now = new Date("2026-12-01T09:00:00Z");
    const failure = {
      scopes: ["keys:write"],
      role: "agent",
      holder: "key_1",
      usedBy: ["key_2", "key_3"],
      retryAfterSeconds: 30,
    };
    const refused = refuse("get_status", { code: "rate-limited", ...failure }, [], now);
    expect(refused.error).toMatchObject({ retryAt: "2026-12-01T09:00:30.000Z" });
    expect(refused.error).not.toHaveProperty("retryAfterSeconds");
    for (const line of ["scopes: keys:write", "role: agent", "held by: key_1", "used by: key_2, key_3"])
      expect(textOf(refused).split("\n")).toContain(line);
    expect(textOf(refused)).toContain("Not before 2026-12-01T09:00:30.000Z.");
  });

  it("carry the time at which they were ready", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const slow = vi.spyOn(Keyring.prototype, "getStatus").mockImplementation(async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return err({ code: "rate-limited", retryAfterSeconds: 1 });
    });
    const begun = Date.now();
    const { generatedAt } = await caller.tool("get_status");
    slow.mockRestore();
    expect(Date.parse(generatedAt)).toBeGreaterThanOrEqual(begun + 45);
  });
});

describe("report_compromised_key", () => {
  it("replaces and ends the value at once", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { secret = "" } = await scene.key({
      name: "one",
      provider: "issuer",
      policy: { onCompromise: "revoke-first" },
    });
    const { data } = await caller.done("report_compromised_key", {
      secret,
      source: "a gist",
      confirm: "report-compromise",
    });
    expect(data).toMatchObject({ leaks: [{ keyName: "one", version: 1 }] });
    expect((await caller.done("verify_api_key", { secret })).data).toMatchObject({ code: "revoked" });
    expect(await happened(scene, "key.compromised")).toHaveLength(1);
    expect(
      await caller.refusal("report_compromised_key", { source: "x", confirm: "report-compromise" }),
    ).toBe("invalid");
    expect(
      await caller.refusal("report_compromised_key", {
        secret,
        key: "one",
        source: "x",
        confirm: "report-compromise",
      }),
    ).toBe("invalid");
  });
});
