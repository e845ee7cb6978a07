/** What comes to a keyring with every request, and what goes back. */
import type { Failure } from "../errors/catalogue.ts";
import type { Result } from "../result.ts";
import type { Agent } from "./agent.ts";
import type { Credential } from "./caller.ts";
import type { Repeatable } from "./idempotency.ts";

export interface Call {
  credential: Credential;
  /** Method and path pattern, for the event that every use of a root token is. */
  route: string;
  /** Where the caller reached this deployment. */
  origin?: string;
  idempotency?: Repeatable | undefined;
  /** With a tool call. */
  agent?: Agent | undefined;
}

export type Answer<T> = Result<T, Failure>;
