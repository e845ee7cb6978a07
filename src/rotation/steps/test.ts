/** Step 3: the new value against the service. Only an explicit refusal counts as rejected. */
import { providerContext } from "../context.ts";
import type { Step } from "./step.ts";

export const test: Step = async (context, rotation) => {
  const { store } = context;
  const key = store.keys.get(rotation.keyId);
  const version = store.versions.byNumber(rotation.keyId, rotation.toVersion ?? 0);
  if (!key || !version) return { outcome: { kind: "stopped", problem: "the new version is gone" } };
  const result = await context.providerOf(key.provider).test(providerContext(context, key), version.id);
  switch (result.kind) {
    case "valid":
      return { outcome: { kind: "test-valid" } };
    case "rejected":
      return { outcome: { kind: "test-rejected", problem: `the new value was rejected: ${result.problem}` } };
    case "indeterminate":
      return { outcome: { ...result, kind: "test-indeterminate" } };
  }
};
