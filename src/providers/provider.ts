/**
 * What a service that issues keys must be able to do. A provider knows nothing of order, retries or the database: each method
 * is one call whose result is a value. Differences between services are data here, never an `if` elsewhere.
 */

/** The value of a key: `secret` is tested and fingerprinted; some services have more fields. */
export type Fields = { secret: string } & Record<string, string>;

export type MintResult =
  /** `reference` is how the service names the new credential. */
  | { kind: "minted"; fields: Fields; reference: string }
  | { kind: "refused"; problem: string }
  /** Known not to have taken effect. */
  | { kind: "postponed"; problem: string; retryAfterMs?: number };

/** Only an explicit rejection counts as `rejected`; whatever is not known is `indeterminate`. */
export type TestResult =
  | { kind: "valid" }
  | { kind: "rejected"; problem: string }
  | { kind: "indeterminate"; problem: string; retryAfterMs?: number };

export type RevokeResult =
  /** Also when the service says that it was gone already. */
  { kind: "revoked" } | { kind: "failed"; problem: string; retryAfterMs?: number };

export type PreflightResult = { kind: "green" } | { kind: "red"; problem: string };

/** Rekey's own issuer, as a provider sees it. */
export interface IssuerPort {
  /** Makes a value in the key's format. Nothing is stored yet. */
  issue(prefix: string): { secret: string; reference: string };
  /** Whether verification accepts the version that carries this reference, now. */
  accepts(reference: string): boolean;
}

export interface ProviderContext {
  prefix: string;
  issuer: IssuerPort;
}

export interface Provider {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** `ours`: a second key can be minted and the first revoked when we like. */
  readonly overlap: "ours";
  /** Rekey verifies these keys itself, so it keeps a SHA-256 of each value. */
  readonly verifiedHere: boolean;
  /** Opens Rekey's own API. */
  readonly opensApi: boolean;
  /** Takes existing values in another format. */
  readonly adopts: boolean;
  /** Cooldown after a rotation by hand, when the policy names none. */
  readonly defaultCooldown: string;
  preflight(context: ProviderContext): Promise<PreflightResult>;
  mint(context: ProviderContext): Promise<MintResult>;
  test(context: ProviderContext, reference: string): Promise<TestResult>;
  revoke(context: ProviderContext, reference: string): Promise<RevokeResult>;
}
