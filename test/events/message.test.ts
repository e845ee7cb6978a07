/** What subscribers are sent, in each format. */
import { describe, expect, it } from "vitest";
import { type Message, messageOf, requestOf } from "../../src/events/message.ts";
import type { SubscriptionFormat } from "../../src/store/subscriptions.ts";
import { keyRow } from "../support/database.ts";

const row = {
  seq: 7,
  id: "evt_1",
  type: "key.rotation.failed",
  at: 0,
  actor: "rekey",
  keyId: "key_1",
  data: '{"rotationId":"rot_1","problem":"<!channel> & @everyone"}',
  hash: new Uint8Array(),
  revision: 3,
};
const key = keyRow({ name: "billing", labels: { team: "a" }, revision: 9 });
const message = messageOf(row, key);

function bodyOf(sent: Message, format: SubscriptionFormat): Record<string, unknown> {
  const recipient = { format, url: "https://chat.acme.dev/secret", secrets: [], keyring: "default" };
  return JSON.parse(requestOf(sent, recipient, 0).body ?? "");
}

describe("a message", () => {
  it("carries the event's data, its key as it is called now, and the revision of then", () => {
    expect(message).toEqual({
      id: "evt_1",
      type: "key.rotation.failed",
      at: 0,
      data: {
        rotationId: "rot_1",
        problem: "<!channel> & @everyone",
        keyId: "key_1",
        keyName: "billing",
        labels: { team: "a" },
        revision: 3,
        seq: 7,
      },
    });
  });

  it("takes the revision that the event itself names, and today's where an old event has none", () => {
    expect(messageOf({ ...row, data: '{"revision":2}' }, key).data.revision).toBe(2);
    expect(messageOf({ ...row, revision: null }, key).data.revision).toBe(9);
  });

  it("without a key has its number only", () => {
    expect(messageOf({ ...row, data: "{}", keyId: null }, undefined).data).toEqual({ seq: 7 });
  });
});

describe("the payload", () => {
  it("for Slack is a text in which nothing mentions anybody", () => {
    expect(bodyOf(message, "slack")).toEqual({
      text: "[default] key.rotation.failed · billing\nrotationId: rot_1\nproblem: &lt;!channel&gt; &amp; @everyone",
    });
  });

  it("for Discord is a content that mentions nobody and fits", () => {
    expect(bodyOf(message, "discord")).toEqual({
      content: "[default] key.rotation.failed · billing\nrotationId: rot_1\nproblem: <!channel> & @everyone",
      allowed_mentions: { parse: [] },
    });
    const long = { ...message, data: { problem: "x".repeat(3_000) } };
    expect(String(bodyOf(long, "discord").content)).toHaveLength(2_000);
  });

  it("of a ping says to people what it is for", () => {
    const ping = { id: "dlv_1", type: "ping", at: 0, data: { subscriptionId: "sub_1" } };
    const text = "Rekey: events of the keyring default will be posted here.";
    expect(bodyOf(ping, "slack")).toEqual({ text });
    expect(bodyOf(ping, "discord")).toMatchObject({ content: text });
    expect(bodyOf(ping, "standard")).toEqual({
      type: "ping",
      timestamp: "1970-01-01T00:00:00.000Z",
      data: { subscriptionId: "sub_1" },
    });
  });

  it("for a chat is not signed: its address is the credential", () => {
    const recipient = {
      format: "slack" as const,
      url: "https://chat.acme.dev/x",
      secrets: [],
      keyring: "default",
    };
    expect(requestOf(message, recipient, 0).headers).toEqual({ "content-type": "application/json" });
  });
});
