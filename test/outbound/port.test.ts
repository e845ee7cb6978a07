/** The one way out: bounded, never redirected, and every end is a value. */
import { env } from "cloudflare:workers";
import { delay, HttpResponse, http } from "msw";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createOutbound } from "../../src/outbound/port.ts";
import { createTransport, parseRetryAfter } from "../../src/outbound/transport.ts";
import { network } from "../support/network.ts";

const URL_OUT = "https://hooks.acme.dev/rekey";
const NOW = 1_800_000_000_000;
const now = () => NOW;
const outbound = createOutbound({ allowlist: undefined, transport: createTransport(env.KEYS), now });
const post = { method: "POST", url: URL_OUT, headers: { "x-test": "1" }, body: "hello" } as const;

afterEach(() => {
  vi.useRealTimers();
});

describe("a call to the outside", () => {
  it("sends what was asked, with a name of its own, and reports who answered what", async () => {
    let seen: unknown;
    network.use(
      http.post(URL_OUT, async ({ request }) => {
        const { headers } = request;
        seen = { body: await request.text(), test: headers.get("x-test"), agent: headers.get("user-agent") };
        return HttpResponse.text("thanks", { status: 202 });
      }),
    );
    expect(await outbound.send(post)).toEqual({
      report: { method: "POST", host: "hooks.acme.dev", status: 202, code: "ok", at: NOW },
      status: 202,
      body: "thanks",
    });
    expect(seen).toEqual({ body: "hello", test: "1", agent: "Rekey/0.1" });
  });

  it.each([400, 401, 404, 410, 429, 500, 503])(
    "reports status %i without quoting the answer",
    async (status) => {
      network.use(http.post(URL_OUT, () => HttpResponse.text("canary-in-a-body", { status })));
      const { report } = await outbound.send(post);
      expect(report).toEqual({ method: "POST", host: "hooks.acme.dev", status, code: "status", at: NOW });
    },
  );

  it("is not led elsewhere: a redirect is its answer", async () => {
    const asked: string[] = [];
    network.use(
      http.all("https://*", ({ request }) => {
        asked.push(request.url);
        return new HttpResponse(null, { status: 307, headers: { location: "https://evil.acme.dev/" } });
      }),
    );
    expect((await outbound.send(post)).report).toMatchObject({ status: 307, code: "status" });
    expect(asked).toEqual([URL_OUT]);
  });

  it("to a private place is not made at all", async () => {
    for (const [url, problem] of [
      ["https://127.0.0.1/", "ip-address"],
      ["http://hooks.acme.dev/", "not-https"],
      ["https://foo.localhost/", "private-name"],
      ["nowhere", "not-a-url"],
    ] as const) {
      const answer = await outbound.send({ ...post, url });
      expect(answer).toMatchObject({ report: { code: `refused-url:${problem}` } });
      expect(answer.status).toBeUndefined();
    }
  });

  it("to an excepted private place is made", async () => {
    network.use(http.post("http://127.0.0.1:8788/", () => new HttpResponse(null, { status: 204 })));
    const allowing = createOutbound({
      allowlist: "127.0.0.1:8788",
      transport: createTransport(env.KEYS),
      now,
    });
    expect((await allowing.send({ ...post, url: "http://127.0.0.1:8788/" })).status).toBe(204);
  });

  it("reads 64 KiB of the answer and no more, even if it never ends", async () => {
    let sent = 0;
    const endless = () =>
      new ReadableStream<Uint8Array>({
        async pull(controller) {
          await delay(0);
          controller.enqueue(new Uint8Array(10_000).fill(120));
          sent += 10_000;
        },
      });
    network.use(http.post(URL_OUT, () => new HttpResponse(endless())));
    expect((await outbound.send(post)).body).toBe("x".repeat(64 * 1024));
    await delay(50);
    expect(sent).toBeLessThan(300_000);
  });

  it("that breaks off ends as a value", async () => {
    network.use(http.post(URL_OUT, () => HttpResponse.error()));
    const { report, status } = await outbound.send(post);
    expect(report).toMatchObject({ host: "hooks.acme.dev", code: "network" });
    expect(status).toBeUndefined();
  });

  it("is given up after 15 s without an answer, and not before", async () => {
    network.use(http.post(URL_OUT, () => new Promise<never>(() => {})));
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const ended = vi.fn();
    const sending = outbound.send(post).finally(ended);
    await vi.advanceTimersByTimeAsync(14_999);
    expect(ended).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    const { report, status } = await sending;
    expect(report).toMatchObject({ code: "timeout" });
    expect(status).toBeUndefined();
  });

  it("that dies with its invocation ends as a value", async () => {
    const dead = () => Promise.reject(new Error("canary-in-an-error"));
    const transport = { send: dead, readValue: dead, writeValue: dead };
    const lost = createOutbound({ allowlist: undefined, transport, now });
    expect(await lost.send(post)).toEqual({
      report: { method: "POST", host: "hooks.acme.dev", code: "network", at: NOW },
    });
    expect(await lost.writeValue("x", "y")).toMatchObject({ code: "network" });
  });
});

describe("the namespace KEYS", () => {
  it("is read and written through the same port, which reports no value", async () => {
    const written = await outbound.writeValue("port-test", "canary-value");
    expect(written).toEqual({ method: "PUT", host: "KEYS", code: "ok", at: NOW });
    expect(await env.KEYS.get("port-test")).toBe("canary-value");
    expect(await outbound.readValue("port-test")).toEqual({
      method: "GET",
      host: "KEYS",
      code: "ok",
      at: NOW,
    });
  });

  it("that fails or never answers ends as a value", async () => {
    const fail = async () => {
      throw new Error("canary-in-an-error");
    };
    const broken = createOutbound({
      allowlist: undefined,
      transport: createTransport({ get: fail, put: fail }),
      now,
    });
    expect(await broken.writeValue("x", "y")).toEqual({
      method: "PUT",
      host: "KEYS",
      code: "network",
      at: NOW,
    });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const hang = () => new Promise<never>(() => {});
    const silent = createOutbound({
      allowlist: undefined,
      transport: createTransport({ get: hang, put: hang }),
      now,
    });
    const reading = silent.readValue("x");
    await vi.advanceTimersByTimeAsync(15_000);
    expect(await reading).toEqual({ method: "GET", host: "KEYS", code: "timeout", at: NOW });
  });
});

describe("Retry-After", () => {
  it.each([
    [null, undefined],
    ["", undefined],
    ["0", undefined],
    ["120", 120_000],
    [" 5 ", 5_000],
    ["86400", 86_400_000],
    ["999999999", 86_400_000],
    ["9".repeat(40), undefined],
    ["-5", undefined],
    ["soon", undefined],
    [new Date(NOW + 30_000).toUTCString(), 30_000],
    [new Date(NOW - 30_000).toUTCString(), undefined],
    [new Date(NOW + 10 * 86_400_000).toUTCString(), 86_400_000],
  ])("%j asks for %s ms", (header, wait) => {
    expect(parseRetryAfter(header, NOW)).toBe(wait);
  });
});
