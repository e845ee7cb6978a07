/** Step 2: a new value at the service. */
import { providerContext } from "../context.ts";
import type { Step } from "./step.ts";

export const mint: Step = async (context, rotation) => {
  const key = context.store.keys.get(rotation.keyId);
  if (!key) return { outcome: { kind: "stopped", problem: "the key is gone" } };
  const result = await context.providerOf(key.provider).mint(providerContext(context, key));
  switch (result.kind) {
    case "minted":
      return { outcome: { kind: "minted" }, minted: result };
    case "refused":
      return { outcome: { kind: "mint-refused", problem: result.problem } };
    case "postponed":
      return { outcome: { ...result, kind: "mint-postponed" } };
  }
};
