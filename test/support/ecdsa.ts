/** ECDSA signatures as GitHub makes them: by the platform's own cryptography, put into DER here. */

export interface Signer {
  /** The public key. */
  pem: string;
  /** Base64 of DER. */
  sign(body: Uint8Array): Promise<string>;
}

/** A fresh pair of keys. */
export async function makeSigner(namedCurve: "P-256" | "P-384"): Promise<Signer> {
  const made = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve }, true, ["sign", "verify"]);
  const { privateKey, publicKey } = made as CryptoKeyPair;
  const spki = (await crypto.subtle.exportKey("spki", publicKey)) as ArrayBuffer;
  return {
    pem: pemOf(Buffer.from(spki).toString("base64")),
    async sign(body) {
      const raw = Buffer.from(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, body));
      const half = raw.length / 2;
      return derOf(shortest(raw.subarray(0, half)), shortest(raw.subarray(half)));
    },
  };
}

export function pemOf(base64: string): string {
  return `-----BEGIN PUBLIC KEY-----\n${base64}\n-----END PUBLIC KEY-----\n`;
}

/** The two integers of a DER signature, as they stand there. */
export function partsOf(signature: string): Buffer[] {
  const der = Buffer.from(signature, "base64");
  const r = der.subarray(4, 4 + (der[3] ?? 0));
  return [r, der.subarray(6 + r.length)];
}

/** Base64 of a DER signature of two integers. */
export function derOf(...parts: Buffer[]): string {
  const integers = Buffer.concat(parts.map((part) => Buffer.concat([Buffer.from([2, part.length]), part])));
  return Buffer.concat([Buffer.from([0x30, integers.length]), integers]).toString("base64");
}

/** As DER has an integer: no zeros before it, but one where it would be negative. */
function shortest(digits: Buffer): Buffer {
  const first = digits.findIndex((byte) => byte !== 0);
  const rest = digits.subarray(first === -1 ? digits.length - 1 : first);
  return (rest[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), rest]) : rest;
}
