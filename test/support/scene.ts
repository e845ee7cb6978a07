/** A keyring with destinations and keys in it, and one journal of every call that it makes to the outside. */
import { createScheduledController, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, type MockInstance, vi } from "vitest";
import worker from "../../src/index.ts";
import type {
  DeliveryView,
  DestinationView,
  EventView,
  KeyView,
  RotationView,
} from "../../src/keyring/views.ts";
import type { Policy } from "../../src/store/keys.ts";
import { makeKeyring, type TestKeyring } from "./api.ts";
import { eventually } from "./eventually.ts";
import { quiet } from "./inside.ts";
import { Receiver } from "./receiver.ts";
import { noteCron } from "./registry.ts";

export interface KeyInput {
  name?: string;
  provider?: string;
  prefix?: string;
  scopes?: string[];
  labels?: Record<string, string>;
  policy?: Policy;
  destinations?: (string | { id: string; required?: boolean; mustAcknowledge?: boolean; as?: string })[];
  expiresAt?: string;
  fields?: Record<string, string>;
}

export interface Hook extends Receiver {
  signingSecret: string;
  /** For `secretMode: "claim"`. */
  claimToken: string;
}

let errors: MockInstance;

beforeEach(() => {
  errors = vi.spyOn(console, "error");
});

afterEach(async () => {
  // A step that threw is a bug that the engine would try again and again, and no test might see it.
  expect(errors.mock.calls).toEqual([]);
  vi.restoreAllMocks();
  // The registry and KV are shared between the tests of a file: nothing of one test may come due in the next.
  await reset();
});

const CRON_MS = 5 * 60_000;

const putInKv = env.KEYS.put.bind(env.KEYS);

/** Runs the Worker's cron trigger, as the platform would at this time, after all those before it. */
export async function cron(scheduledTime = Date.now()): Promise<void> {
  await noteCron(scheduledTime - CRON_MS);
  await cronAgain(scheduledTime);
}

/** The same, when cron may have stayed away. */
export async function cronAgain(scheduledTime = Date.now()): Promise<void> {
  await worker.scheduled(createScheduledController({ scheduledTime, cron: "*/5 * * * *" }), env);
}

/** A fresh keyring and its journal. */
export async function makeScene(): Promise<Scene> {
  return new Scene(await makeKeyring());
}

export class Scene {
  readonly keyring: TestKeyring;
  readonly name: string;
  readonly code: string;
  /** Every call to the outside, in order. */
  readonly journal: string[] = [];
  /** While true, Workers KV refuses every write. */
  kvIsDown = false;

  constructor(keyring: TestKeyring) {
    this.keyring = keyring;
    this.name = keyring.name;
    this.code = keyring.code;
    vi.spyOn(env.KEYS, "put").mockImplementation(async (name, value) => {
      this.journal.push(`KEYS: put ${name.replace(`${this.name}/`, "")}`);
      if (this.kvIsDown) throw new Error("KV PUT failed: 503");
      await putInKv(name, value as string);
    });
  }

  /** Sends a request that has to succeed and returns its body. */
  async must<Body>(method: string, path: string, body?: unknown): Promise<Body> {
    const answer = await this.keyring.call<Body>(method, path, body === undefined ? {} : { body });
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Makes a webhook destination and the receiver behind it. */
  async webhook(
    name: string,
    config: { secretMode?: "plain" | "claim" | "none"; propagation?: string } = {},
  ): Promise<Hook> {
    const receiver = new Receiver(name, this.journal);
    const made = await this.must<{ signingSecret: string; claimToken?: string }>("POST", "/v1/destinations", {
      name,
      type: "webhook",
      config: { url: receiver.url, secretMode: "plain", ...config },
    });
    const { signingSecret, claimToken = "" } = made;
    return Object.assign(receiver, { signingSecret, claimToken });
  }

  async kv(name: string, config: { propagation?: string } = {}): Promise<void> {
    await this.must("POST", "/v1/destinations", { name, type: "kv", config });
  }

  /** The value that a consumer reads from the namespace. */
  inKv(name: string): Promise<string | null> {
    return env.KEYS.get(`${this.name}/${name}`);
  }

  /** Makes a key and waits until its first version was delivered, or failed to be. Clears the journal. */
  async key(input: KeyInput): Promise<{ id: string; secret: string }> {
    const made = await this.startKey(input);
    await quiet(this);
    this.journal.length = 0;
    return made;
  }

  startKey({ destinations = [], ...input }: KeyInput): Promise<{ id: string; secret: string }> {
    return this.must("POST", "/v1/keys", {
      name: "billing",
      provider: "issuer",
      ...input,
      destinations: destinations.map((link) => (typeof link === "string" ? { id: link } : link)),
    });
  }

  async rotate(key = "billing", body: Record<string, unknown> = {}): Promise<RotationView> {
    return (await this.must<{ rotation: RotationView }>("POST", `/v1/keys/${key}/rotate`, body)).rotation;
  }

  read(key = "billing"): Promise<KeyView> {
    return this.must("GET", `/v1/keys/${key}`);
  }

  /** Stage of each version, in order: `["previous", "current"]`. */
  async stages(key = "billing"): Promise<string[]> {
    return (await this.read(key)).versions.map((version) => version.stage);
  }

  rotation(id: string): Promise<RotationView> {
    return this.must("GET", `/v1/rotations/${id}`);
  }

  /** Rotations of a key, newest first. */
  async rotations(key = "billing"): Promise<RotationView[]> {
    return (await this.must<{ items: RotationView[] }>("GET", `/v1/rotations?key=${key}`)).items;
  }

  async deliveries(key = "billing"): Promise<DeliveryView[]> {
    return (await this.must<{ items: DeliveryView[] }>("GET", `/v1/deliveries?key=${key}`)).items;
  }

  destination(name: string): Promise<DestinationView> {
    return this.must("GET", `/v1/destinations/${name}`);
  }

  /** What verification says of a secret. */
  async verdict(secret: string): Promise<string> {
    return (await this.must<{ code: string }>("POST", "/v1/verify", { key: secret })).code;
  }

  /** Events oldest first, without those that say that root was used. */
  async events(type?: string): Promise<EventView[]> {
    const query = type === undefined ? "" : `&type=${type}`;
    const { items } = await this.must<{ items: EventView[] }>("GET", `/v1/events?limit=100${query}`);
    return items.filter((event) => event.type !== "root.used").reverse();
  }

  /** Waits until a rotation stands as it should. */
  reaches(id: string, expected: Partial<RotationView>): Promise<RotationView> {
    return eventually(async () => {
      const row = await this.rotation(id);
      for (const [name, value] of Object.entries(expected)) {
        const found = row[name as keyof RotationView];
        if (found !== value) throw new Error(`${name} is ${String(found)}, not ${String(value)}`);
      }
      return row;
    });
  }
}
