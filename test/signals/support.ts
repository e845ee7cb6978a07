import { Webhook } from "standardwebhooks";
import { expect } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { formatToken, newPublicId } from "../../src/issuer/token.ts";
import type { CompromiseSummaryView, CompromiseView } from "../../src/keyring/compromise-view.ts";
import { request } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import type { Scene } from "../support/scene.ts";

/** Reports of leaks, newest first. */
export const reports = async (scene: Scene) =>
  (await scene.must<{ items: CompromiseSummaryView[] }>("GET", "/v1/compromises")).items;

/** The newest report, once all that it named is seen dead. */
export function closed(scene: Scene): Promise<CompromiseView> {
  return eventually(async () => {
    const [newest] = await reports(scene);
    const body = await scene.must<CompromiseView>("GET", `/v1/compromises/${newest?.id}`);
    expect(body.state).toBe("closed");
    return body;
  }, 10_000);
}

/** Sets a source up. Returns the secret that was made for it, if one was. */
export async function setUp(scene: Scene, source: string, body: object = {}): Promise<string> {
  const made = await scene.keyring.call<{ secret: string }>("PUT", `/v1/signals/${source}`, { body });
  expect(made.status).toBe(200);
  return made.body.secret;
}

/** A token in our format with the right checksum that nobody issued. */
export const strangersToken = (code: string) =>
  formatToken("rekey", code, newPublicId(secureRandom), secureRandom);

/** What a message by Standard Webhooks carries. */
export function standardHeaders(secret: string, body: string, at = Date.now()) {
  const id = `msg_${crypto.randomUUID()}`;
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at / 1_000)),
    "webhook-signature": new Webhook(secret).sign(id, new Date(at), body),
  };
}

/** Sends a report as a scanner of one's own does. */
export function sendStandard(scene: Scene, secret: string, data: object, type = "secret.leaked") {
  const body = JSON.stringify({ type, timestamp: new Date().toISOString(), data });
  return request(null, "POST", `/hooks/${scene.code}/standard`, {
    rawBody: body,
    headers: standardHeaders(secret, body),
  });
}
