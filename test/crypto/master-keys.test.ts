import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseMasterKeys, unwrapDataKey, wrapDataKey } from "../../src/crypto/master-keys.ts";
import { secureRandom } from "../../src/crypto/random.ts";

const encoded = (fill: number, size = 32) => Buffer.alloc(size, fill).toString("base64");

function parse(text: string) {
  const keys = parseMasterKeys(text);
  if (!keys) throw new Error("not parsed");
  return keys;
}

describe("MASTER_KEYS", () => {
  it("is one key or several, newest first", () => {
    expect(parse(`k1:${encoded(1)}`)).toEqual([{ id: "k1", key: new Uint8Array(32).fill(1) }]);
    expect(parse(` k2:${encoded(2)} , k1:${encoded(1)}\n`).map(({ id }) => id)).toEqual(["k2", "k1"]);
  });

  it("keeps every byte of every key", () => {
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(fc.array(bytes, { minLength: 1, maxLength: 5 }), (keys) => {
        const text = keys.map((key, i) => `k${i}:${Buffer.from(key).toString("base64")}`).join(",");
        expect(parse(text)).toEqual(keys.map((key, i) => ({ id: `k${i}`, key: new Uint8Array(key) })));
      }),
    );
  });

  it.each([
    ["nothing", ""],
    ["a key without id", encoded(1)],
    ["an empty id", `:${encoded(1)}`],
    ["an id with a space", `k 1:${encoded(1)}`],
    ["an id of 33 characters", `${"k".repeat(33)}:${encoded(1)}`],
    ["31 bytes", `k1:${encoded(1, 31)}`],
    ["33 bytes", `k1:${encoded(1, 33)}`],
    ["base64 without its padding", `k1:${encoded(1).replace("=", "")}`],
    ["base64url", `k1:${encoded(255).replaceAll("/", "_")}`],
    ["hex", `k1:${"01".repeat(32)}`],
    ["a comma at the end", `k1:${encoded(1)},`],
    ["an id twice", `k1:${encoded(1)},k1:${encoded(2)}`],
    ["one bad entry among good ones", `k1:${encoded(1)},k2:short,k3:${encoded(3)}`],
  ])("is refused as a whole with %s", (_, text) => {
    expect(parseMasterKeys(text)).toBeUndefined();
  });
});

describe("a data key", () => {
  const dataKey = secureRandom(32);
  const [old] = parse(`old:${encoded(1)}`);
  const [fresh] = parse(`new:${encoded(2)}`);
  if (!old || !fresh) throw new Error("no keys");

  it("is wrapped by the first master key and unwrapped by whichever wrapped it", () => {
    const wrapped = wrapDataKey([old], "AbCd1234", dataKey, secureRandom);
    expect(wrapped.masterKeyId).toBe("old");
    expect(unwrapDataKey([fresh, old], "AbCd1234", wrapped)).toEqual(new Uint8Array(dataKey));
    expect(wrapDataKey([fresh, old], "AbCd1234", dataKey, secureRandom).masterKeyId).toBe("new");
  });

  it("is not found without its master key, and cannot be had with another under the same id", () => {
    const wrapped = wrapDataKey([old], "AbCd1234", dataKey, secureRandom);
    expect(unwrapDataKey([fresh], "AbCd1234", wrapped)).toBeUndefined();
    expect(() => unwrapDataKey([{ id: "old", key: fresh.key }], "AbCd1234", wrapped)).toThrow();
  });

  it("of one keyring is of no use to another, nor under another master key's name", () => {
    const wrapped = wrapDataKey([old], "AbCd1234", dataKey, secureRandom);
    expect(() => unwrapDataKey([old], "AbCd1235", wrapped)).toThrow();
    const renamed = { id: "renamed", key: old.key };
    expect(() => unwrapDataKey([renamed], "AbCd1234", { ...wrapped, masterKeyId: "renamed" })).toThrow();
  });

  it("does not show in its wrapping", () => {
    const { wrapped } = wrapDataKey([old], "AbCd1234", dataKey, secureRandom);
    expect(Buffer.from(wrapped).includes(Buffer.from(dataKey))).toBe(false);
    expect(Buffer.from(wrapped).includes(Buffer.from(old.key))).toBe(false);
  });
});
