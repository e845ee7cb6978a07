/** What an agent says of itself with a tool call, as it goes into the history: short, printable, and no secret of this keyring. */
import type { Acting, EngineContext } from "../rotation/context.ts";
import { withoutValues } from "../rotation/withheld.ts";
import type { Caller } from "./caller.ts";

/** What comes with a tool call. */
export interface Agent {
  /** The program that called, as it names itself. */
  client: string;
  reason?: string | undefined;
  /** The call may destroy something: of these there are only so many a minute. */
  isDestructive: boolean;
}

const MAX_CLIENT = 100;
const MAX_REASON = 500;

/** The agent behind a call. */
export function actingOf(context: EngineContext, { id }: Caller, { client, reason }: Agent): Acting {
  return {
    actor: id,
    client: speakable(context, client, MAX_CLIENT) || "unnamed",
    ...(reason !== undefined && { reason: speakable(context, reason, MAX_REASON) }),
  };
}

/** A text without control characters, of bounded length, with what is or looks like a value of this keyring taken out. */
function speakable(context: EngineContext, text: string, maxLength: number): string {
  const plain = text.replace(/[\s\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ");
  return withoutValues(context, plain).trim().slice(0, maxLength);
}
