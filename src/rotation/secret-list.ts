/** A secret that signs, with those before it: while it changes, each of them counts. */
import { z } from "zod";

export const secretListSchema = z.array(z.object({ secret: z.string(), until: z.number().nullable() }));

/** The newest first. `until`: when an old one is no longer used, milliseconds since the epoch. */
export type SecretList = z.infer<typeof secretListSchema>;

/** The old one counts so long beside the new one. */
const OVERLAP_MS = 24 * 3_600_000;
/** Changed more often than that within the overlap, the oldest ends early. */
const MAX_SECRETS = 5;

/** The list with a new secret at its head. */
export function withNew(list: SecretList, secret: string, now: number): SecretList {
  const old = list.map((one) => ({ ...one, until: one.until ?? now + OVERLAP_MS }));
  return [{ secret, until: null }, ...endPassed(old, now)].slice(0, MAX_SECRETS);
}

/** Those whose time is not over. */
export function endPassed(list: SecretList, now: number): SecretList {
  return list.filter(({ until }) => until === null || until > now);
}

/** Those that count now, the newest first. */
export function secretsAt(list: SecretList, now: number): string[] {
  return endPassed(list, now).map(({ secret }) => secret);
}

/** When the last old one ends, or null when there is none. */
export function overlapEndsAt(list: SecretList): number | null {
  const ends = list.flatMap(({ until }) => (until === null ? [] : [until]));
  return ends.length > 0 ? Math.max(...ends) : null;
}
