/** The last steps of an old version: revoke it at the service, then test it until the service is seen to refuse it. */
import type { VersionRow } from "../../store/versions.ts";
import { type EngineContext, providerContext } from "../context.ts";
import { mayRevoke } from "../policy.ts";
import { mustRevoke, type RetirementOutcome } from "../retirement.ts";

/** Does what the version's place asks for. Undefined when there is nothing to do yet. */
export async function retireVersion(
  context: EngineContext,
  version: VersionRow,
): Promise<RetirementOutcome | undefined> {
  const key = context.store.keys.get(version.keyId);
  if (!key) return undefined;
  if (version.stage === "previous") {
    return mayRevoke(version, context.now()) ? { kind: "grace-ended" } : undefined;
  }
  const provider = context.providerOf(key.provider);
  if (mustRevoke(version)) {
    const result = await provider.revoke(providerContext(context, key), version.id);
    if (result.kind === "failed") return { ...result, kind: "revoke-failed" };
    if (version.serviceRevokedAt === null) return result;
  }
  const result = await provider.test(providerContext(context, key), version.id);
  switch (result.kind) {
    case "rejected":
      return { kind: "seen-dead", confirmed: true };
    case "valid":
      return { kind: "still-alive" };
    case "indeterminate":
      return { ...result, kind: "unclear" };
  }
}
