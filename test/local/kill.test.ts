/** `kill -9` at the worst moments: whatever was under way goes on after a restart, and nothing is lost or done twice. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { afterEach, expect, it } from "vitest";
import { z } from "zod";
import {
  Client,
  chainSchema,
  createdKeySchema,
  destinationSchema,
  type Key,
} from "../../src/local/client.ts";
import { freePort, killOutright, makeFolder, runtimesOf, serve, until } from "./support.ts";

const ROOT_TOKEN = "a-root-token-for-the-kill-test";
const SLOW_MS = 1_500;
const SOON_MS = 15_000;
const GRACE_SECONDS = 4;
/** Long enough to restart in, and over before the last call is repeated. */
const LONG_GRACE_SECONDS = 20;
/** A call that was cut off is repeated when its lease has run out: three times its time-out, and some seconds to work. */
const RECOVERY_MS = 75_000;

const deliverySchema = z.object({
  type: z.string(),
  data: z.object({
    keyName: z.string(),
    version: z.int(),
    revision: z.int(),
    fields: z.object({ secret: z.string() }),
  }),
});

const deliveryPageSchema = z.object({ items: z.array(z.object({ state: z.string() })) });

interface Held {
  version: number;
  revision: number;
  value: string;
}

/** A consumer that takes its time: it answers, and holds the value, a while after it got it. */
class SlowReceiver {
  readonly held = new Map<string, Held>();
  /** `name version` of each message that came, answered or not. */
  readonly arrived = new Set<string>();
  #webhook: Webhook | undefined;
  readonly #server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
    );
    const body = this.#webhook?.verify(Buffer.concat(chunks).toString("utf8"), headers);
    const delivery = deliverySchema.safeParse(body);
    if (delivery.success) {
      const { keyName, version, revision, fields } = delivery.data.data;
      this.arrived.add(`${keyName} ${version}`);
      await new Promise((resolve) => setTimeout(resolve, version === 1 ? 0 : SLOW_MS));
      if ((this.held.get(keyName)?.revision ?? 0) < revision) {
        this.held.set(keyName, { version, revision, value: fields.secret });
      }
    }
    response.writeHead(204).end();
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  trust(signingSecret: string): void {
    this.#webhook = new Webhook(signingSecret);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const receiver = new SlowReceiver();
afterEach(() => receiver.close());

it("kill -9 in the middle of rotations loses nothing", { timeout: 180_000 }, async () => {
  const folder = makeFolder();
  const host = await receiver.listen();
  const env = { REKEY_DATA: folder, PORT: String(await freePort()), ROOT_TOKEN, PRIVATE_ALLOWLIST: host };
  let program = await serve(env);
  const client = new Client(program.origin, ROOT_TOKEN);
  const restart = async (alsoTheRuntime: boolean) => {
    const runtimes = runtimesOf(folder);
    killOutright(program.pid);
    if (alsoTheRuntime) for (const pid of runtimes) killOutright(pid);
    await program.ended;
    program = await serve(env);
    expect(runtimesOf(folder)).toHaveLength(1);
    expect(runtimesOf(folder)).not.toEqual(runtimes);
  };

  const { signingSecret = "" } = await client.call(destinationSchema, "POST", "/v1/destinations", {
    name: "hook",
    type: "webhook",
    config: { url: `http://${host}/`, secretMode: "plain" },
  });
  receiver.trust(signingSecret);
  const first = new Map<string, string>();
  const names = ["intent", "in-flight", "orphaned", "in-grace", "after-grace"];
  for (const name of names) {
    const made = await client.call(createdKeySchema, "POST", "/v1/keys", {
      name,
      provider: "issuer",
      destinations: [{ id: "hook" }],
    });
    first.set(name, made.secret ?? "");
  }
  // Recorded, not only received: a delivery that was cut off holds back the next one to the same place.
  await until(
    async () => {
      const { items } = await client.call(deliveryPageSchema, "GET", "/v1/deliveries");
      return items.filter(({ state }) => state === "delivered").length === names.length || undefined;
    },
    SOON_MS,
    () => "not all keys were delivered",
  );

  // From here on what the consumer holds must open its door whenever Rekey answers at all.
  const refused: string[] = [];
  let watching = true;
  const watch = (async () => {
    while (watching) {
      for (const [name, { value, version }] of receiver.held) {
        const verdict = await client.verify(value).catch(() => undefined);
        if (verdict && verdict.code !== "valid") refused.push(`${name} version ${version}: ${verdict.code}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();

  const rotate = (name: string, graceSeconds = GRACE_SECONDS) =>
    client.call(z.unknown(), "POST", `/v1/keys/${name}/rotate`, { grace: `${graceSeconds}s` });
  const arrival = (name: string) =>
    until(
      () => receiver.arrived.has(`${name} 2`) || undefined,
      SOON_MS,
      () => `${name} did not arrive`,
    );
  const promoted = async (name: string) => {
    let seen: unknown;
    await until(
      async () => {
        seen = await client.rotationsOf(name);
        return (await client.key(name)).currentVersion === 2 || undefined;
      },
      SOON_MS,
      () => `${name} was not promoted: ${JSON.stringify(seen)}`,
    );
  };

  // 1. The runtime and its keeper at once, as when the power goes: while the request to rotate is on its way.
  rotate("intent").catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await restart(true);
  // 2. The same while the receiver has the message and has not answered.
  await rotate("in-flight");
  await arrival("in-flight");
  await restart(true);
  // 3. Only the keeper; the orphaned runtime gets the answer, if it lives that long.
  await rotate("orphaned");
  await arrival("orphaned");
  await restart(false);
  // 4. During the grace: both values still work afterwards.
  await rotate("in-grace", LONG_GRACE_SECONDS);
  await promoted("in-grace");
  await restart(true);
  expect((await client.verify(first.get("in-grace") ?? "")).code).toBe("valid");
  expect((await client.verify(receiver.held.get("in-grace")?.value ?? "")).code).toBe("valid");
  // 5. Dead while the grace ends: the alarm that was due meanwhile rings at the restart.
  await rotate("after-grace");
  await promoted("after-grace");
  killOutright(program.pid);
  for (const pid of runtimesOf(folder)) killOutright(pid);
  await new Promise((resolve) => setTimeout(resolve, GRACE_SECONDS * 1_000));
  await restart(true);
  expect((await client.verify(first.get("after-grace") ?? "")).code).toBe("grace-ended");

  // The request of the first kill may never have got through; then it is made again, as its caller would.
  if ((await client.rotationsOf("intent")).length === 0) await rotate("intent");
  let keys: Key[] = [];
  await until(
    async () => {
      keys = await Promise.all(names.map((name) => client.key(name)));
      return keys.every(isSettled) || undefined;
    },
    RECOVERY_MS,
    () => `not settled: ${JSON.stringify(keys.filter((key) => !isSettled(key)))}`,
  );
  watching = false;
  await watch;

  for (const { name, currentVersion, versions } of keys) {
    expect([name, currentVersion], name).toEqual([name, 2]);
    expect(
      versions.map(({ number, stage, confirmed }) => ({ number, stage, confirmed })),
      name,
    ).toEqual(
      expect.arrayContaining([
        { number: 1, stage: "revoked", confirmed: true },
        { number: 2, stage: "current", confirmed: false },
      ]),
    );
    expect(versions, name).toHaveLength(2);
    const held = receiver.held.get(name);
    expect(held?.version, name).toBe(2);
    expect(await client.verify(held?.value ?? ""), name).toMatchObject({ code: "valid", version: 2 });
    expect((await client.verify(first.get(name) ?? "")).code, name).toBe("grace-ended");
    const rotations = await client.rotationsOf(name);
    expect(
      rotations.map(({ state, live }) => ({ state, live })),
      name,
    ).toEqual([{ state: "succeeded", live: false }]);
  }
  expect(refused).toEqual([]);
  expect(await client.call(chainSchema, "GET", "/v1/events/verify")).toMatchObject({ ok: true });
});

/** Nothing is under way any more. */
function isSettled({ rotation, versions }: Key): boolean {
  return rotation === null && versions.every(({ stage }) => stage === "current" || stage === "revoked");
}
