/** Sources of signed leak reports: set up, list, turn off; and what signs them, for the Worker. */
import type { Failure } from "../../errors/catalogue.ts";
import { newSigningSecret } from "../../events/signing.ts";
import { err, ok, type Result } from "../../result.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import { askAgain } from "../../rotation/leak-reports.ts";
import { overlapEndsAt, secretsAt, withNew } from "../../rotation/secret-list.ts";
import { openSignalSecrets, sealSignalSecrets } from "../../rotation/signals.ts";
import { type SignalRow, type SignalSource, SOURCE_TRAITS } from "../../store/signals.ts";
import type { Caller } from "../caller.ts";
import { findCallerCooldown } from "../power.ts";

export interface SignalInput {
  /** Absent: a fresh one is made, unless only the connection changes. */
  secret?: string | undefined;
  /** Id or name of the connection over which the leaked value of an alert is fetched; null for none. */
  connection?: string | null | undefined;
}

export interface SignalView {
  source: SignalSource;
  /** Where its reports are sent. */
  url: string;
  connection: string | null;
  /** The last four characters of its secret. */
  hint: string;
  /** Until then the secret before this one counts, too. */
  oldSecretUntil: string | null;
  heardAt: string | null;
  createdAt: string;
  createdBy: string;
}

export interface SetSignal {
  signal: SignalView;
  /** Shown this once, when it was made here. */
  secret?: string;
}

/** What a source's reports are checked with, and where its alerts are read. */
export interface SignalKeys {
  secrets: string[];
  connectionId: string | null;
  /** Of the secrets, so that one that is out of date is noticed. */
  revision: number;
}

const HINT_LENGTH = 4;
const SECRET_BYTES = 32;
/** `heardAt` is written no more often. */
const HEARD_EVERY_MS = 3_600_000;

export function setSignal(
  context: EngineContext,
  caller: Caller,
  source: SignalSource,
  input: SignalInput,
  origin: string,
): Result<SetSignal, Failure> {
  const { store, random } = context;
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const connection = findConnection(context, source, input.connection);
  if (!connection.ok) return connection;
  const before = store.signals.get(source);
  const keepsSecret = before?.sealed && input.secret === undefined && input.connection !== undefined;
  const made =
    input.secret !== undefined || keepsSecret
      ? undefined
      : SOURCE_TRAITS[source].secret === "whsec"
        ? newSigningSecret(random)
        : Buffer.from(random(SECRET_BYTES)).toString("base64url");
  const secret = input.secret ?? made;
  const revision = (before?.revision ?? 0) + 1;
  const known = before ? openSignalSecrets(context, before) : [];
  const secrets = secret === undefined ? known : withNew(known, secret, context.now());
  const patch = {
    revision,
    sealed: sealSignalSecrets(context, source, revision, secrets),
    hint: secret === undefined ? (before?.hint ?? "") : secret.slice(-HINT_LENGTH),
    ...(input.connection !== undefined && { connectionId: connection.value }),
  };
  const row = before
    ? store.signals.update(before, patch)
    : store.signals.insert({
        id: source,
        connectionId: null,
        heardAt: null,
        createdAt: context.now(),
        createdBy: caller.id,
        ...patch,
      });
  // What could not be read for want of a connection may be readable now.
  if (input.connection) for (const unread of store.compromises.unread()) askAgain(context, unread);
  const changed = Object.keys(input).sort().join(" ") || "secret";
  record(context, { type: "signal.updated", actor: caller.id, data: { source, changed } });
  return ok({ signal: viewSignal(context, row, origin), ...(made !== undefined && { secret: made }) });
}

function findConnection(
  context: EngineContext,
  source: SignalSource,
  idOrName: string | null | undefined,
): Result<string | null, Failure> {
  if (idOrName === undefined || idOrName === null) return ok(null);
  const found = context.store.connections.find(idOrName);
  const reads = found && context.providerOf({ provider: found.provider }).readAlert !== undefined;
  const { hasAlerts } = SOURCE_TRAITS[source];
  if (found && reads && hasAlerts) return ok(found.id);
  const message = hasAlerts
    ? "must be the id or name of a connection whose provider reads alerts"
    : "is of use only to a source whose alerts do not say what leaked";
  return err({ code: "invalid", errors: [{ path: "connection", message }] });
}

/** Turns a source off: from now on none of its reports is believed. */
export function deleteSignal(
  context: EngineContext,
  caller: Caller,
  source: SignalSource,
): Result<void, Failure> {
  const { signals } = context.store;
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const row = signals.get(source);
  if (!row?.sealed) return err({ code: "not-found", detail: "this source is not set up" });
  // The row stays: a revision is never used twice.
  signals.update(row, { sealed: null, revision: row.revision + 1, connectionId: null, hint: "" });
  record(context, { type: "signal.deleted", actor: caller.id, data: { source } });
  return ok(undefined);
}

/** @param origin where the caller reached this deployment */
export function listSignals(context: EngineContext, origin: string): SignalView[] {
  return context.store.signals
    .all()
    .filter(({ sealed }) => sealed !== null)
    .map((row) => viewSignal(context, row, origin));
}

export function getSignal(
  context: EngineContext,
  source: SignalSource,
  origin: string,
): Result<SignalView, Failure> {
  const row = context.store.signals.get(source);
  return row?.sealed
    ? ok(viewSignal(context, row, origin))
    : err({ code: "not-found", detail: "this source is not set up" });
}

/** None for a source that is not set up: then no signature is good. */
export function keysOfSignal(context: EngineContext, source: SignalSource): SignalKeys {
  const row = context.store.signals.get(source);
  if (!row) return { secrets: [], connectionId: null, revision: 0 };
  const { connectionId, revision } = row;
  return { secrets: secretsAt(openSignalSecrets(context, row), context.now()), connectionId, revision };
}

/** Keeps that a source was heard of. */
export function noteHeard({ store, now }: EngineContext, source: SignalSource): void {
  const row = store.signals.get(source);
  if (row && (row.heardAt === null || row.heardAt + HEARD_EVERY_MS <= now())) {
    store.signals.update(row, { heardAt: now() });
  }
}

function viewSignal(context: EngineContext, row: SignalRow, origin: string): SignalView {
  const ends = overlapEndsAt(openSignalSecrets(context, row));
  return {
    source: row.id,
    url: `${context.publicUrl ?? origin}/hooks/${context.identity.code}/${row.id}`,
    connection: row.connectionId,
    hint: row.hint,
    oldSecretUntil: ends === null || ends <= context.now() ? null : new Date(ends).toISOString(),
    heardAt: row.heardAt === null ? null : new Date(row.heardAt).toISOString(),
    createdAt: new Date(row.createdAt).toISOString(),
    createdBy: row.createdBy,
  };
}
