/** What becomes of a report of leaks that was taken in: through a crash, on hold after an import, and until it is old enough to go. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { HttpResponse, http } from "msw";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { CompromiseView } from "../../src/keyring/compromise-view.ts";
import type { Report } from "../../src/rotation/leak-reports.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { inside, quiet, ring, startAlarm, stubOf } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { inRegistry } from "../support/registry.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";
import { exportFile, importFile, PASSPHRASE, wipe } from "../support/transfer.ts";
import { reports } from "./support.ts";

const SOURCE = "a public repository";

/** Takes a signal in, and lets nothing happen after that: whatever was to come in a moment does not. */
function acceptAndDie(scene: Scene, report: Omit<Report, "reporter">): Promise<{ alarmAt: number | null }> {
  return runInDurableObject(stubOf(scene), async (object, { storage }) => {
    const later = vi.spyOn(globalThis, "setTimeout").mockImplementation((() => 0) as never);
    try {
      object.acceptSignal(report);
    } finally {
      later.mockRestore();
    }
    return { alarmAt: await storage.getAlarm() };
  });
}

beforeEach(async () => {
  await cron();
});

describe("a report whose process ends right after the answer", () => {
  it("is acted on when the alarm rings, which was set with it", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const items = [{ leaked: { secret }, source: SOURCE }];
    const { alarmAt } = await acceptAndDie(scene, { source: "standard", body: "signed", items });
    expect(alarmAt).toBeLessThanOrEqual(Date.now());
    expect(await scene.rotations()).toEqual([]);
    await abortAllDurableObjects();
    await ring(scene);
    expect(await scene.verdict(secret)).toBe("revoked");
    expect(await reports(scene)).toMatchObject([{ state: "closed", leaks: 1 }]);
  });

  it("is acted on once for each of many leaks, whichever commit was the last", async () => {
    const scene = await makeScene();
    const made = [];
    for (let nth = 0; nth < 60; nth++) made.push(await scene.startKey({ name: `key-${nth}` }));
    await quiet(scene);
    const items = made.map(({ secret }) => ({ leaked: { secret }, source: SOURCE }));
    await acceptAndDie(scene, { source: "standard", body: "signed", items });
    for (let deaths = 0; deaths < 3; deaths++) {
      await startAlarm(scene);
      await abortAllDurableObjects();
      // What a worker held when it died is taken up when its lease is over.
      pass("1m");
    }
    await eventually(async () => {
      await ring(scene);
      expect(await reports(scene)).toMatchObject([{ state: "closed", leaks: 60, open: 0 }]);
    }, 20_000);
    for (const { id } of made) {
      expect(await scene.rotations(id)).toHaveLength(1);
      expect(await scene.stages(id)).toEqual(["revoked", "current"]);
    }
    const { items: told } = await scene.must<{ items: { data: object }[] }>(
      "GET",
      "/v1/events?type=key.compromised&limit=100",
    );
    expect(told).toHaveLength(60);
  });
});

describe("a keyring that is behind its anchor", () => {
  it("believes no signal until root accepts it: whoever sent it comes again", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    await inRegistry((_, { storage }) =>
      storage.sql.exec("UPDATE keyring SET anchorSeq = 1000, anchorHash = x'00' WHERE code = ?", scene.code),
    );
    await abortAllDurableObjects();
    const items = [{ leaked: { secret }, source: SOURCE }];
    const answer = await runInDurableObject(stubOf(scene), (object) =>
      object.acceptSignal({ source: "standard", body: "signed", items }),
    );
    expect(answer).toMatchObject({ ok: false, error: { code: "chain-broken" } });
    const count = await inside(scene, (_, { storage }) =>
      storage.sql.exec("SELECT count(*) AS count FROM compromise").one(),
    );
    expect(count).toEqual({ count: 0 });
  });
});

describe("a report in a file", () => {
  it("is on hold until the keyring is released, and then acted on", async () => {
    const scene = await makeScene();
    network.use(
      http.get("https://api.github.com/rate_limit", () => HttpResponse.json({ resources: {} })),
      http.get("https://api.github.com/repos/acme/app/secret-scanning/alerts/1", () => HttpResponse.error()),
    );
    const { secret } = await scene.key({});
    const credential = { token: "github_pat_fake_token_that_reads_alerts" };
    await scene.must("POST", "/v1/connections", { name: "github", provider: "github", credential });
    await scene.must("PUT", "/v1/signals/github", { connection: "github" });
    const alert = { connectionId: null, repository: "acme/app", number: 1 };
    await runInDurableObject(stubOf(scene), (object) => {
      object.acceptSignal({ source: "github-alert", body: "signed", items: [], alert });
    });
    await eventually(async () => expect(await reports(scene)).toMatchObject([{ state: "asking" }]));
    await quiet(scene);
    const file = await exportFile(scene.name, { passphrase: PASSPHRASE });
    await wipe(scene);
    const asked: string[] = [];
    network.use(
      http.get("https://api.github.com/repos/acme/app/secret-scanning/alerts/1", ({ request }) => {
        asked.push(request.url);
        return HttpResponse.json({ secret, secret_type: "acme_key", html_url: "https://github.com/acme" });
      }),
    );
    const imported = await importFile(scene.name, { passphrase: PASSPHRASE }, file);
    expect(imported.status).toBe(201);
    pass("1h");
    await startAlarm(scene);
    await quiet(scene);
    expect(asked).toEqual([]);
    await scene.must("POST", `/v1/keyrings/${scene.name}/release`);
    await ring(scene);
    expect(asked).toHaveLength(1);
    expect(await reports(scene)).toMatchObject([{ state: "closed", leaks: 1 }]);
    expect(await scene.verdict(secret)).toBe("revoked");
  });
});

describe("the retention of reports", () => {
  it("lets those go after 30 days that named nothing, others with the events of their time", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const report = (value: string) =>
      scene.must<CompromiseView>("POST", "/v1/compromises", { secret: value, source: SOURCE });
    const none = await report("nobody-has-this-value");
    pass("1s");
    const some = await report(secret);
    await quiet(scene);
    const ids = async () => (await reports(scene)).map(({ id }) => id);
    pass("29d");
    await sweep(scene);
    expect(await ids()).toEqual([some.id, none.id]);
    pass("2d");
    await sweep(scene);
    expect(await ids()).toEqual([some.id]);
    pass("400d");
    await sweep(scene);
    expect(await ids()).toEqual([]);
    const left = await inside(scene, (_, { storage }) => storage.sql.exec("SELECT * FROM leak").toArray());
    expect(left).toEqual([]);
  });

  /** Cron comes, and what it began to prune is pruned. */
  async function sweep(scene: Scene): Promise<void> {
    await cron();
    await ring(scene);
    await quiet(scene);
  }
});
