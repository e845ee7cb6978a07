/**
 * The key of an exported file: made from a passphrase, or random and sealed to a public key. Neither the passphrase nor the key is in the
 * file; `Sealing` says how whoever has the one finds the other.
 */
import { scrypt } from "node:crypto";
import { CompactEncrypt, compactDecrypt, importJWK } from "jose";
import { z } from "zod";
import type { Random } from "./random.ts";

const KEY_BYTES = 32;
const SALT_BYTES = 16;
/**
 * As strong as OWASP's first choice (N = 2^17, p = 1; https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html),
 * in 32 MiB instead of 128, which is all that a Worker has.
 */
const SCRYPT = { N: 2 ** 15, r: 8, p: 3 };
const SCRYPT_MAX_BYTES = 64 * 1024 * 1024;
const ALGORITHM = "ECDH-ES+A256KW";

const MIN_PASSPHRASE_LENGTH = 12;

export const passphraseSchema = z
  .string()
  .min(MIN_PASSPHRASE_LENGTH, { error: `must have at least ${MIN_PASSPHRASE_LENGTH} characters` })
  .max(1024);

const coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/, { error: "must be 32 bytes in base64url" });
const described = {
  kid: z.string().max(256).optional(),
  use: z.enum(["enc"]).optional(),
  alg: z.enum([ALGORITHM]).optional(),
};

/** A public key as a JWK (RFC 7517): P-256 or X25519. Strict, so that nobody sends the private half unawares. */
export const publicKeySchema = z.union([
  z.strictObject({ kty: z.enum(["EC"]), crv: z.enum(["P-256"]), x: coordinate, y: coordinate, ...described }),
  z.strictObject({ kty: z.enum(["OKP"]), crv: z.enum(["X25519"]), x: coordinate, ...described }),
]);

/** The private half, as a JWK. */
export const privateKeySchema = z.union([
  z.object({ kty: z.enum(["EC"]), crv: z.enum(["P-256"]), x: coordinate, y: coordinate, d: coordinate }),
  z.object({ kty: z.enum(["OKP"]), crv: z.enum(["X25519"]), x: coordinate, d: coordinate }),
]);

/** How the key of a file is found, as the file's first line says it. */
export const sealingSchema = z.union([
  z.strictObject({
    kind: z.enum(["passphrase"]),
    kdf: z.enum(["scrypt"]),
    // Exactly ours: a file must not choose how much memory and time it takes to open it.
    N: z.int().min(SCRYPT.N).max(SCRYPT.N),
    r: z.int().min(SCRYPT.r).max(SCRYPT.r),
    p: z.int().min(SCRYPT.p).max(SCRYPT.p),
    salt: z.string().regex(/^[A-Za-z0-9_-]{22}$/),
  }),
  z.strictObject({ kind: z.enum(["public-key"]), jwe: z.string().max(4096) }),
]);

export type Sealing = z.infer<typeof sealingSchema>;
export type PublicKey = z.infer<typeof publicKeySchema>;
/** What opens a file again. */
export type Opener = { passphrase: string } | { privateKey: z.infer<typeof privateKeySchema> };

export interface FileKey {
  key: Uint8Array;
  sealing: Sealing;
}

/** The key of a new file. Undefined when the public key is not a point of its curve. */
export async function makeFileKey(
  to: { passphrase: string } | { publicKey: PublicKey },
  random: Random,
): Promise<FileKey | undefined> {
  if ("passphrase" in to) {
    const salt = random(SALT_BYTES);
    const key = await stretch(to.passphrase, salt);
    const text = Buffer.from(salt).toString("base64url");
    return { key, sealing: { kind: "passphrase", kdf: "scrypt", ...SCRYPT, salt: text } };
  }
  const key = new Uint8Array(random(KEY_BYTES));
  try {
    const { kid, kty, crv, x, ...rest } = to.publicKey;
    const jwk = { kty, crv, x, ...("y" in rest && { y: rest.y }) };
    const header = { alg: ALGORITHM, enc: "A256GCM", ...(kid !== undefined && { kid }) };
    const jwe = await new CompactEncrypt(key)
      .setProtectedHeader(header)
      .encrypt(await importJWK(jwk, ALGORITHM));
    return { key, sealing: { kind: "public-key", jwe } };
  } catch {
    return undefined;
  }
}

/** The key of a file that is there. Undefined when the private key does not open it, or it takes the other kind of opener. */
export async function findFileKey(sealing: Sealing, opener: Opener): Promise<Uint8Array | undefined> {
  if (sealing.kind === "passphrase") {
    return "passphrase" in opener
      ? stretch(opener.passphrase, Buffer.from(sealing.salt, "base64url"))
      : undefined;
  }
  if (!("privateKey" in opener)) return undefined;
  try {
    const { plaintext } = await compactDecrypt(sealing.jwe, await importJWK(opener.privateKey, ALGORITHM), {
      keyManagementAlgorithms: [ALGORITHM],
      contentEncryptionAlgorithms: ["A256GCM"],
    });
    return plaintext.byteLength === KEY_BYTES ? plaintext : undefined;
  } catch {
    return undefined;
  }
}

/** The same text typed on another keyboard may be composed in another way. */
function stretch(passphrase: string, salt: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    scrypt(
      passphrase.normalize("NFC"),
      salt,
      KEY_BYTES,
      { ...SCRYPT, maxmem: SCRYPT_MAX_BYTES },
      (error, key) => (error ? reject(error) : resolve(new Uint8Array(key))),
    );
  });
}
