/** What docs/subscriptions.md shows is what happens: its receiver is run, its messages are compared. */
import { http } from "msw";
import { afterEach, expect, it, vi } from "vitest";
import page from "../../docs/subscriptions.md?raw";
import { messageOf, requestOf } from "../../src/events/message.ts";
import type { SubscriptionFormat } from "../../src/store/subscriptions.ts";
import { makeKey, settle } from "../api/fixtures.ts";
import { makeKeyring } from "../support/api.ts";
import { keyRow } from "../support/database.ts";
import { network } from "../support/network.ts";
import { receive } from "./receiver.ts";

const sources = import.meta.glob<string>("./receiver.ts", { query: "?raw", import: "default", eager: true });

afterEach(() => {
  vi.restoreAllMocks();
});

/** Code blocks of the page in one language, in order. */
function blocks(language: string): string[] {
  const pattern = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g");
  return [...page.matchAll(pattern)].map(([, text = ""]) => text);
}

it("the receiver on the page verifies what it is sent, takes each event once and refuses what nobody signed", async () => {
  expect(blocks("ts")).toEqual([sources["./receiver.ts"]]);
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const ring = await makeKeyring();
  const url = "https://ops.acme.dev/rekey";
  let secret = "";
  network.use(
    http.post(url, async ({ request }) => {
      const { headers } = request;
      return receive(new Request(url, { method: "POST", headers, body: await request.text() }), secret);
    }),
  );
  const made = await ring.call<{ signingSecret: string }>("POST", "/v1/subscriptions", {
    body: { name: "ops", url, types: ["key.*"] },
  });
  secret = made.body.signingSecret;
  await makeKey(ring, "billing");
  await settle(ring);
  const replayed = await ring.call("POST", "/v1/subscriptions/ops/replay", { body: { since: 1 } });
  expect(replayed.status).toBe(202);
  await settle(ring);
  expect(log.mock.calls).toEqual([[expect.any(Number), "key.created", "billing"]]);
  expect((await ring.call("GET", "/v1/subscriptions/ops")).body).toMatchObject({ state: "ready", behind: 0 });
  const forged = new Request(url, { method: "POST", body: "{}", headers: { "webhook-id": "evt_1" } });
  expect((await receive(forged, secret)).status).toBe(401);
});

it("the messages on the page are what is sent", () => {
  const [rotated = "", slack = "", discord = ""] = blocks("json");
  const shown = JSON.parse(rotated);
  const { keyId, keyName, labels, revision, seq, ...data } = shown.data;
  const event = {
    ...{ id: "evt_1", actor: "root", hash: new Uint8Array(), type: shown.type, keyId, seq, revision },
    at: Date.parse(shown.timestamp),
    data: JSON.stringify(data),
  };
  const key = keyRow({ id: keyId, name: keyName, labels });
  expect(sent(messageOf(event, key), "standard")).toEqual(shown);
  const changed = { from: "healthy", to: "degraded", reasons: "1 delivery was given up" };
  const health = messageOf(
    { ...event, type: "health.changed", keyId: null, data: JSON.stringify(changed) },
    undefined,
  );
  expect(sent(health, "slack")).toEqual(JSON.parse(slack));
  expect(sent(health, "discord")).toEqual(JSON.parse(discord));
});

function sent(message: ReturnType<typeof messageOf>, format: SubscriptionFormat): unknown {
  const recipient = { format, url: "https://ops.acme.dev/", secrets: [], keyring: "default" };
  return JSON.parse(requestOf(message, recipient, 0).body ?? "");
}
