/** Standard Webhooks signatures, against the published vector and the reference library. */
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { newSigningSecret, signMessage } from "../../src/events/signing.ts";

const VECTOR = {
  secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
  timestamp: 1_614_265_330,
  body: '{"test": 2432232314}',
  signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
};

describe("a signature", () => {
  it("is the one that Standard Webhooks publishes", () => {
    expect(signMessage(VECTOR.secret, VECTOR.id, VECTOR.timestamp * 1_000, VECTOR.body)).toEqual({
      "webhook-id": VECTOR.id,
      "webhook-timestamp": String(VECTOR.timestamp),
      "webhook-signature": VECTOR.signature,
    });
  });

  it("counts whole seconds: a fraction changes nothing", () => {
    const headers = signMessage(VECTOR.secret, VECTOR.id, VECTOR.timestamp * 1_000 + 999, VECTOR.body);
    expect(headers["webhook-signature"]).toBe(VECTOR.signature);
  });

  it.each([
    ["another id", { id: "msg_other" }],
    ["another time", { timestamp: VECTOR.timestamp + 1 }],
    ["another body", { body: '{"test": 2432232315}' }],
    ["another secret", { secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx" }],
  ])("is another one for %s", (_, change) => {
    const { secret, id, timestamp, body } = { ...VECTOR, ...change };
    expect(signMessage(secret, id, timestamp * 1_000, body)["webhook-signature"]).not.toBe(VECTOR.signature);
  });
});

describe("a signing secret", () => {
  it("is whsec_ and base64 of 32 bytes, and no two are the same", () => {
    const secrets = Array.from({ length: 20 }, () => newSigningSecret(secureRandom));
    for (const secret of secrets) {
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(Buffer.from(secret.slice(6), "base64")).toHaveLength(32);
    }
    expect(new Set(secrets).size).toBe(secrets.length);
  });

  it("signs what the reference library accepts", () => {
    const secret = newSigningSecret(secureRandom);
    const headers = signMessage(secret, "dlv_1", Date.now(), "{}");
    expect(new Webhook(secret).verify("{}", headers)).toEqual({});
  });
});
