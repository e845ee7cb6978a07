/** Subscriptions of a scene, and the receivers behind them. */
import type { SubscriptionView } from "../../src/keyring/subscription-view.ts";
import { type Message, Receiver } from "./receiver.ts";
import type { Scene } from "./scene.ts";

export interface Subscriber extends Receiver {
  id: string;
  signingSecret: string;
}

/** Subscribes a receiver of its own to events of keys, or of other types. */
export async function subscribe(
  scene: Scene,
  name = "ops",
  input: { types?: string[]; labels?: Record<string, string> } = {},
): Promise<Subscriber> {
  const receiver = new Receiver(name, scene.journal);
  const body = { name, url: receiver.url, types: ["key.*"], ...input };
  const made = await scene.must<{ id: string; signingSecret: string }>("POST", "/v1/subscriptions", body);
  return Object.assign(receiver, { id: made.id, signingSecret: made.signingSecret });
}

export function readSubscription(scene: Scene, name = "ops"): Promise<SubscriptionView> {
  return scene.must("GET", `/v1/subscriptions/${name}`);
}

/** What a message says of an event. */
export function dataOf({ data }: Message): Record<string, unknown> {
  return data as Record<string, unknown>;
}

/** Numbers of the events that it was sent, each attempt counted. */
export function seqsOf(receiver: Receiver): number[] {
  return receiver.deliveries.map((message) => Number(dataOf(message).seq));
}

/** Numbers of the events in the history, of some types. */
export async function seqsInHistory(scene: Scene, prefix = "key."): Promise<number[]> {
  return (await scene.events()).filter(({ type }) => type.startsWith(prefix)).map(({ seq }) => seq);
}
