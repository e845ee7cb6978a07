/** Makes a key for who chooses how to get its value, as after a rotation. */
import type { Failure, FieldError } from "../../errors/catalogue.ts";
import { err, ok, type Result } from "../../result.ts";
import type { EngineContext } from "../../rotation/context.ts";
import { claimUrlAt, openClaim } from "../../rotation/value-claims.ts";
import { type Caller, requireScope } from "../caller.ts";
import { holdsSecret } from "../spoken.ts";
import type { KeyView } from "../views.ts";
import { type CreateKeyInput, createKey } from "./create-key.ts";
import type { RotateAnswer, RotateInput } from "./rotations.ts";

export interface RevealedKey extends Pick<RotateAnswer, "secret" | "claim"> {
  key: KeyView;
}

/**
 * Creates a key and shows its first value as asked. A value that a service outside has yet to make is not there to show.
 * @param origin where the claim is to be opened
 */
export function createRevealing(
  context: EngineContext,
  caller: Caller,
  input: CreateKeyInput,
  reveal: RotateInput["reveal"],
  origin: string,
): Result<RevealedKey, Failure> {
  const errors = findSpoken(context, caller, input);
  if (errors.length > 0) return err({ code: "invalid", errors });
  const scope = reveal === "claim" ? requireScope(caller, "keys:reveal") : undefined;
  if (scope) return err(scope);
  const made = createKey(context, caller, input);
  if (!made.ok) return made;
  const { key, secret } = made.value;
  if (secret === undefined) return ok({ key });
  switch (reveal) {
    case "inline":
      return ok({ key, secret });
    case "none":
      return key.destinations.length > 0 ? ok({ key }) : err({ code: "no-receiver" });
    case "claim": {
      const version = context.store.versions.current(key.id);
      if (!version) throw new Error("a key was made without a value");
      const { claim, expiresAt } = openClaim(context, version, key.id, caller.id, { secret });
      const url = claimUrlAt(origin);
      return ok({ key, claim: { token: claim, url, expiresAt: new Date(expiresAt).toISOString() } });
    }
  }
}

/** What would show a secret to whoever looks at the key, or hears of this call. An agent that mistakes one for a name must not spread it. */
function findSpoken(context: EngineContext, caller: Caller, input: CreateKeyInput): FieldError[] {
  return Object.entries(input)
    .filter(([, part]) => textsOf(part).some((text) => holdsSecret(context, caller, text)))
    .map(([path]) => ({ path, message: "holds a secret, or what looks like one" }));
}

/** All words in a value, names of its parts included. */
function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, part]) => [name, ...textsOf(part)]);
}
