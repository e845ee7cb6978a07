/**
 * The last steps of an old version: revoke it at the service, see that the service refuses it or no longer lists it, and have a witness
 * keep that it is dead before anybody hears so.
 */
import type { Credential, Provider, ProviderContext, RevokeResult } from "../../providers/provider.ts";
import type { VersionRow } from "../../store/versions.ts";
import { credentialOf, type EngineContext, providerContext } from "../context.ts";
import { handIn } from "../leak-desks.ts";
import { mayRevoke } from "../policy.ts";
import { mustRevoke, type RetirementOutcome } from "../retirement.ts";
import { openFields } from "../values.ts";
import { isAnchored, isTimeProven, mustBeKnown, untilKnownMs } from "../witness.ts";

/** Does what the version's place asks for. Undefined when there is nothing to do yet. */
export async function retireVersion(
  context: EngineContext,
  version: VersionRow,
): Promise<RetirementOutcome | undefined> {
  const key = context.store.keys.get(version.keyId);
  if (!key) return undefined;
  const provider = context.providerOf(key);
  if (version.stage === "previous") {
    if (!mayRevoke(version, context.now())) return undefined;
    const isLate = await isTimeProven(context, version.graceEndsAt ?? 0);
    return isLate
      ? { kind: "grace-ended", byService: provider.overlap === "provider" }
      : { kind: "time-unproven" };
  }
  const asks = providerContext(context, key, version, version.connectionRevision, version.urgent);
  const desk = deskFor(context, provider, version);
  if (mustRevoke(version) && (provider.revoke || desk)) {
    const result = await (desk ?? end(provider, asks, credentialOf(context, version)));
    if (result.kind === "failed") return { kind: "revoke-failed", ...waitOf(result.retryAfterMs) };
    // Between a call to the outside and its confirmation there is a commit; what is a function of ours needs none.
    if (version.serviceRevokedAt === null && !provider.local) return { kind: "revoked" };
  }
  const seen = await confirmDead(context, provider, asks, version);
  // What cannot be revoked by a call may still die by other means; until then only a person can end it.
  const waits =
    version.serviceRevokedAt === null && !provider.local && (seen.kind !== "seen-dead" || !seen.confirmed);
  if (waits && provider.runbook) {
    return { kind: "waits-for-person", canSee: provider.test !== undefined && version.sealed !== null };
  }
  if (waits) return { kind: "revoke-failed" };
  if (seen.kind === "seen-dead" && !(await isAnchored(context, [version]))) return { kind: "unclear" };
  return seen;
}

/** Hands in what leaked, where it cannot be revoked otherwise and somebody takes it. */
function deskFor(
  context: EngineContext,
  { revoke, leakDesk }: Provider,
  version: VersionRow,
): Promise<RevokeResult> | undefined {
  if (revoke || !leakDesk || version.compromisedAt === null || !mustRevoke(version)) return undefined;
  const fields = openFields(context, version);
  const desk = fields && leakDesk(fields);
  return desk && handIn(context, desk, fields.secret);
}

/**
 * Ends a credential. Where the service can refuse it while it still keeps it, that comes first, so that a revocation which fails leaves
 * nothing open. Only the revocation counts: when it fails, both are done again.
 */
async function end(provider: Provider, asks: ProviderContext, credential: Credential): Promise<RevokeResult> {
  await provider.disable?.(asks, credential);
  return (await provider.revoke?.(asks, credential)) ?? { kind: "failed", problem: "it cannot be revoked" };
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
    if (result.kind === "rejected") return deadIfKnown(context, provider, version);
    return result.kind === "valid"
      ? { kind: "still-alive" }
      : { kind: "unclear", ...waitOf(result.retryAfterMs) };
  }
  if (provider.list) {
    const result = await provider.list(asks);
    if (result.kind === "failed") return { kind: "unclear", ...waitOf(result.retryAfterMs) };
    return result.references.includes(credential.reference)
      ? { kind: "still-alive" }
      : deadIfKnown(context, provider, version);
  }
  return { kind: "seen-dead", confirmed: false };
}

/** A value that is young may be refused, or left out of a list, because the service does not know it yet. */
async function deadIfKnown(
  context: EngineContext,
  provider: Provider,
  version: VersionRow,
): Promise<RetirementOutcome> {
  if (await mustBeKnown(context, provider, version)) return { kind: "seen-dead", confirmed: true };
  return { kind: "unclear", retryAfterMs: untilKnownMs(context, provider, version) };
}

function waitOf(retryAfterMs: number | undefined) {
  return retryAfterMs === undefined ? {} : { retryAfterMs };
}
