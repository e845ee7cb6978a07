/**
 * Rekey's own issuer: keys for a team's customers (`issuer`) and for Rekey's API (`access`). Minting is local and revoking is
 * the stage of the version itself, so both are as sure as the database.
 */
import type { Provider } from "./provider.ts";

const own = {
  overlap: "ours",
  local: true,
  timeoutMs: 0,
  propagationMs: 0,
  repeatsMint: false,
  verifiedHere: true,
  async preflight() {
    return { kind: "green" };
  },
  async mint({ issuer, prefix }) {
    const { secret, reference } = issuer.issue(prefix);
    return { kind: "minted", fields: { secret }, reference };
  },
  async test({ issuer }, { reference }) {
    return issuer.accepts(reference)
      ? { kind: "valid" }
      : { kind: "rejected", problem: "verification refuses it" };
  },
  async revoke() {
    return { kind: "revoked" };
  },
} satisfies Partial<Provider>;

/** Keys for a team's own customers. */
export const issuer: Provider = {
  ...own,
  name: "issuer",
  title: "Rekey's own issuer",
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",
};

/** The only kind of key that opens Rekey's API. */
export const access: Provider = {
  ...own,
  name: "access",
  title: "Rekey access keys",
  opensApi: true,
  adopts: false,
  defaultCooldown: "60m",
};
