import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { open, type SealedPlace, seal } from "../../src/crypto/seal.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, i) => i);
const PLACE: SealedPlace = {
  keyring: "AbCd1234",
  table: "version",
  id: "0123456789ABCDEFG",
  revision: 3,
  purpose: "fields",
};

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const plaintext = fc.uint8Array({ maxLength: 300 });

describe("what is sealed", () => {
  it("opens again, whatever it is", () => {
    fc.assert(
      fc.property(plaintext, (bytes) => {
        expect(hex(open(KEY, PLACE, seal(KEY, PLACE, bytes, secureRandom)))).toBe(hex(bytes));
      }),
    );
  });

  it("is a format byte, a nonce of 12 bytes, as much as went in and a tag of 16", () => {
    fc.assert(
      fc.property(plaintext, (bytes) => {
        const sealed = seal(KEY, PLACE, bytes, secureRandom);
        expect(sealed[0]).toBe(1);
        expect(sealed.byteLength).toBe(1 + 12 + bytes.byteLength + 16);
      }),
    );
  });

  it("is AES-256-GCM bound to its place, as WebCrypto does it", async () => {
    const sealed = seal(KEY, PLACE, Buffer.from("a secret"), secureRandom);
    const parts = ["AbCd1234", "version", "0123456789ABCDEFG", "3", "fields"];
    const additionalData = Buffer.concat(
      parts.flatMap((part) => [Buffer.from([0, 0, 0, part.length]), Buffer.from(part)]),
    );
    const key = await crypto.subtle.importKey("raw", KEY, "AES-GCM", false, ["decrypt"]);
    const algorithm = { name: "AES-GCM", iv: sealed.slice(1, 13), additionalData };
    const opened = await crypto.subtle.decrypt(algorithm, key, sealed.slice(13));
    expect(Buffer.from(opened).toString()).toBe("a secret");
  });

  it("has a nonce of its own each time", () => {
    const sealed = Array.from({ length: 500 }, () => seal(KEY, PLACE, Buffer.from("same"), secureRandom));
    expect(new Set(sealed.map((bytes) => hex(bytes.slice(1, 13)))).size).toBe(500);
    expect(new Set(sealed.map((bytes) => hex(bytes.slice(13)))).size).toBe(500);
  });

  it("does not open with any bit of it changed", () => {
    const sealed = seal(KEY, PLACE, Buffer.from("a secret"), secureRandom);
    for (let index = 0; index < sealed.byteLength; index++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = Uint8Array.from(sealed, (byte, i) => (i === index ? byte ^ (1 << bit) : byte));
        expect(() => open(KEY, PLACE, changed), `byte ${index}, bit ${bit}`).toThrow();
      }
    }
  });

  it("does not open when it was cut or made longer anywhere", () => {
    const sealed = seal(KEY, PLACE, Buffer.from("a secret"), secureRandom);
    for (let length = 0; length < sealed.byteLength; length++) {
      expect(() => open(KEY, PLACE, sealed.slice(0, length)), `first ${length} bytes`).toThrow();
    }
    for (let cut = 2; cut < sealed.byteLength; cut++) {
      expect(() => open(KEY, PLACE, Uint8Array.of(1, ...sealed.slice(cut))), `from ${cut}`).toThrow();
    }
    expect(() => open(KEY, PLACE, Uint8Array.of(...sealed, 0))).toThrow();
  });

  it("does not open with any bit of the key changed", () => {
    const sealed = seal(KEY, PLACE, Buffer.from("a secret"), secureRandom);
    for (let index = 0; index < 32; index++) {
      const other = Uint8Array.from(KEY, (byte, i) => (i === index ? byte ^ 1 : byte));
      expect(() => open(other, PLACE, sealed)).toThrow();
    }
  });

  it.each([
    { keyring: "AbCd1235" },
    { table: "destination" },
    { id: "0123456789ABCDEFH" },
    { revision: 4 },
    { purpose: "signing-secret" },
  ])("does not open at another place: %o", (other) => {
    const sealed = seal(KEY, PLACE, Buffer.from("a secret"), secureRandom);
    expect(() => open(KEY, { ...PLACE, ...other }, sealed)).toThrow();
  });

  it("does not open at a place whose parts only run together the same", () => {
    const text = fc.string({ maxLength: 4, unit: fc.constantFrom("a", "b", "1", "|", "\0") });
    const place = fc.record({ keyring: text, table: text, id: text, revision: fc.nat(12), purpose: text });
    fc.assert(
      fc.property(place, place, (a, b) => {
        const sealed = seal(KEY, a, Buffer.from("a secret"), secureRandom);
        if (JSON.stringify(Object.values(a)) !== JSON.stringify(Object.values(b))) {
          expect(() => open(KEY, b, sealed)).toThrow();
        }
      }),
    );
    const sealed = seal(KEY, { ...PLACE, table: "ab", id: "c" }, Buffer.from("x"), secureRandom);
    expect(() => open(KEY, { ...PLACE, table: "a", id: "bc" }, sealed)).toThrow();
  });

  it("is not quoted by the error when it does not open", () => {
    const sealed = seal(KEY, PLACE, Buffer.from("canary-plaintext"), secureRandom);
    expect(() => open(KEY, { ...PLACE, id: "other" }, sealed)).toThrow(/^(?!.*canary)/);
    expect(() => open(KEY, PLACE, Buffer.from("canary-plaintext"))).toThrow("unknown format");
  });
});
