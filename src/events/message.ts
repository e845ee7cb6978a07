/** What a subscriber is sent of an event, in the form that it chose. */
import type { OutboundRequest } from "../outbound/transport.ts";
import type { EventRow } from "../store/events.ts";
import type { KeyRow } from "../store/keys.ts";
import type { SubscriptionFormat } from "../store/subscriptions.ts";
import { signByAll } from "./signing.ts";

/** Something to say. */
export interface Message {
  /** The same for every attempt, to deduplicate on. */
  id: string;
  type: string;
  /** When it happened, milliseconds since the epoch. */
  at: number;
  data: Record<string, unknown>;
}

/** Where it goes. */
export interface Recipient {
  format: SubscriptionFormat;
  url: string;
  /** `whsec_…`, the newest first; none for formats that are not signed. */
  secrets: readonly string[];
  /** Name of the keyring. */
  keyring: string;
}

/**
 * The message of an event.
 * @param key the event's key as it is now
 */
export function messageOf(event: EventRow, key: KeyRow | undefined): Message {
  const data = JSON.parse(event.data) as Record<string, unknown>;
  const ofKey = key && {
    keyId: key.id,
    keyName: key.name,
    labels: key.labels,
    revision: data.revision ?? event.revision ?? key.revision,
  };
  return { id: event.id, type: event.type, at: event.at, data: { ...data, ...ofKey, seq: event.seq } };
}

/**
 * The request that brings a message to its recipient.
 * @param now time of this attempt, milliseconds since the epoch
 */
export function requestOf(message: Message, recipient: Recipient, now: number): OutboundRequest {
  const body = JSON.stringify(payloadOf(message, recipient));
  const headers = {
    "content-type": "application/json",
    ...signByAll(recipient.secrets, message.id, now, body),
  };
  return { method: "POST", url: recipient.url, headers, body };
}

function payloadOf({ type, at, data }: Message, { format, keyring }: Recipient): unknown {
  const text = () => sentenceOf(type, data, keyring);
  switch (format) {
    case "standard":
      return { type, timestamp: new Date(at).toISOString(), data };
    case "slack":
      // https://docs.slack.dev/messaging/formatting-message-text: what is not escaped could mention a whole channel.
      return { text: text().replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;") };
    case "discord":
      // https://discord.com/developers/docs/resources/webhook#execute-webhook
      return { content: text().slice(0, MAX_DISCORD_LENGTH), allowed_mentions: { parse: [] } };
  }
}

const MAX_DISCORD_LENGTH = 2_000;

/** Shown by itself, or of no use to people. */
const LEFT_OUT = ["keyId", "keyName", "labels", "revision", "seq"];

function sentenceOf(type: string, data: Record<string, unknown>, keyring: string): string {
  if (type === "ping") return `Rekey: events of the keyring ${keyring} will be posted here.`;
  const key = typeof data.keyName === "string" ? ` · ${data.keyName}` : "";
  const details = Object.entries(data)
    .filter(([name, value]) => !LEFT_OUT.includes(name) && value !== null)
    .map(([name, value]) => `${name}: ${String(value)}`);
  return [`[${keyring}] ${type}${key}`, ...details].join("\n");
}
