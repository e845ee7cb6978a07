/** Other sources of leak reports over HTTP, and the secrets that sign what they send. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createHmac } from "node:crypto";
import { HttpResponse, http } from "msw";
import { describe, expect, it } from "vitest";
import type { CompromiseView } from "../../src/keyring/compromise-view.ts";
import { request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { stubOf } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { makeScene, type Scene } from "../support/scene.ts";
import { closed, reports, sendStandard, setUp, standardHeaders } from "./support.ts";

describe("GitGuardian", () => {
  function send(scene: Scene, secret: string, message: unknown) {
    const body = JSON.stringify(message);
    const timestamp = String(Math.floor(Date.now() / 1_000));
    const signature = createHmac("sha256", timestamp + secret)
      .update(body)
      .digest("hex");
    return request(null, "POST", `/hooks/${scene.code}/gitguardian`, {
      rawBody: body,
      headers: { timestamp, "gitguardian-signature": `sha256=${signature}` },
    });
  }

  it("reports a value wherever in its message it stands", async () => {
    const scene = await makeScene();
    const { secret: leaked } = await scene.key({});
    const secret = await setUp(scene, "gitguardian");
    const message = {
      action: "incident_triggered",
      incident: {
        gitguardian_url: "https://dashboard.gitguardian.com/incidents/7",
        occurrences: [{ matches: [{ name: "apikey", match: leaked }] }],
      },
    };
    expect(await send(scene, secret, message)).toMatchObject({ status: 202, body: { accepted: true } });
    const report = await closed(scene);
    expect(report).toMatchObject({ source: "gitguardian", leaks: 1 });
    expect(report.items).toMatchObject([
      { source: "GitGuardian", url: "https://dashboard.gitguardian.com/incidents/7", action: "started" },
    ]);
    expect(await scene.verdict(leaked)).toBe("revoked");
    expect(await send(scene, "another-signature-token", message)).toMatchObject({ status: 401 });
    expect(await send(scene, secret, [1, 2])).toMatchObject({ status: 202 });
    expect(await send(scene, secret, "text")).toMatchObject({ status: 422 });
  });
});

describe("anything that signs by Standard Webhooks", () => {
  it("reports a value, a fingerprint or a key by name", async () => {
    const scene = await makeScene();
    const secret = await setUp(scene, "standard");
    expect(secret).toMatch(/^whsec_/);
    const { secret: leaked } = await scene.key({});
    await scene.key({ name: "legacy", fields: { secret: "an-old-value-of-ours" } });
    await scene.key({ name: "named" });
    const fingerprint = (await scene.read("legacy")).versions[0]?.fingerprint;
    for (const data of [{ secret: leaked }, { fingerprint }, { key: "named" }]) {
      const answer = await sendStandard(scene, secret, {
        ...data,
        source: "our own scanner",
        url: "https://scans.acme.dev/1",
      });
      expect(answer).toMatchObject({ status: 202, body: { accepted: true } });
      const report = await closed(scene);
      expect(report.items).toMatchObject([{ action: "started", source: "our own scanner" }]);
      pass("1s");
    }
    expect(await scene.stages("named")).toEqual(["revoked", "current"]);
  });

  it("says nothing of leaks with another type, and is invalid without one thing that leaked", async () => {
    const scene = await makeScene();
    const secret = await setUp(scene, "standard");
    expect((await sendStandard(scene, secret, {}, "user.created")).status).toBe(202);
    for (const data of [
      {},
      { source: "s" },
      { secret: "12345678", key: "k", source: "s" },
      { secret: "short", source: "s" },
    ]) {
      expect(await sendStandard(scene, secret, data), JSON.stringify(data)).toMatchObject({ status: 422 });
    }
    expect(await reports(scene)).toEqual([]);
  });

  it("names a key again and again, and has it rotated once", async () => {
    const scene = await makeScene();
    await scene.key({ policy: { cooldown: "1h" } });
    const secret = await setUp(scene, "standard");
    for (let times = 0; times < 5; times++) {
      expect((await sendStandard(scene, secret, { key: "billing", source: `scan ${times}` })).status).toBe(
        202,
      );
      await closedOrHeld(scene, times + 1);
      pass("1s");
    }
    expect(await scene.rotations()).toHaveLength(1);
    const actions = await Promise.all(
      (await reports(scene)).map(
        async ({ id }) => (await scene.must<CompromiseView>("GET", `/v1/compromises/${id}`)).items[0]?.action,
      ),
    );
    expect(actions).toEqual(["held-back", "held-back", "held-back", "held-back", "started"]);
    // The new value itself is proof.
    const { secret: fresh } = await scene.must<{ secret: string }>("POST", "/v1/keys", {
      name: "other",
      provider: "issuer",
    });
    await sendStandard(scene, secret, { secret: fresh, source: "scan" });
    await closed(scene);
    expect(await scene.verdict(fresh)).toBe("revoked");
  });

  it("the same signed report by name is acted on once, though the new value is not delivered yet", async () => {
    const scene = await makeScene();
    const receiver = await scene.webhook("shop");
    await scene.key({ destinations: ["shop"], policy: { cooldown: "1h" } });
    receiver.refuseDeliveries();
    const secret = await setUp(scene, "standard");
    const data = { key: "billing", source: "scan" };
    const body = JSON.stringify({ type: "secret.leaked", timestamp: new Date().toISOString(), data });
    const send = () =>
      request(null, "POST", `/hooks/${scene.code}/standard`, {
        rawBody: body,
        headers: standardHeaders(secret, body),
      });
    expect((await send()).status).toBe(202);
    await eventually(async () => expect((await scene.stages())[1]).toBe("current"));
    for (let times = 0; times < 3; times++) {
      expect((await send()).status).toBe(202);
      // Another report by name, or by the number of what is current now, rests as well.
      for (const named of [{ key: "billing" }, { key: "billing", version: 2 }]) {
        await sendStandard(scene, secret, { ...named, source: `scan ${times}` });
      }
    }
    await eventually(async () => {
      const all = await reports(scene);
      expect(all).toHaveLength(7);
      expect(all.filter(({ state }) => state === "acting")).toEqual([]);
    });
    expect(await scene.rotations()).toHaveLength(1);
  });

  it("rests after a rotation that a leak made urgent, as after one that it began", async () => {
    const scene = await makeScene();
    const receiver = await scene.webhook("shop");
    await scene.key({ destinations: ["shop"], policy: { cooldown: "1h" } });
    receiver.refuseDeliveries();
    // A rotation by hand that is under way when the leak is reported.
    await scene.must("POST", "/v1/keys/billing/rotate");
    const secret = await setUp(scene, "standard");
    await sendStandard(scene, secret, { key: "billing", version: 1, source: "scan" });
    await closedOrHeld(scene, 1);
    pass("11m");
    // The key's own cooldown counts where it is longer than ten minutes.
    await sendStandard(scene, secret, { key: "billing", source: "scan" });
    await closedOrHeld(scene, 2);
    expect(await scene.rotations()).toHaveLength(1);
    pass("50m");
    await sendStandard(scene, secret, { key: "billing", source: "scan" });
    await closedOrHeld(scene, 3);
    expect(await scene.rotations()).toHaveLength(2);
  });

  async function closedOrHeld(scene: Scene, count: number): Promise<void> {
    await eventually(async () => {
      const all = await reports(scene);
      expect(all).toHaveLength(count);
      const { items } = await scene.must<CompromiseView>("GET", `/v1/compromises/${all[0]?.id}`);
      expect(items[0]?.action === "held-back" || items[0]?.stage === "revoked").toBe(true);
    }, 10_000);
  }
});

describe("the secret of a source", () => {
  it("overlaps with the one before it for a day, and is nobody's once the source is off", async () => {
    const scene = await makeScene();
    const old = await setUp(scene, "standard");
    const fresh = await setUp(scene, "standard");
    expect(fresh).not.toBe(old);
    const [shown] = (
      await scene.must<{ items: { oldSecretUntil: string; hint: string }[] }>("GET", "/v1/signals")
    ).items;
    expect(shown?.hint).toBe(fresh.slice(-4));
    expect(Date.parse(shown?.oldSecretUntil ?? "") - Date.now()).toBeGreaterThan(23 * 3_600_000);
    const data = { secret: "nobody-has-this-value", source: "s" };
    expect((await sendStandard(scene, old, data)).status).toBe(202);
    expect((await sendStandard(scene, fresh, data)).status).toBe(202);
    pass("25h");
    expect((await sendStandard(scene, old, data)).status).toBe(401);
    expect((await sendStandard(scene, fresh, data)).status).toBe(202);
    expect((await scene.keyring.call("DELETE", "/v1/signals/standard")).status).toBe(204);
    // At once, whatever an isolate still knows; and so is a new one.
    expect((await sendStandard(scene, fresh, data)).status).toBe(401);
    expect((await scene.must<{ items: unknown[] }>("GET", "/v1/signals")).items).toEqual([]);
    const again = await setUp(scene, "standard");
    expect((await sendStandard(scene, again, data)).status).toBe(202);
  });

  it("that another instance of the Worker does not know yet is asked for", async () => {
    const scene = await makeScene();
    const old = await setUp(scene, "standard");
    const data = { secret: "nobody-has-this-value", source: "s" };
    expect((await sendStandard(scene, old, data)).status).toBe(202);
    // As if it was changed by way of another instance.
    const changed = await runInDurableObject(stubOf(scene), (object) =>
      object.setSignal({ credential: { kind: "root" }, route: "test" }, "standard", {}),
    );
    if (!changed.ok || changed.value.secret === undefined) throw new Error("no secret was made");
    pass("3s");
    expect((await sendStandard(scene, changed.value.secret, data)).status).toBe(202);
  });

  it("that is given is not told again; one that fits no source is refused", async () => {
    const scene = await makeScene();
    const given = await scene.keyring.call("PUT", "/v1/signals/gitguardian", {
      body: { secret: "signature-token-of-a-test" },
    });
    expect(given.body).toMatchObject({
      source: "gitguardian",
      url: `https://rekey.test/hooks/${scene.code}/gitguardian`,
      hint: "test",
    });
    expect(given.body).not.toHaveProperty("secret");
    for (const [source, body] of [
      ["standard", { secret: "signature-token-of-a-test" }],
      ["gitguardian", { secret: "short" }],
      ["gitguardian", { connection: "github" }],
      ["github", { connection: "nobody" }],
    ] as const) {
      expect(await scene.keyring.call("PUT", `/v1/signals/${source}`, { body })).toMatchObject({
        status: 422,
      });
    }
    expect((await scene.keyring.call("PUT", "/v1/signals/carrier-pigeon", { body: {} })).status).toBe(422);
  });

  it("stays when only the connection changes, which is then in use", async () => {
    const scene = await makeScene();
    network.use(http.get("https://api.github.com/rate_limit", () => HttpResponse.json({ resources: {} })));
    const credential = { token: "github_pat_fake_token_that_reads_alerts" };
    await scene.must("POST", "/v1/connections", { name: "github", provider: "github", credential });
    await setUp(scene, "github", { secret: "a-webhook-secret-of-ours" });
    const changed = await scene.keyring.call("PUT", "/v1/signals/github", { body: { connection: "github" } });
    expect(changed.body).toMatchObject({
      hint: "ours",
      connection: expect.stringMatching(/^con_/),
      oldSecretUntil: null,
    });
    const removed = await scene.keyring.call("DELETE", "/v1/connections/github");
    expect(removed).toMatchObject({ status: 409, body: { code: "in-use", usedBy: ["github"] } });
    await scene.must("PUT", "/v1/signals/github", { connection: null });
    expect((await scene.keyring.call("DELETE", "/v1/connections/github")).status).toBe(204);
  });

  it("is found in KV and rows only sealed", async () => {
    const scene = await makeScene();
    const secret = await setUp(scene, "standard");
    const rows = await runInDurableObject(stubOf(scene), (_, { storage }) =>
      storage.sql.exec("SELECT * FROM signal").toArray(),
    );
    expect(Buffer.from(rows[0]?.sealed as ArrayBuffer).toString("latin1")).not.toContain(secret.slice(6, 30));
    expect((await env.REKEY_KV.list()).keys.map(({ name }) => name).join()).not.toContain(secret.slice(6));
  });
});
