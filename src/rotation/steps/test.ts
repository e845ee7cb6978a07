/** Step 3: the new value against the service. Only an explicit refusal counts as rejected, and not before the service must know the value. */
import { credentialOf, providerContext } from "../context.ts";
import { keyOf, versionOf } from "../effects.ts";
import { mustBeKnown, untilKnownMs } from "../witness.ts";
import type { Step } from "./step.ts";

/** As long as a test may stay unclear there. */
const ONLY_VALUE_MS = 30_000;

export const test: Step = async (context, rotation) => {
  const key = keyOf(context, rotation);
  const provider = context.providerOf(key);
  const version = versionOf(context, rotation, rotation.toVersion);
  if (!version) return { outcome: { kind: "stopped", problem: "the new version is gone" } };
  if (!provider.test) {
    if (await mustBeKnown(context, provider, version)) return { outcome: { kind: "test-valid" } };
    const problem = "the service may not know the new value yet, and nobody can try it";
    const retryAfterMs = untilKnownMs(context, provider, version);
    return { outcome: { kind: "test-indeterminate", problem, retryAfterMs } };
  }
  const old = versionOf(context, rotation, rotation.fromVersion);
  const result = await provider.test(
    providerContext(context, key, old, rotation.connectionRevision, rotation.urgent),
    credentialOf(context, version),
  );
  const { report } = result;
  if (result.kind === "valid") return { outcome: { kind: "test-valid" }, report };
  // Where no other value works any more, one refusal is not enough to give this one up.
  const isOnly = provider.overlap === "none" && !rotation.byHand;
  const propagationMs = isOnly ? Math.max(provider.propagationMs, ONLY_VALUE_MS) : provider.propagationMs;
  if (result.kind === "rejected" && (await mustBeKnown(context, { propagationMs }, version))) {
    return {
      outcome: { kind: "test-rejected", problem: `the new value was rejected: ${result.problem}` },
      report,
    };
  }
  const wait = result.kind === "indeterminate" ? result.retryAfterMs : undefined;
  return {
    outcome: {
      kind: "test-indeterminate",
      problem: result.problem,
      ...(wait !== undefined && { retryAfterMs: wait }),
    },
    report,
  };
};
