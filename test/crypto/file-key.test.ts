/** What opens an exported file, and what does not. */
import { exportJWK, generateKeyPair } from "jose";
import { describe, expect, it } from "vitest";
import {
  findFileKey,
  makeFileKey,
  passphraseSchema,
  privateKeySchema,
  publicKeySchema,
  sealingSchema,
} from "../../src/crypto/file-key.ts";
import { secureRandom } from "../../src/crypto/random.ts";
import { type FileRecord, Seals } from "../../src/keyring/transfer/format.ts";
import { PASSPHRASE } from "../support/transfer.ts";

const CURVES = ["P-256", "X25519"] as const;

async function makePair(crv: (typeof CURVES)[number]) {
  const pair = await generateKeyPair("ECDH-ES+A256KW", { crv, extractable: true });
  return {
    publicKey: publicKeySchema.parse(await exportJWK(pair.publicKey)),
    privateKey: privateKeySchema.parse(await exportJWK(pair.privateKey)),
  };
}

describe("a file sealed to a passphrase", () => {
  it("has a key that only this passphrase finds, however its letters are composed", async () => {
    const made = await makeFileKey({ passphrase: "élan vital, twice" }, secureRandom);
    expect(made?.key).toHaveLength(32);
    const { sealing, key } = made ?? { sealing: sealingSchema.parse({}), key: new Uint8Array() };
    expect(sealingSchema.parse(sealing)).toEqual(sealing);
    expect(JSON.stringify(sealing)).not.toContain(Buffer.from(key).toString("base64url"));
    expect(await findFileKey(sealing, { passphrase: "e\u0301lan vital, twice" })).toEqual(key);
    expect(await findFileKey(sealing, { passphrase: "élan vital, twicE" })).not.toEqual(key);
    expect(await findFileKey(sealing, { privateKey: (await makePair("P-256")).privateKey })).toBeUndefined();
  });

  it("has another key each time", async () => {
    const [one, other] = [
      await makeFileKey({ passphrase: PASSPHRASE }, secureRandom),
      await makeFileKey({ passphrase: PASSPHRASE }, secureRandom),
    ];
    expect(one?.key).not.toEqual(other?.key);
  });

  it("says how its key is found in no other way than ours: a file cannot ask for memory or time", () => {
    const ours = { kind: "passphrase", kdf: "scrypt", N: 32768, r: 8, p: 3, salt: "A".repeat(22) };
    expect(sealingSchema.safeParse(ours).success).toBe(true);
    for (const change of [{ N: 2 ** 20 }, { N: 2 }, { r: 80 }, { p: 300 }, { salt: "" }, { kdf: "none" }]) {
      expect(sealingSchema.safeParse({ ...ours, ...change }).success).toBe(false);
    }
  });

  it("needs twelve characters at least", () => {
    expect(passphraseSchema.safeParse("x".repeat(11)).success).toBe(false);
    expect(passphraseSchema.safeParse("x".repeat(12)).success).toBe(true);
  });
});

describe.each(CURVES)("a file sealed to a public key on %s", (crv) => {
  it("has a random key that only the private key finds", async () => {
    const [pair, other] = [await makePair(crv), await makePair(crv)];
    const made = await makeFileKey({ publicKey: { ...pair.publicKey, kid: "safe" } }, secureRandom);
    if (made?.sealing.kind !== "public-key") throw new Error("sealed in another way");
    expect(await findFileKey(made.sealing, { privateKey: pair.privateKey })).toEqual(made.key);
    expect(await findFileKey(made.sealing, { privateKey: other.privateKey })).toBeUndefined();
    expect(await findFileKey(made.sealing, { passphrase: PASSPHRASE })).toBeUndefined();
    const jwe = made.sealing.jwe.replace(/.$/, (last) => (last === "A" ? "B" : "A"));
    const changed = { ...made.sealing, jwe: `${jwe.slice(0, -3)}AAA` };
    expect(await findFileKey(changed, { privateKey: pair.privateKey })).toBeUndefined();
  });

  it("is not sealed to the private half", async () => {
    const { privateKey } = await makePair(crv);
    expect(publicKeySchema.safeParse(privateKey).success).toBe(false);
  });
});

it("a public key that is no point of its curve makes no file", async () => {
  const off = { kty: "EC", crv: "P-256", x: "A".repeat(43), y: "A".repeat(43) } as const;
  expect(await makeFileKey({ publicKey: off }, secureRandom)).toBeUndefined();
});

describe("the parts of a file", () => {
  const key = new Uint8Array(secureRandom(32));
  const header = '{"format":"rekey-export"}';
  const records: FileRecord[] = [
    { put: "key", columns: ["id"], rows: [["key_1"], [null], [3], [{ bytes: "AA==" }]] },
  ];
  const seals = new Seals(key, "Code0001", header);
  const line = seals.seal(1, records, false);

  it("open as the part that they are", () => {
    expect(seals.open(1, line)).toEqual({ records, isLast: false });
    expect(seals.open(7, seals.seal(7, records, true))).toEqual({ records, isLast: true });
  });

  it("do not open elsewhere: as another part, as the last one, in another file, keyring or under another key", () => {
    expect(seals.open(2, line)).toBeUndefined();
    expect(seals.open(2, line.replace('"part":1', '"part":2'))).toBeUndefined();
    expect(seals.open(1, line.replace('"part":1', '"part":1,"last":true'))).toBeUndefined();
    expect(seals.open(7, seals.seal(7, records, true).replace(',"last":true', ""))).toBeUndefined();
    expect(new Seals(key, "Code0001", `${header} `).open(1, line)).toBeUndefined();
    expect(new Seals(key, "Code0002", header).open(1, line)).toBeUndefined();
    expect(new Seals(new Uint8Array(32), "Code0001", header).open(1, line)).toBeUndefined();
  });

  it("do not open with any one byte changed", () => {
    const { sealed } = JSON.parse(line);
    const bytes = Buffer.from(sealed, "base64");
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const text = JSON.stringify({ part: 1, sealed: changed.toString("base64") });
      expect(seals.open(1, text), `byte ${at}`).toBeUndefined();
    }
  });

  it.each(["", "{}", "null", "[]", "x", '{"part":1,"sealed":""}', '{"part":1,"sealed":"%"}'])(
    "are not %j",
    (text) => {
      expect(seals.open(1, text)).toBeUndefined();
    },
  );
});
