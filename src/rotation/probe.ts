/** Asks a destination whether it can be reached, and keeps the answer with it. */

import type { DestinationContext, SendResult } from "../destinations/destination.ts";
import { destinationOf } from "../destinations/registry.ts";
import type { DestinationRow, DestinationState } from "../store/destinations.ts";
import { connectionAt, type EngineContext, newMessageId, record } from "./context.ts";
import { secretsAt } from "./secret-list.ts";
import { openSigningSecrets } from "./signing-secrets.ts";

export interface Probe {
  name: string;
  result: SendResult;
  /** Whether the answer differs from what is thought of it. One that is well is noted when it is sent something. */
  isNews: boolean;
  /** Stores the answer, inside a transaction. */
  commit(): DestinationRow | undefined;
}

/** Sends one probe. It carries no secret. */
export async function probeDestination(context: EngineContext, row: DestinationRow): Promise<Probe> {
  const result = await destinationOf(row.type).probe(destinationContext(context, row));
  const isNews = row.state !== "ready" || result.kind !== "held";
  return { name: row.name, result, isNews, commit: () => noteResult(context, row, result) };
}

/**
 * What a destination's type sees.
 * @param isUrgent whether its calls are an emergency's
 */
export function destinationContext(
  context: EngineContext,
  row: DestinationRow,
  isUrgent = false,
): DestinationContext {
  const { through } = destinationOf(row.type);
  const account = through && connectionIdOf(row);
  return {
    destinationId: row.id,
    config: row.config,
    signingSecrets: secretsAt(openSigningSecrets(context, row), context.now()),
    keyring: context.identity.name,
    outbound: context.outbound,
    connection: account === undefined ? undefined : connectionAt(context, account, null),
    // Everything on a connection shares what its service allows.
    spend: () =>
      through && account ? context.spend(account, context.providerOf(through).rateLimit, isUrgent) : 0,
    now: context.now(),
    newId: () => newMessageId(context),
  };
}

/** Id of the connection that a destination goes through, of a type that has one: it was put there when the config was checked. */
function connectionIdOf({ config }: Pick<DestinationRow, "config">): string {
  return String(config.connection);
}

/** Where the connection of a destination leads; undefined for a type that has none. */
export function accountOf({ store }: EngineContext, row: DestinationRow): string | undefined {
  const { through } = destinationOf(row.type);
  const connection = through && store.connections.get(connectionIdOf(row));
  const present = connection && store.connections.revision(connection.id, connection.revision);
  return present && through?.placeOf(present.config);
}

/** A row written once a minute at most while all is well. */
const PROOF_GRAIN_MS = 60_000;

/**
 * Keeps what a destination answered, to a probe or a delivery. A change of its health is an event.
 * @param asked the destination as it was when it was asked: an answer says nothing of a config that came after it
 * @returns the destination as it is now
 */
export function noteResult(
  context: EngineContext,
  asked: Pick<DestinationRow, "id" | "revision">,
  result: SendResult,
): DestinationRow | undefined {
  const { store } = context;
  const { id } = asked;
  const row = store.destinations.get(id);
  if (row?.revision !== asked.revision) return row;
  const now = context.now();
  if (result.kind === "held") {
    if (row.state === "ready" && (row.provenAt ?? 0) > now - PROOF_GRAIN_MS) return row;
    if (row.state === "failing" || row.state === "disabled") {
      record(context, { type: "delivery.recovered", actor: "rekey", data: { destinationId: id } });
    }
    return store.destinations.update(row, {
      state: "ready",
      provenAt: now,
      probeAttempt: 0,
      lastCall: result.report,
    });
  }
  return markUnwell(context, row, result.kind === "gone" ? "disabled" : row.state, result);
}

/** Marks a destination that did not answer; an event goes out when it was thought well before. */
export function markUnwell(
  context: EngineContext,
  row: DestinationRow,
  state: DestinationState,
  result: Exclude<SendResult, { kind: "held" }>,
): DestinationRow {
  if (state !== row.state && (state === "failing" || state === "disabled")) {
    record(context, {
      type: "delivery.failing",
      actor: "rekey",
      data: { destinationId: row.id, state, problem: result.problem },
    });
  }
  return context.store.destinations.update(row, {
    state,
    probeAttempt: row.probeAttempt + 1,
    lastCall: result.report,
  });
}
