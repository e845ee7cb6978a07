/** Alerts of repositories over HTTP: signed, without the value, which is fetched over a connection. */
import { runInDurableObject } from "cloudflare:test";
import { createHmac } from "node:crypto";
import { delay, HttpResponse, http } from "msw";
import { describe, expect, it } from "vitest";
import { request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { ring, stubOf } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { makeScene, type Scene } from "../support/scene.ts";
import { closed, reports, sendStandard, setUp } from "./support.ts";

describe("a repository's alerts", () => {
  const REPOSITORY = "acme/app";
  const alertUrl = `https://api.github.com/repos/${REPOSITORY}/secret-scanning/alerts/42`;
  const TOKEN = "github_pat_fake_token_that_reads_alerts";

  async function connect(scene: Scene): Promise<string> {
    network.use(http.get("https://api.github.com/rate_limit", () => HttpResponse.json({ resources: {} })));
    await scene.must("POST", "/v1/connections", {
      name: "github",
      provider: "github",
      credential: { token: TOKEN },
    });
    return setUp(scene, "github", { secret: "a-webhook-secret-of-ours", connection: "github" }).then(
      () => "a-webhook-secret-of-ours",
    );
  }

  function send(
    scene: Scene,
    secret: string,
    message: object,
    { event = "secret_scanning_alert", form = false } = {},
  ) {
    const json = JSON.stringify(message);
    const body = form ? new URLSearchParams({ payload: json }).toString() : json;
    const signature = createHmac("sha256", secret).update(body).digest("hex");
    return request(null, "POST", `/hooks/${scene.code}/github`, {
      rawBody: body,
      headers: {
        "x-github-event": event,
        "x-hub-signature-256": `sha256=${signature}`,
        ...(form && { "content-type": "application/x-www-form-urlencoded" }),
      },
    });
  }

  const alert = (action: string) => ({
    action,
    alert: { number: 42 },
    repository: { full_name: REPOSITORY },
  });

  function serveAlert(secret: string): { headers: Headers }[] {
    const asked: { headers: Headers }[] = [];
    network.use(
      http.get(alertUrl, ({ request: one }) => {
        asked.push(one);
        return HttpResponse.json({
          number: 42,
          secret,
          secret_type: "acme_key",
          html_url: "https://github.com/acme/app/security/42",
        });
      }),
    );
    return asked;
  }

  it.each([["created"], ["reopened"], ["publicly_leaked"]])(
    "of a leak (%s) have its value fetched, and the key that has it replaced",
    async (action) => {
      const scene = await makeScene();
      const { secret: leaked } = await scene.key({});
      const secret = await connect(scene);
      const asked = serveAlert(leaked);
      const { status, body } = await send(scene, secret, alert(action), { form: action === "reopened" });
      expect({ status, body }).toEqual({ status: 202, body: { accepted: true } });
      const report = await closed(scene);
      expect(report).toMatchObject({ source: "github-alert", leaks: 1, problem: null });
      expect(report.items).toMatchObject([
        {
          keyName: "billing",
          action: "started",
          source: "acme_key in acme/app",
          url: "https://github.com/acme/app/security/42",
        },
      ]);
      expect(asked).toHaveLength(1);
      expect(asked[0]?.headers.get("authorization")).toBe(`Bearer ${TOKEN}`);
      expect(await scene.verdict(leaked)).toBe("revoked");
    },
  );

  it("of anything else are believed and lead to nothing", async () => {
    const scene = await makeScene();
    await scene.key({});
    const secret = await connect(scene);
    expect((await send(scene, secret, alert("resolved"))).status).toBe(202);
    expect((await send(scene, secret, { zen: "Keep it logically awesome." }, { event: "ping" })).status).toBe(
      202,
    );
    expect((await send(scene, secret, { action: "created" })).status).toBe(422);
    expect(await reports(scene)).toEqual([]);
  });

  it("that cannot be read are told at once, and read when they can be", async () => {
    const scene = await makeScene();
    const { secret: leaked } = await scene.key({});
    const secret = await connect(scene);
    network.use(
      http.get(alertUrl, () => new HttpResponse(`{"message":"${leaked}"}`, { status: 403 }), { once: true }),
    );
    await send(scene, secret, alert("created"));
    const asking = await eventually(async () => {
      const [one] = await reports(scene);
      expect(one).toMatchObject({ state: "asking", problem: "api.github.com answered 403" });
      return one;
    });
    expect(asking?.lastCall).toMatchObject({ host: "api.github.com", status: 403 });
    const [event] = await scene.events("compromise.unread");
    expect(event?.data).toMatchObject({ repository: REPOSITORY, alert: 42, isTriedAgain: true });
    expect(JSON.stringify(event)).not.toContain(leaked);
    serveAlert(leaked);
    await runInDurableObject(stubOf(scene), async (_, { storage }) => {
      storage.sql.exec("UPDATE due SET at = 1 WHERE kind = 'compromise'");
      storage.sql.exec("UPDATE compromise SET dueAt = 1");
    });
    pass("1m");
    await runInDurableObject(stubOf(scene), (object: { alarm(): void }) => object.alarm());
    expect(await closed(scene)).toMatchObject({ leaks: 1, problem: null });
  });

  it("without a connection say what is missing, and are read as soon as there is one", async () => {
    const scene = await makeScene();
    const { secret: leaked } = await scene.key({});
    await setUp(scene, "github", { secret: "a-webhook-secret-of-ours" });
    await send(scene, "a-webhook-secret-of-ours", alert("created"));
    await eventually(async () => {
      const [one] = await reports(scene);
      expect(one?.problem).toContain("PUT /v1/signals/github");
    });
    serveAlert(leaked);
    await connect(scene);
    expect(await closed(scene)).toMatchObject({ leaks: 1, problem: null });
    expect(await scene.verdict(leaked)).toBe("revoked");
  });

  it("that nobody could read for long are given up, and asked for again when they come again", async () => {
    const scene = await makeScene();
    const { secret: leaked } = await scene.key({});
    const secret = await connect(scene);
    network.use(http.get(alertUrl, () => new HttpResponse("no", { status: 404 })));
    await send(scene, secret, alert("created"));
    await eventually(async () => {
      pass("1d");
      await ring(scene);
      expect(await reports(scene)).toMatchObject([{ state: "unreadable", leaks: 0 }]);
    }, 20_000);
    expect((await scene.events("compromise.unread")).at(-1)?.data).toMatchObject({ isTriedAgain: false });
    network.resetHandlers();
    serveAlert(leaked);
    await send(scene, secret, alert("created"));
    expect(await closed(scene)).toMatchObject({ leaks: 1, problem: null });
    expect(await reports(scene)).toHaveLength(1);
  });

  it("whose service hangs hold up no other report", async () => {
    const scene = await makeScene();
    const { secret: leaked } = await scene.key({});
    const secret = await connect(scene);
    const hung = new Set<string>();
    network.use(
      http.get("https://api.github.com/repos/acme/app/secret-scanning/alerts/:number", async ({ params }) => {
        hung.add(String(params.number));
        await delay("infinite");
      }),
    );
    for (let number = 1; number <= 40; number++) {
      await send(scene, secret, { ...alert("created"), alert: { number } });
    }
    await eventually(() => expect(hung.size).toBe(16));
    const standardSecret = await setUp(scene, "standard");
    await sendStandard(scene, standardSecret, { secret: leaked, source: "scan" });
    await eventually(async () => expect(await scene.verdict(leaked)).toBe("revoked"));
    expect(hung.size).toBe(16);
  });

  it("are not believed by a secret that is not the keyring's", async () => {
    const scene = await makeScene();
    await connect(scene);
    expect(await send(scene, "a-webhook-secret-of-others", alert("created"))).toMatchObject({ status: 401 });
    const other = await makeScene();
    expect(await send(other, "a-webhook-secret-of-ours", alert("created"))).toMatchObject({ status: 401 });
    expect(await reports(scene)).toEqual([]);
  });
});
