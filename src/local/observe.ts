/** What the demo's story looks at: the rotation through the API, the receiver through what its process tells. */
import { createHash, randomBytes } from "node:crypto";
import { Webhook } from "standardwebhooks";
import type { Checks } from "./checks.ts";
import type { Client, Key, Rotation } from "./client.ts";
import type { Receiver } from "./receiver-process.ts";
import type { Notice } from "./receiver-protocol.ts";
import type { Screen } from "./screen.ts";
import type { LocalWorker } from "./worker.ts";

export const LEGACY = "legacy-partner";
/** Whatever is waited for comes within this time, on a machine that is busy. */
export const SOON_MS = 10_000;
const ANSWER_WITHIN_MS = 5_000;

export interface Stage {
  /** The key that is rotated. */
  keyName: string;
  screen: Screen;
  checks: Checks;
  client: Client;
  worker: LocalWorker;
  receiver: Receiver;
  receiverUrl: string;
}

/** Waits for something to be seen of the key or of its rotation. */
export function watch<T>(
  { checks, client, keyName }: Stage,
  expected: string,
  look: (key: Key, rotation: Rotation) => T | undefined,
): Promise<T> {
  return checks.until(`the rotation of ${keyName}`, expected, SOON_MS, async () => {
    const [key, [rotation]] = await Promise.all([client.key(keyName), client.rotationsOf(keyName)]);
    const seen = `${rotation?.state} at ${rotation?.step}${rotation?.problem ? `, ${rotation.problem}` : ""}`;
    return { found: rotation && look(key, rotation), seen };
  });
}

/** Waits until the receiver tells something of a kind, and of a version where that is named. */
export function hear<Kind extends Notice["kind"]>(
  { checks, receiver }: Stage,
  kind: Kind,
  version?: number,
): Promise<Extract<Notice, { kind: Kind }>> {
  const isIt = (notice: Notice): notice is Extract<Notice, { kind: Kind }> =>
    notice.kind === kind && (version === undefined || ("version" in notice && notice.version === version));
  const expected = version === undefined ? kind : `version ${version} ${kind}`;
  return checks.until("the receiver", expected, SOON_MS, async () => ({
    found: receiver.notices.find(isIt),
    seen: receiver.notices.at(-1)?.kind ?? "nothing",
  }));
}

/** Waits until the namespace that consumers read holds the value that is meant; returns it. */
export function readKv(
  { checks, worker, keyName }: Stage,
  expected: string,
  isIt: (value: string) => boolean,
): Promise<string> {
  return checks.until("Workers KV", expected, SOON_MS, async () => {
    const value = await worker.readKey(keyName);
    return {
      found: value !== null && isIt(value) ? value : undefined,
      seen: value === null ? "nothing" : "another value",
    };
  });
}

/** What a stranger would send. Returns the status that it gets, or why there was none. */
export async function sendForged(url: string): Promise<number | string> {
  const body = JSON.stringify({ type: "ping" });
  const now = new Date();
  const sent = fetch(url, {
    method: "POST",
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    headers: {
      "content-type": "application/json",
      "webhook-id": "msg_forged",
      "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
      "webhook-signature": new Webhook(randomBytes(24).toString("base64")).sign("msg_forged", now, body),
    },
    body,
  });
  return sent.then(
    ({ status }) => status,
    (error: unknown) => `no answer (${error instanceof Error ? error.message : error})`,
  );
}

/** Hex SHA-256, as the receiver tells it. */
export function digestOf(value: string): string {
  return createHash("sha256").update(value).digest("hex");
}

/** A value as it may be shown: what it begins with by name, if that is short, and its last four characters. */
export function shorten(value: string): string {
  const [prefix = ""] = /^[A-Za-z]{1,10}_(?:[A-Za-z]{1,10}_)?/.exec(value) ?? [];
  return `${prefix}…${value.slice(-4)}`;
}
