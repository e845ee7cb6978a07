/** Signatures of leak reports: what is published of each as a vector, and what nearly fits. */
import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { gitguardian } from "../../src/signals/gitguardian.ts";
import { githubAlert } from "../../src/signals/github-alert.ts";
import { isSignedByKey } from "../../src/signals/github-partner.ts";
import { standard } from "../../src/signals/standard.ts";
import { derOf, makeSigner, partsOf, pemOf } from "../support/ecdsa.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

describe("GitHub's partner programme", () => {
  const PEM = pemOf(
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUqkCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==",
  );
  const BODY = '[{"token":"some_token","type":"some_type","url":"some_url"}]';
  const SIGNATURE =
    "MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2sY8FNkrKc=";

  it("is believed by the vector that it publishes", () => {
    expect(isSignedByKey(PEM, SIGNATURE, bytes(BODY))).toBe(true);
  });

  it.each([
    ["a newline more", `${BODY}\n`],
    ["a space more", ` ${BODY}`],
    ["a byte less", BODY.slice(0, -1)],
    ["another token", BODY.replace("some_token", "some_tokem")],
    ["nothing at all", ""],
  ])("is not believed with %s", (_, body) => {
    expect(isSignedByKey(PEM, SIGNATURE, bytes(body))).toBe(false);
  });

  it.each([
    ["no signature", ""],
    ["no base64", "not base64!"],
    ["base64 of something else", Buffer.from("something else").toString("base64")],
    ["r and s beside each other, as WebCrypto has them", Buffer.from(rawOf(SIGNATURE)).toString("base64")],
    [
      "a byte after it",
      Buffer.concat([Buffer.from(SIGNATURE, "base64"), Buffer.from([0])]).toString("base64"),
    ],
    ["its last byte missing", Buffer.from(SIGNATURE, "base64").subarray(0, -1).toString("base64")],
    ["r and s swapped", derOf(...partsOf(SIGNATURE).toReversed())],
    ["r of nothing", derOf(Buffer.from([0]), partsOf(SIGNATURE)[1] ?? Buffer.alloc(0))],
  ])("is not believed by %s", (_, signature) => {
    expect(isSignedByKey(PEM, signature, bytes(BODY))).toBe(false);
  });

  it("takes integers of every length that DER gives them: 31, 32 and 33 bytes", async () => {
    const signer = await makeSigner("P-256");
    const lengths = new Set<string>();
    for (let count = 0; count < 20_000 && !hasAll(lengths); count++) {
      const body = bytes(`body ${count}`);
      const signature = await signer.sign(body);
      const [r = Buffer.alloc(0), s = Buffer.alloc(0)] = partsOf(signature);
      if (lengths.has(`r ${r.length}`) && lengths.has(`s ${s.length}`)) continue;
      lengths.add(`r ${r.length}`).add(`s ${s.length}`);
      expect(isSignedByKey(signer.pem, signature, body), `r ${r.length}, s ${s.length}`).toBe(true);
      expect(isSignedByKey(PEM, signature, body)).toBe(false);
      expect(isSignedByKey(signer.pem, signature, bytes(`body ${count + 1}`))).toBe(false);
    }
    expect(hasAll(lengths)).toBe(true);
  });

  it("does not believe a key of another curve, or what is no key", async () => {
    const other = await makeSigner("P-384");
    expect(isSignedByKey(other.pem, await other.sign(bytes(BODY)), bytes(BODY))).toBe(false);
    expect(isSignedByKey("", SIGNATURE, bytes(BODY))).toBe(false);
    expect(
      isSignedByKey("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", SIGNATURE, bytes(BODY)),
    ).toBe(false);
    // A point that is not on the curve.
    const bent = Buffer.from(PEM.replace(/-----[A-Z ]+-----|\s/g, ""), "base64");
    bent[90] = (bent[90] ?? 0) ^ 1;
    expect(isSignedByKey(pemOf(bent.toString("base64")), SIGNATURE, bytes(BODY))).toBe(false);
  });
});

describe("a repository's webhook", () => {
  const SECRET = "It's a Secret to Everybody";
  const SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
  const verify = (signature: string | undefined, body = "Hello, World!", secrets = [SECRET]) =>
    githubAlert.verify(
      { headers: headersOf({ "x-hub-signature-256": signature }), body: bytes(body), now: Date.now() },
      secrets,
    );

  it("is believed by the vector that GitHub publishes, in capitals, too, and while its secret changes", () => {
    expect(verify(SIGNATURE)).toBe(true);
    expect(verify(`sha256=${SIGNATURE.slice(7).toUpperCase()}`)).toBe(true);
    expect(verify(SIGNATURE, "Hello, World!", ["a newer secret", SECRET])).toBe(true);
  });

  it.each([
    ["another body", SIGNATURE, "Hello, World", [SECRET]],
    ["a newline more", SIGNATURE, "Hello, World!\n", [SECRET]],
    ["another secret", SIGNATURE, "Hello, World!", ["It's a Secret to everybody"]],
    ["no secret at all", SIGNATURE, "Hello, World!", []],
    ["another digit", `${SIGNATURE.slice(0, -1)}8`, "Hello, World!", [SECRET]],
    ["a digit less", SIGNATURE.slice(0, -1), "Hello, World!", [SECRET]],
    ["another algorithm", SIGNATURE.replace("sha256", "sha1"), "Hello, World!", [SECRET]],
    ["no algorithm", SIGNATURE.slice(7), "Hello, World!", [SECRET]],
    ["no signature", undefined, "Hello, World!", [SECRET]],
    ["an empty one", "sha256=", "Hello, World!", [SECRET]],
  ])("is not believed with %s", (_, signature, body, secrets) => {
    expect(verify(signature, body, secrets)).toBe(false);
  });
});

describe("GitGuardian", () => {
  const SECRET = "signature-token-of-a-test";
  const NOW = Date.parse("2026-05-01T12:00:00Z");
  const BODY = '{"action":"incident_triggered"}';
  const signed = (timestamp: string, secret = SECRET, body = BODY) =>
    `sha256=${createHmac("sha256", timestamp + secret)
      .update(body)
      .digest("hex")}`;
  const verify = (timestamp: string, signature: string, body = BODY, secrets = [SECRET]) =>
    gitguardian.verify(
      { headers: headersOf({ timestamp, "gitguardian-signature": signature }), body: bytes(body), now: NOW },
      secrets,
    );
  const seconds = (at: number) => String(at / 1_000);

  it("signs with its timestamp and its token joined, over the body alone", () => {
    // HMAC-SHA-256 of `{"action":"incident_triggered"}` under "1777636800signature-token-of-a-test", by another implementation.
    expect(signed("1777636800")).toBe(
      "sha256=68bdae130966748adad19d5fcaa25b29f928cd414b0ba8bf549ad935df1869db",
    );
    expect(verify("1777636800", signed("1777636800"))).toBe(true);
  });

  it("is believed within five minutes, whichever way its time is written", () => {
    for (const at of [NOW - 299_000, NOW, NOW + 299_000]) {
      expect(verify(seconds(at), signed(seconds(at)))).toBe(true);
      const iso = new Date(at).toISOString();
      expect(verify(iso, signed(iso))).toBe(true);
    }
  });

  it.each([
    ["six minutes old", seconds(NOW - 360_000)],
    ["six minutes ahead", seconds(NOW + 360_000)],
    ["no time", ""],
    ["words", "just now"],
    ["milliseconds", String(NOW)],
  ])("is not believed when its time is %s, although that is signed", (_, timestamp) => {
    expect(verify(timestamp, signed(timestamp))).toBe(false);
  });

  it("is not believed with another body, token, or time than was signed", () => {
    const timestamp = seconds(NOW);
    expect(verify(timestamp, signed(timestamp), `${BODY}\n`)).toBe(false);
    expect(verify(timestamp, signed(timestamp), BODY, ["another token"])).toBe(false);
    expect(verify(seconds(NOW + 1_000), signed(timestamp))).toBe(false);
    // The border between time and token is no part of what is signed: a digit cannot wander over it.
    expect(verify(timestamp.slice(0, -1), signed(timestamp), BODY, [`${timestamp.slice(-1)}${SECRET}`])).toBe(
      false,
    );
  });
});

describe("a Standard Webhooks message", () => {
  const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const BODY = '{"type":"secret.leaked","timestamp":"2026-05-01T12:00:00Z","data":{}}';
  const signed = (at: number, { secret = SECRET, id = "msg_1", body = BODY } = {}) => ({
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at / 1_000)),
    "webhook-signature": new Webhook(secret).sign(id, new Date(at), body),
  });
  const verify = (headers: Record<string, string>, body = BODY, secrets = [SECRET]) =>
    standard.verify({ headers: headersOf(headers), body: bytes(body), now: Date.now() }, secrets);

  it("is believed with one of the secrets, and one of several signatures", () => {
    const headers = signed(Date.now());
    expect(verify(headers)).toBe(true);
    expect(verify(headers, BODY, ["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", SECRET])).toBe(true);
    const both = `v1,${"A".repeat(43)}= ${headers["webhook-signature"]}`;
    expect(verify({ ...headers, "webhook-signature": both })).toBe(true);
  });

  it("is not believed when it is old, ahead, changed, or of somebody else's", () => {
    const headers = signed(Date.now());
    expect(verify(signed(Date.now() - 6 * 60_000))).toBe(false);
    expect(verify(signed(Date.now() + 6 * 60_000))).toBe(false);
    expect(verify(headers, `${BODY}\n`)).toBe(false);
    expect(verify({ ...headers, "webhook-id": "msg_2" })).toBe(false);
    expect(
      verify({ ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) }),
    ).toBe(false);
    expect(verify(headers, BODY, [])).toBe(false);
    expect(verify(headers, BODY, ["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])).toBe(false);
    expect(verify({})).toBe(false);
  });
});

function headersOf(values: Record<string, string | undefined>): Headers {
  const known = Object.entries(values).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return new Headers(known);
}

function rawOf(signature: string): Buffer {
  return Buffer.concat(
    partsOf(signature).map((part) => {
      const digits = part.subarray(Math.max(0, part.length - 32));
      return Buffer.concat([Buffer.alloc(32 - digits.length), digits]);
    }),
  );
}

function hasAll(lengths: ReadonlySet<string>): boolean {
  return ["r 31", "r 32", "r 33", "s 31", "s 32", "s 33"].every((one) => lengths.has(one));
}
