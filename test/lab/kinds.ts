/** The kinds of services in the lab: every overlap, with every way to settle a mint that is in doubt. */

/** What a service can do. Whatever is left out it cannot do, except `test` and `revoke`, which must be denied. */
export interface Abilities {
  overlap: "ours" | "provider" | "none";
  /** Finds credentials by the marker that they were made with. */
  find?: boolean;
  /** Lists the credentials of a label. */
  list?: boolean;
  /** Knows a mint again by its idempotency key. */
  repeatsMint?: boolean;
  /** A repeated mint is answered with a conflict instead of the value. */
  conflicts?: boolean;
  /** Default true. */
  test?: boolean;
  /** Default true where the old credential outlives the mint of the new one. */
  revoke?: boolean;
  /** Credentials that one label may have alive at once. */
  maxLive?: number;
  /** What its manual says of how late it knows of anything. Milliseconds. */
  propagationMs?: number;
  /** How late it really is: before it accepts what it made… */
  acceptLagMs?: number;
  /** …before that shows in lists… */
  listLagMs?: number;
  /** …and before it refuses what was revoked. */
  forgetLagMs?: number;
}

export const KINDS = {
  "lab-ours-find": { overlap: "ours", find: true },
  "lab-ours-find-late": {
    overlap: "ours",
    find: true,
    propagationMs: 2_000,
    acceptLagMs: 1_000,
    listLagMs: 1_000,
    forgetLagMs: 1_000,
  },
  "lab-ours-find-no-test": { overlap: "ours", find: true, test: false },
  "lab-ours-repeat": { overlap: "ours", repeatsMint: true },
  "lab-ours-conflict": { overlap: "ours", repeatsMint: true, conflicts: true },
  "lab-ours-list": { overlap: "ours", list: true },
  "lab-ours-list-no-test": { overlap: "ours", list: true, test: false },
  "lab-ours-two-slots": { overlap: "ours", find: true, maxLive: 2 },
  "lab-ours-nobody": { overlap: "ours" },
  "lab-provider-find": { overlap: "provider", find: true },
  "lab-provider-list": { overlap: "provider", list: true },
  "lab-provider-repeat": { overlap: "provider", repeatsMint: true },
  "lab-provider-nobody": { overlap: "provider" },
  "lab-none-test": { overlap: "none" },
  "lab-none-test-late": { overlap: "none", propagationMs: 2_000, acceptLagMs: 1_000 },
  "lab-none-repeat": { overlap: "none", repeatsMint: true },
  "lab-none-conflict": { overlap: "none", repeatsMint: true, conflicts: true },
  "lab-none-nobody": { overlap: "none", test: false },
} as const satisfies Record<string, Abilities>;

export type KindName = keyof typeof KINDS;

export const KIND_NAMES = Object.keys(KINDS) as KindName[];

/** Whether a service is told to revoke. */
export function canRevoke({ overlap, revoke = overlap !== "none" }: Abilities): boolean {
  return revoke;
}
