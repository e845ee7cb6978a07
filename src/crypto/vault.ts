/** What a keyring seals with: its data key, opened once per instance, never stored unwrapped. */
import { deriveFingerprintKey, deriveKey, fingerprintOf } from "./fingerprint.ts";
import type { Random } from "./random.ts";
import { open, type SealedPlace, seal } from "./seal.ts";

/** A place inside this vault's keyring. */
export type Place = Omit<SealedPlace, "keyring">;

export class Vault {
  readonly #code: string;
  readonly #dataKey: Uint8Array;
  readonly #fingerprintKey: Uint8Array;
  readonly #random: Random;

  /** @param dataKey 32 bytes */
  constructor(code: string, dataKey: Uint8Array, random: Random) {
    this.#code = code;
    this.#dataKey = dataKey;
    this.#fingerprintKey = deriveFingerprintKey(dataKey);
    this.#random = random;
  }

  /** Seals UTF-8 text for one place. */
  seal(place: Place, text: string): Uint8Array {
    return seal(this.#dataKey, { keyring: this.#code, ...place }, Buffer.from(text, "utf8"), this.#random);
  }

  /**
   * Opens what was sealed for that place.
   * @throws when it was not
   */
  open(place: Place, sealed: Uint8Array): string {
    return Buffer.from(open(this.#dataKey, { keyring: this.#code, ...place }, sealed)).toString("utf8");
  }

  /** HMAC-SHA-256 of a secret: 32 bytes. */
  fingerprint(secret: string): Uint8Array {
    return fingerprintOf(this.#fingerprintKey, secret);
  }

  /** HMAC-SHA-256 of a text under a key of its own for that purpose: 32 bytes that only this keyring can make. */
  sign(purpose: "acknowledge" | "consent", text: string): Uint8Array {
    return fingerprintOf(deriveKey(this.#dataKey, purpose), text);
  }
}
