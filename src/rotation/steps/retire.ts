/**
 * The last steps of an old version: revoke it at the service, see that the service refuses it or no longer lists it, and have a witness
 * keep that it is dead before anybody hears so.
 */
import type { Provider, ProviderContext } from "../../providers/provider.ts";
import type { VersionRow } from "../../store/versions.ts";
import { credentialOf, type EngineContext, providerContext } from "../context.ts";
import { mayRevoke } from "../policy.ts";
import { mustRevoke, type RetirementOutcome } from "../retirement.ts";

/** Cron comes every few minutes; a clock this far ahead of the last one is not believed. */
const CLOCK_SLACK_MS = 3_600_000;

/** Does what the version's place asks for. Undefined when there is nothing to do yet. */
export async function retireVersion(
  context: EngineContext,
  version: VersionRow,
): Promise<RetirementOutcome | undefined> {
  const key = context.store.keys.get(version.keyId);
  if (!key) return undefined;
  const provider = context.providerOf(key.provider);
  if (version.stage === "previous") {
    if (!mayRevoke(version, context.now())) return undefined;
    const isLate = await isTimeProven(context, version.graceEndsAt ?? 0);
    return isLate
      ? { kind: "grace-ended", byService: provider.overlap === "provider" }
      : { kind: "time-unproven" };
  }
  const asks = providerContext(context, key, version);
  if (mustRevoke(version) && provider.revoke) {
    const result = await provider.revoke(asks, credentialOf(context, version));
    if (result.kind === "failed") return { kind: "revoke-failed", ...waitOf(result.retryAfterMs) };
    if (version.serviceRevokedAt === null) return { kind: "revoked" };
  }
  const seen = await confirmDead(context, provider, asks, version);
  // What cannot be revoked by a call may still die by other means; until then only a person can end it.
  const waits = version.serviceRevokedAt === null && (seen.kind !== "seen-dead" || !seen.confirmed);
  if (waits) return { kind: "revoke-failed" };
  if (seen.kind === "seen-dead" && !(await isAnchored(context, [version]))) return { kind: "unclear" };
  return seen;
}

/**
 * Whether a deadline has really passed. A clock that leapt forward would end graces too early; cron's own times tell: one near to what
 * this clock says proves it right, one after the deadline proves enough. Without any, nothing is proven.
 */
async function isTimeProven({ witness, now }: EngineContext, deadlineAt: number): Promise<boolean> {
  try {
    const known = await witness.lastCronAt();
    return known !== null && (known >= deadlineAt || now() - known <= CLOCK_SLACK_MS);
  } catch {
    return false;
  }
}

/** Has the witness keep that versions are dead, and how far the history has come. False when it did not answer. */
export async function isAnchored(
  { store, witness }: EngineContext,
  versions: readonly VersionRow[],
): Promise<boolean> {
  const head = store.events.head();
  if (!head) return true;
  try {
    await witness.anchor(
      head,
      versions.map(({ id }) => id),
    );
    return true;
  } catch {
    return false;
  }
}

async function confirmDead(
  context: EngineContext,
  provider: Provider,
  asks: ProviderContext,
  version: VersionRow,
): Promise<RetirementOutcome> {
  const credential = credentialOf(context, version);
  if (provider.test && (provider.verifiedHere || credential.fields)) {
    const result = await provider.test(asks, credential);
    if (result.kind === "rejected") {
      // A value this young may be refused because the service does not know it yet.
      const knownAt = version.issuedAt + provider.propagationMs;
      const wait = knownAt - context.now();
      return wait > 0 ? { kind: "unclear", retryAfterMs: wait } : { kind: "seen-dead", confirmed: true };
    }
    return result.kind === "valid"
      ? { kind: "still-alive" }
      : { kind: "unclear", ...waitOf(result.retryAfterMs) };
  }
  if (provider.list) {
    const result = await provider.list(asks);
    if (result.kind === "failed") return { kind: "unclear", ...waitOf(result.retryAfterMs) };
    return result.references.includes(credential.reference)
      ? { kind: "still-alive" }
      : { kind: "seen-dead", confirmed: true };
  }
  return { kind: "seen-dead", confirmed: false };
}

function waitOf(retryAfterMs: number | undefined) {
  return retryAfterMs === undefined ? {} : { retryAfterMs };
}
