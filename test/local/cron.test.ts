import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Client, createdKeySchema, destinationSchema } from "../../src/local/client.ts";
import { startCron } from "../../src/local/cron.ts";
import { makeFolder, serve, signalGroup, until } from "./support.ts";

const ROOT_TOKEN = "a-root-token-for-the-cron-test";
const DAY_MS = 86_400_000;

function unexpected(error: unknown): void {
  expect.fail(`told of ${error}`);
}

describe("the timer in place of cron", () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.parse("2026-11-21T10:00:20.500Z") });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("rings at the start and then on each full minute", async () => {
    const rung: string[] = [];
    const cron = startCron(async (at) => void rung.push(at.toISOString()), unexpected);
    await vi.advanceTimersByTimeAsync(120_000);
    cron.stop();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(rung).toEqual([
      "2026-11-21T10:00:20.500Z",
      "2026-11-21T10:01:00.000Z",
      "2026-11-21T10:02:00.000Z",
    ]);
  });

  it("goes on after a failure, and tells of it", async () => {
    const errors: unknown[] = [];
    const fire = vi.fn().mockRejectedValueOnce("no runtime").mockResolvedValue(undefined);
    const cron = startCron(fire, (error) => errors.push(error));
    await vi.advanceTimersByTimeAsync(60_000);
    cron.stop();
    expect(errors).toEqual(["no runtime"]);
    expect(fire).toHaveBeenCalledTimes(2);
  });

  it("leaves out a minute while one is still running", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const fire = vi.fn().mockReturnValueOnce(promise).mockResolvedValue(undefined);
    const cron = startCron(fire, unexpected);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fire).toHaveBeenCalledTimes(1);
    resolve();
    await vi.advanceTimersByTimeAsync(60_000);
    cron.stop();
    expect(fire).toHaveBeenCalledTimes(2);
  });

  it("is silent about what fails because it was stopped", async () => {
    const { promise, reject } = Promise.withResolvers<void>();
    const cron = startCron(() => promise, unexpected);
    cron.stop();
    reject(new Error("the runtime is gone"));
    await vi.advanceTimersByTimeAsync(60_000);
  });
});

it("npm start rotates what came due while it was stopped", async () => {
  const folder = makeFolder();
  const first = await serve({ REKEY_DATA: folder, ROOT_TOKEN });
  const before = new Client(first.origin, ROOT_TOKEN);
  await before.call(destinationSchema, "POST", "/v1/destinations", { name: "kv", type: "kv" });
  await before.call(createdKeySchema, "POST", "/v1/keys", {
    name: "sleeper",
    provider: "issuer",
    policy: { maxAge: "30d" },
    destinations: [{ id: "kv" }],
    fields: { secret: "a-value-from-elsewhere" },
    // Due a moment from now, when nobody is there.
    issuedAt: new Date(Date.now() - 30 * DAY_MS + 1_000).toISOString(),
  });
  // A delivery that is cut off keeps its place until its lease ends, as it may still land: the next one would wait for that.
  await first.printed(/"event":"delivery.succeeded"/);
  signalGroup(first, "SIGINT");
  expect(await first.ended).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 1_000));

  const second = await serve({ REKEY_DATA: folder, ROOT_TOKEN });
  const after = new Client(second.origin, ROOT_TOKEN);
  await until(
    async () => (await after.key("sleeper")).currentVersion === 2 || undefined,
    15_000,
    () => `cron's rotation did not end: ${second.output()}`,
  );
  const [rotation] = await after.rotationsOf("sleeper");
  expect(rotation).toMatchObject({ trigger: "schedule", requestedBy: "cron", state: "succeeded" });
});
