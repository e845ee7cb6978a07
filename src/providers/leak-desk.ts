/**
 * Services that end a credential for whoever hands it in, as it must have leaked to come to them. A value of theirs may be kept as one
 * that only a person can end.
 */

import { z } from "zod";
import type { Allowance } from "../outbound/budget.ts";
import { callApi, revokedBy } from "./http-client.ts";
import type { Fields, ProviderContext, RevokeResult } from "./provider.ts";

export interface LeakDesk {
  /** Whose it is; for people, and what its calls are counted for. */
  readonly name: string;
  readonly rateLimit: Allowance;
  /** Credentials that one call takes. */
  readonly atOnce: number;
  /** Whether a value is one of its own. */
  knows(secret: string): boolean;
  /** Hands them in. Its calls are counted by the caller. */
  revoke(port: Pick<ProviderContext, "outbound">, secrets: readonly string[]): Promise<RevokeResult>;
}

const HOUR_MS = 3_600_000;
const ANYTHING = z.unknown();

/**
 * GitHub: personal, OAuth and App user tokens. The call carries no credential: with one it is refused
 * (https://docs.github.com/en/rest/credentials/revoke). What was taken is revoked a moment later.
 */
const github: LeakDesk = {
  name: "GitHub",
  rateLimit: { calls: 60, perMs: HOUR_MS },
  atOnce: 1_000,
  knows: (secret) => /^(?:gh[pour]_|github_pat_)[A-Za-z0-9_]{16,}$/.test(secret),

  async revoke({ outbound }, credentials) {
    const request = {
      method: "POST",
      url: "https://api.github.com/credentials/revoke",
      headers: { accept: "application/vnd.github+json", "x-github-api-version": "2022-11-28" },
      json: { credentials },
    } as const;
    const reading = { schema: ANYTHING, ok: [202], parse: () => null };
    return revokedBy(await callApi({ outbound, spend: () => 0 }, request, reading), { gone: [] });
  },
};

const DESKS: readonly LeakDesk[] = [github];

/** Where a value that leaked can be handed in, if anywhere. */
export function findDesk({ secret }: Fields): LeakDesk | undefined {
  return DESKS.find((desk) => desk.knows(secret));
}
