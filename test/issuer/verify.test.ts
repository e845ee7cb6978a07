import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { sha256 } from "../../src/crypto/hash.ts";
import { secureRandom } from "../../src/crypto/random.ts";
import { Vault } from "../../src/crypto/vault.ts";
import { formatToken, newPublicId, parseToken } from "../../src/issuer/token.ts";
import { lookUp, type Presented } from "../../src/issuer/verify.ts";
import { durableObjectSql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";

let ring: TestKeyring;
let secret: string;
beforeEach(async () => {
  ring = await makeKeyring();
  const body = { name: "billing", provider: "issuer" };
  secret = (await ring.call<{ secret: string }>("POST", "/v1/keys", { body })).body.secret;
});

/** Looks a value up in the keyring's own database. */
function lookUpHere(presented: string, code = ring.code): Promise<{ found: Presented; written: number }> {
  const stub = env.KEYRING.get(env.KEYRING.idFromName(ring.code));
  return runInDurableObject(stub, (_, { storage }) => {
    const changes = () => Number(storage.sql.exec("SELECT total_changes() AS n").one().n);
    const store = new Store(durableObjectSql(storage));
    const vault = new Vault(code, secureRandom(32), secureRandom);
    const before = changes();
    const found = lookUp(store, code, vault, presented, Date.now());
    return { found, written: changes() - before };
  });
}

function withOtherSecret(token: string): string {
  const parsed = parseToken(token);
  if (parsed.kind !== "token") throw new Error("not a token");
  return formatToken(parsed.prefix, parsed.code, parsed.publicId, secureRandom);
}

describe("looking a presented key up", () => {
  it("finds the version and writes nothing", async () => {
    const { found, written } = await lookUpHere(secret);
    expect(found).toMatchObject({
      code: "valid",
      key: { provider: "issuer", state: "active" },
      version: { number: 1 },
    });
    expect(written).toBe(0);
  });

  it("says the same of an unknown id, a wrong secret and another keyring's code, and writes nothing", async () => {
    for (const token of [
      withOtherSecret(secret),
      formatToken("rekey", ring.code, newPublicId(secureRandom), secureRandom),
      formatToken("rekey", "AAAAAAAA", newPublicId(secureRandom), secureRandom),
    ]) {
      expect(await lookUpHere(token)).toEqual({ found: { code: "unknown" }, written: 0 });
    }
  });

  it("does not find an id of this keyring under another keyring's code", async () => {
    expect((await lookUpHere(secret, "AAAAAAAA")).found).toEqual({ code: "unknown" });
  });

  it("refuses a wrong checksum before it looks anything up", async () => {
    const untouchable = new Proxy(new Store({ all: () => [], transaction: (body) => body() }), {
      get() {
        throw new Error("looked up");
      },
    });
    const vault = new Vault(ring.code, secureRandom(32), secureRandom);
    const look = (token: string) => lookUp(untouchable, ring.code, vault, token, Date.now());
    const damaged = secret.slice(0, -1) + (secret.endsWith("A") ? "B" : "A");
    expect(look(damaged)).toEqual({ code: "malformed" });
    expect(() => look(secret)).toThrow("looked up");
  });

  it("does not take the stored hash for the secret", async () => {
    const digest = Buffer.from(sha256(secret)).toString("hex");
    expect((await lookUpHere(digest)).found).toEqual({ code: "unknown" });
  });
});
