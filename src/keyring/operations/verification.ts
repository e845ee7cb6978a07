/** The options by which verification treats a key: records at the edge, a rate limit, a number of uses. */
import type { FieldError } from "../../errors/catalogue.ts";
import type { Provider } from "../../providers/provider.ts";
import type { EngineContext } from "../../rotation/context.ts";
import { publish } from "../../rotation/edge.ts";
import type { KeyRow, Verification } from "../../store/keys.ts";

/** As a request gives them: null takes a limit away. */
export interface VerificationInput {
  edge?: boolean | undefined;
  rateLimit?: { limit: number; per: string } | null | undefined;
  usage?: { limit: number } | null | undefined;
}

/** The options after a request that changes some of them. */
export function changeVerification(before: Verification, input: VerificationInput): Verification {
  const { edge = before.edge ?? false, rateLimit = before.rateLimit, usage = before.usage } = input;
  return { ...(edge && { edge: true }), ...(rateLimit && { rateLimit }), ...(usage && { usage }) };
}

/** Why a key cannot have these options. */
export function findVerificationErrors(provider: Provider, wanted: Verification): FieldError[] {
  const errors: FieldError[] = [];
  for (const path of ["edge", "rateLimit", "usage"] as const) {
    if (wanted[path] && !provider.verifiedHere)
      errors.push({ path, message: `Rekey does not verify keys of ${provider.title}` });
  }
  for (const path of ["rateLimit", "usage"] as const) {
    if (wanted[path] && wanted.edge)
      errors.push({ path, message: "cannot go with edge: nobody counts what the edge answers" });
    if (wanted[path] && provider.opensApi)
      errors.push({
        path,
        message: "an access key has no limits: only what POST /v1/verify answers is counted",
      });
  }
  return errors;
}

/** Commits changed options: a `usage` that is given counts from 0, and a key that goes to the edge gets its records. */
export function storeVerification(context: EngineContext, key: KeyRow, input: VerificationInput): KeyRow {
  const { store } = context;
  const changed = store.keys.update(key, { verification: changeVerification(key.verification, input) });
  const counted = input.usage !== undefined && store.keyUses.get(key.id);
  if (counted) store.keyUses.put({ ...counted, uses: 0 });
  if (changed.verification.edge && !key.verification.edge) {
    for (const version of store.versions.alive(key.id)) publish(context, changed, version);
  }
  return changed;
}
