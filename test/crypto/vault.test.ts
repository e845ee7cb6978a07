import { createHmac, hkdfSync } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { Vault } from "../../src/crypto/vault.ts";

const DATA_KEY = Uint8Array.from({ length: 32 }, (_, i) => 255 - i);
const PLACE = { table: "version", id: "v1", revision: 0, purpose: "fields" };
const vault = new Vault("AbCd1234", DATA_KEY, secureRandom);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("a keyring's vault", () => {
  it("opens the text that it sealed", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(vault.open(PLACE, vault.seal(PLACE, text))).toBe(text);
      }),
    );
  });

  it("opens nothing of another keyring, even one with the same data key", () => {
    const other = new Vault("AbCd1235", DATA_KEY, secureRandom);
    expect(() => other.open(PLACE, vault.seal(PLACE, "a secret"))).toThrow();
  });

  it("does not let the text show", () => {
    expect(Buffer.from(vault.seal(PLACE, "a-long-canary-secret")).includes("canary")).toBe(false);
  });
});

describe("a fingerprint", () => {
  it("is the same for the same secret in the same keyring, in every instance", () => {
    const again = new Vault("AbCd1234", DATA_KEY, secureRandom);
    expect(hex(vault.fingerprint("a secret"))).toBe(hex(again.fingerprint("a secret")));
  });

  it("differs for every other secret", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(hex(vault.fingerprint(a)) === hex(vault.fingerprint(b))).toBe(a === b);
      }),
    );
  });

  it("means nothing under another data key", () => {
    const other = new Vault("AbCd1234", secureRandom(32), secureRandom);
    expect(hex(other.fingerprint("a secret"))).not.toBe(hex(vault.fingerprint("a secret")));
  });

  it("is HMAC-SHA-256 under a key that HKDF derives from the data key, and never changes", () => {
    const key = Buffer.from(hkdfSync("sha256", DATA_KEY, new Uint8Array(0), "rekey fingerprint v1", 32));
    expect(hex(vault.fingerprint("a secret"))).toBe(
      createHmac("sha256", key).update("a secret").digest("hex"),
    );
  });

  it("is no plain hash, and not keyed with the data key itself", () => {
    const plain = createHmac("sha256", DATA_KEY).update("a secret").digest("hex");
    expect(hex(vault.fingerprint("a secret"))).not.toBe(plain);
  });
});
