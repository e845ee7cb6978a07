/** Whether a text has a value of this keyring in it, or what looks like one: what is kept in the open must not. */
import type { EngineContext } from "../rotation/context.ts";
import { actingOf } from "./agent.ts";
import type { Caller } from "./caller.ts";

const HIDDEN = "[secret]";

/** Goes by what would be taken out of it before it went into the history. */
export function holdsSecret(context: EngineContext, caller: Caller, text: string): boolean {
  return text.split(/[\s\p{Cc}\p{Cf}]+/u).some((word) => {
    const { reason = "" } = actingOf(context, caller, { client: "", reason: word, isDestructive: false });
    return reason.split(HIDDEN).length > word.split(HIDDEN).length;
  });
}
