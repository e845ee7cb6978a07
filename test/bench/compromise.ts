/**
 * From a signal to the old value seen refused, while a batch of ten thousand rotations runs: leaked values of the built-in issuer, and of a
 * service that answers at once, after 50 and after 250 ms.
 */
import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Webhook } from "standardwebhooks";
import { z } from "zod";
import { createdKeySchema } from "../../src/local/client.ts";
import { type Findings, quantile } from "./figure.ts";
import type { Stage, World } from "./stage.ts";

const SERVICE = fileURLToPath(new URL("service-process.ts", import.meta.url));
const SIGNALS = 1_000;
const SIGNALS_A_SECOND = 2;
const BATCH = 10_000;
const LATE_MS = [0, 50, 250] as const;
/** What the service allows the account of the batch: five calls a key make twenty rotations a second, so that it outlasts the signals. */
const ALLOWED = { calls: 6_000, per: "1m" };
const CALLS_A_ROTATION = 5;
const MADE_AT_ONCE = 10;
const OVER_WITHIN_MS = 60_000;

const leakSchema = z.object({
  receivedAt: z.number(),
  revokedAt: z.number().nullable(),
  connection: z.string().nullable(),
});
const batchSchema = z.object({
  id: z.string(),
  state: z.string(),
  total: z.int(),
  started: z.int(),
  succeeded: z.int(),
  failed: z.int(),
});
const noticeSchema = z.object({ port: z.int().optional(), calls: z.record(z.string(), z.int()).optional() });

interface Leakable {
  secret?: string | undefined;
}

export async function benchCompromise(stage: Stage): Promise<Findings> {
  const service = fork(SERVICE, { env: { PATH: process.env.PATH } });
  try {
    const { port = 0 } = await heard(service);
    return await measure(await stage.open(`127.0.0.1:${port}`), service, `http://127.0.0.1:${port}`);
  } finally {
    service.kill("SIGKILL");
  }
}

async function measure(world: World, service: ChildProcess, origin: string): Promise<Findings> {
  await world.makeDestinations();
  for (const late of LATE_MS) await connect(world, `service-${late}`, `${origin}/${late}`);
  await connect(world, "busy", `${origin}/busy`, ALLOWED);
  const leakable = await makeLeakable(world);
  await makeBatched(world);
  await world.quiet();
  const send = await signaller(world);
  const before = await callsOf(service);
  const batch = await world.client.call(batchSchema, "POST", "/v1/rotations", {
    select: { connection: "busy" },
    reason: "a benchmark",
  });
  const begun = performance.now();
  for (const [nth, { secret }] of leakable.entries()) {
    await sleep(Math.max(0, begun + (nth * 1_000) / SIGNALS_A_SECOND - performance.now()));
    await send(secret ?? "");
  }
  const during = await world.client.call(batchSchema, "GET", `/v1/batches/${batch.id}`);
  const leaks = await allOver(world);
  const after = await callsOf(service);
  for (const late of LATE_MS) {
    const calls = ((after[late] ?? 0) - (before[late] ?? 0)) / leaks.filter((one) => isOf(one, late)).length;
    if (calls !== CALLS_A_ROTATION) throw new Error(`a leak took ${calls} calls, not ${CALLS_A_ROTATION}`);
  }
  if (during.state !== "running")
    throw new Error(`the batch was ${during.state} before the signals were over`);
  return {
    figures: [null, ...LATE_MS].flatMap((late) => {
      const own = (late ?? 0) * CALLS_A_ROTATION;
      const times = leaks
        .filter((one) => isOf(one, late))
        .map(({ receivedAt, revokedAt }) => (revokedAt ?? Infinity) - receivedAt - own);
      const whose = late === null ? "issued keys" : `a service of ${late} ms a call`;
      return (
        [
          [0.5, 2_000],
          [0.99, 10_000],
        ] as const
      ).map(([share, atMost]) => ({
        name: `signal to seen refused, ${whose}, beyond its own time, p${share * 100} of ${times.length}`,
        value: quantile(times, share),
        unit: "ms",
        target: { of: "value" as const, atMost },
      }));
    }),
    tables: [
      {
        title: `The batch beside it: ${BATCH} rotations at a service that allows ${ALLOWED.calls} calls a minute`,
        columns: ["", ""],
        rows: [
          ["signals", `${leaks.length}, ${SIGNALS_A_SECOND} a second`],
          ["rotations started by the batch when the last signal was sent", String(during.started)],
          ["of those ended well", String(during.succeeded)],
          ["failed", String(during.failed)],
        ],
      },
    ],
  };
}

function isOf({ connection }: z.infer<typeof leakSchema>, late: number | null): boolean {
  return connection === (late === null ? null : `service-${late}`);
}

async function connect(world: World, name: string, at: string, rateLimit?: object): Promise<void> {
  const bearer = (of: string) => ({ authorization: `Bearer ${of}` });
  const config = {
    overlap: { kind: "ours" },
    ...(rateLimit && { rateLimit }),
    preflight: { method: "GET", url: `${at}/account`, headers: bearer("{{credential.token}}") },
    mint: {
      method: "POST",
      url: `${at}/keys`,
      headers: bearer("{{credential.token}}"),
      json: { name: "{{marker}}" },
      answer: { fields: { secret: "/secret" }, reference: "/id" },
    },
    test: { method: "GET", url: `${at}/whoami`, headers: bearer("{{value.secret}}") },
    revoke: { method: "DELETE", url: `${at}/keys/{{reference}}`, headers: bearer("{{credential.token}}") },
  };
  const body = { name, provider: "http", credential: { token: "a-token-of-a-benchmark" }, config };
  await world.client.call(z.object({ id: z.string() }), "POST", "/v1/connections", body);
}

/** Keys that will leak: a quarter issued here, the others known at the service already. */
async function makeLeakable(world: World): Promise<Leakable[]> {
  const kinds = [null, ...LATE_MS];
  const made: Leakable[] = [];
  await inTurns(SIGNALS, async (nth) => {
    const late = kinds[nth % kinds.length] ?? null;
    made[nth] =
      late === null
        ? await issue(world, `leaks-${nth}`)
        : await adopt(world, `leaks-${nth}`, `service-${late}`);
  });
  return made;
}

async function makeBatched(world: World): Promise<void> {
  await inTurns(BATCH, async (nth) => {
    await adopt(world, `batched-${nth}`, "busy");
  });
}

const POLICY = { grace: "0", cooldown: "0" };

async function issue({ client }: World, name: string): Promise<Leakable> {
  const body = { name, provider: "issuer", policy: POLICY, destinations: [{ id: "kv" }] };
  return client.call(createdKeySchema, "POST", "/v1/keys", body);
}

async function adopt({ client }: World, name: string, connection: string): Promise<Leakable> {
  const secret = `service-secret-${name}`;
  const body = {
    name,
    provider: "http",
    connection,
    policy: POLICY,
    fields: { secret },
    reference: name,
    destinations: [{ id: "kv" }],
  };
  await client.call(z.object({ id: z.string() }), "POST", "/v1/keys", body);
  return { secret };
}

async function inTurns(count: number, make: (nth: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await make(next++);
  };
  await Promise.all(Array.from({ length: MADE_AT_ONCE }, work));
}

/** Sends signed reports as a scanner of one's own would. */
async function signaller({ client, directUrl }: World): Promise<(secret: string) => Promise<void>> {
  const { items } = await client.call(
    z.object({ items: z.array(z.object({ name: z.string(), code: z.string() })) }),
    "GET",
    "/v1/keyrings",
  );
  const code = items.find(({ name }) => name === "default")?.code ?? "";
  const { secret: signing } = await client.call(
    z.object({ secret: z.string() }),
    "PUT",
    "/v1/signals/standard",
    {},
  );
  const webhook = new Webhook(signing);
  let count = 0;
  return async (secret) => {
    const now = new Date();
    const id = `msg_${count++}`;
    const body = JSON.stringify({
      type: "secret.leaked",
      timestamp: now.toISOString(),
      data: { secret, source: "a benchmark" },
    });
    const answer = await fetch(`${directUrl.origin}/hooks/${code}/standard`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
        "webhook-signature": webhook.sign(id, now, body),
      },
      body,
    });
    if (answer.status !== 202)
      throw new Error(`a signal was answered ${answer.status}: ${await answer.text()}`);
    await answer.body?.cancel();
  };
}

/** Every leak, once all are seen dead, or those that are not stay without a time. */
async function allOver(world: World): Promise<z.infer<typeof leakSchema>[]> {
  const until = Date.now() + OVER_WITHIN_MS;
  for (;;) {
    const leaks = await world.ask(z.array(leakSchema), "leaks", {});
    const isOver = leaks.length === SIGNALS && leaks.every(({ revokedAt }) => revokedAt !== null);
    if (isOver || Date.now() > until) return leaks;
    await sleep(200);
  }
}

async function callsOf(service: ChildProcess): Promise<Record<string, number>> {
  const told = heard(service);
  service.send({});
  return (await told).calls ?? {};
}

function heard(service: ChildProcess): Promise<z.infer<typeof noticeSchema>> {
  return new Promise((resolve, reject) => {
    service.once("exit", () => reject(new Error("the service's process ended")));
    service.once("message", (message) => resolve(noticeSchema.parse(message)));
  });
}
