/** Randomness is injected, so that a test or a simulation owns it. */
import { randomBytes } from "node:crypto";

/** Returns `size` fresh random bytes. */
export type Random = (size: number) => Uint8Array;

/** The platform's cryptographic source. */
export const secureRandom: Random = (size) => randomBytes(size);
