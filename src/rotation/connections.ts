/**
 * The accounts at services outside. A live rotation keeps to the revision that it began with, so that what it minted is looked for where
 * it was minted; a change has to pass its test first.
 */
import type { Failure } from "../errors/catalogue.ts";
import { newId } from "../ids.ts";
import type { PreflightResult, Provider, ProviderConnection } from "../providers/provider.ts";
import { err, ok, type Result } from "../result.ts";
import type { ConnectionRevisionRow, ConnectionRow } from "../store/connections.ts";
import type { KeyRow } from "../store/keys.ts";
import type { RotationRow } from "../store/rotations.ts";
import { configuredBy } from "./configured.ts";
import { connectionAt, credentialPlace, type EngineContext, providerPort, record } from "./context.ts";
import { mayHaveMinted } from "./facts.ts";
import { openFields } from "./values.ts";

/** What opens an account: fields of its own, or the current value of a key of this keyring. */
export type CredentialSource = { fields: Record<string, string> } | { key: string };

export interface NewConnection {
  name: string;
  provider: string;
  config: Record<string, unknown>;
  credential: CredentialSource;
}

export interface ConnectionChange {
  config?: Record<string, unknown> | undefined;
  credential?: CredentialSource | undefined;
}

/** Makes a connection, once its service has let it in. */
export async function createConnection(
  context: EngineContext,
  actor: string,
  wanted: NewConnection,
): Promise<Result<ConnectionRow, Failure>> {
  const tested = await tryNewConnection(context, wanted);
  if (!tested.ok) return tested;
  return context.store.transaction(() => insertConnection(context, actor, wanted, tested.value));
}

/** A connection that its service let in, and whose it said that it is. */
export interface TriedConnection {
  id: string;
  account: string | null;
}

/** Has the service try a connection that is to be made. Nothing is stored. */
export async function tryNewConnection(
  context: EngineContext,
  { provider: name, config, credential }: NewConnection,
): Promise<Result<TriedConnection, Failure>> {
  const id = newId("con", context.now(), context.random);
  const opened = openSource(context, id, credential);
  if (!opened.ok) return opened;
  const provider = configuredBy(context.providerOf({ provider: name }), config);
  const tested = await tryConnection(context, id, provider, { config, credential: opened.value });
  return tested.ok ? ok({ id, account: tested.value.account ?? null }) : tested;
}

/** Stores a connection that was tried. Inside the caller's transaction. */
export function insertConnection(
  context: EngineContext,
  actor: string,
  { name, provider, config, credential }: NewConnection,
  { id, account }: TriedConnection,
): Result<ConnectionRow, Failure> {
  const { store } = context;
  const holder = store.connections.find(name);
  if (holder) return err({ code: "name-taken", holder: holder.id });
  const row = store.connections.insert({
    id,
    name,
    provider,
    revision: 1,
    createdAt: context.now(),
    createdBy: actor,
  });
  store.connections.addRevision(revisionRow(context, row, config, credential, { account }));
  record(context, { type: "connection.created", actor, data: { connectionId: id, name, provider } });
  return ok(row);
}

/** Asks the service of a stored connection whether it lets it in, as it is now. */
export async function testConnection(context: EngineContext, row: ConnectionRow): Promise<PreflightResult> {
  const opened = connectionAt(context, row.id, row.revision);
  if (!opened) return { kind: "red", problem: "its credential has no value that is kept" };
  const provider = configuredBy(context.providerOf({ provider: row.provider }), opened.config);
  return provider.preflight(
    providerPort(context, provider, { ...NOBODY, account: row.id, connection: opened }),
  );
}

/** No key in particular. */
const NOBODY = { name: "", prefix: "", config: {}, old: undefined };

/**
 * Changes a connection under a new revision, which must pass its test. Rotations that can have made nothing yet take it up, and so do
 * all when the service says that it is the same account; the others keep to theirs until they end or are retried.
 * @param findRefusal why it may not be after all: others may have come to use it while the service was asked
 */
export async function changeConnection(
  context: EngineContext,
  actor: string,
  idOrName: string,
  change: ConnectionChange,
  findRefusal: () => Failure | undefined = () => undefined,
): Promise<Result<ConnectionRow, Failure>> {
  const { store } = context;
  const before = store.connections.find(idOrName);
  const present = before && store.connections.revision(before.id, before.revision);
  if (!before || !present) return err(connectionNotFound());
  const config = change.config ?? present.config;
  const opened = change.credential
    ? openSource(context, before.id, change.credential)
    : ok(connectionAt(context, before.id, before.revision)?.credential);
  if (!opened.ok) return opened;
  const provider = configuredBy(context.providerOf({ provider: before.provider }), config);
  const tested = await tryConnection(context, before.id, provider, { config, credential: opened.value });
  if (!tested.ok) return tested;
  return store.transaction(() => {
    const fresh = store.connections.get(before.id);
    if (fresh?.revision !== before.revision) return err({ code: "changed-meanwhile" });
    const refusal = findRefusal();
    if (refusal) return err(refusal);
    const row = store.connections.update(fresh, { revision: fresh.revision + 1 });
    const source: CredentialSource =
      change.credential ??
      (present.credentialKey === null
        ? { fields: connectionAt(context, row.id, before.revision)?.credential ?? {} }
        : { key: present.credentialKey });
    const next = revisionRow(context, row, config, source, tested.value);
    store.connections.addRevision(next);
    // Each keeps to where it was made, which may be another place than the connection's present one.
    const madeAt = (pinned: number | null) =>
      pinned === null ? present : store.connections.revision(row.id, pinned);
    for (const rotation of store.rotations.liveOnConnection(row.id)) {
      const isSame = next.account !== null && next.account === madeAt(rotation.connectionRevision)?.account;
      if (isSame || !mayHaveMinted(context, rotation)) repin(context, rotation, row.revision);
    }
    for (const version of store.keys
      .onConnection(row.id)
      .flatMap(({ id: keyId }) => store.versions.alive(keyId))) {
      const place = madeAt(version.connectionRevision);
      if (place && isSamePlace(place, next))
        store.versions.update(version, { connectionRevision: row.revision });
    }
    store.connections.pruneRevisions(row);
    const changed = Object.keys(change).sort().join(" ");
    record(context, { type: "connection.updated", actor, data: { connectionId: row.id, changed } });
    return ok(row);
  });
}

/** Ids of what goes through a connection: keys, destinations, and sources of leak reports. */
export function usersOf({ store }: EngineContext, { id: connectionId }: ConnectionRow): string[] {
  const users = [
    ...store.keys.onConnection(connectionId),
    ...store.destinations.ofConnection(connectionId),
    ...store.signals.throughConnection(connectionId),
  ];
  return users.map(({ id }) => id);
}

/** Deletes a connection that nothing goes through. */
export function deleteConnection(
  context: EngineContext,
  actor: string,
  idOrName: string,
): Result<void, Failure> {
  const { store } = context;
  const row = store.connections.find(idOrName);
  if (!row) return err(connectionNotFound());
  const usedBy = usersOf(context, row);
  if (usedBy.length > 0) return err({ code: "in-use", usedBy });
  store.connections.remove(row);
  record(context, { type: "connection.deleted", actor, data: { connectionId: row.id, name: row.name } });
  return ok(undefined);
}

/** A rotation goes on with the connection's present revision, if that is the same place: what it minted must be looked for there. */
export function repinToPresent(context: EngineContext, rotation: RotationRow): RotationRow {
  const { store } = context;
  const connectionId = store.keys.get(rotation.keyId)?.connectionId ?? null;
  const row = connectionId === null ? undefined : store.connections.get(connectionId);
  const next = row && store.connections.revision(row.id, row.revision);
  const pinned = row && store.connections.revision(row.id, rotation.connectionRevision ?? row.revision);
  if (!next || (mayHaveMinted(context, rotation) && pinned && !isSamePlace(pinned, next))) return rotation;
  return store.rotations.update(rotation, { connectionRevision: next.revision });
}

/** Whether what was made under one revision is found under another: the service says the same account, or the settings are the same. */
function isSamePlace(one: ConnectionRevisionRow, other: ConnectionRevisionRow): boolean {
  if (one.account !== null && other.account !== null) return one.account === other.account;
  return JSON.stringify(one.config) === JSON.stringify(other.config);
}

/**
 * Why a rotation has to wait for another one, or undefined: the key that opens its connection is being replaced, or it is itself such a
 * key, its old value dies when the new one is minted, and others are in the middle of using it.
 */
export function findHold(
  context: EngineContext,
  key: KeyRow,
  { mints }: Pick<RotationRow, "mints">,
): string | undefined {
  const { store } = context;
  const opener = openerOf(context, key);
  // One that has asked for something already is waited for by the opener, so it must not wait itself.
  if (mints === 0 && opener && isBeingReplaced(context, opener)) {
    return "the key that opens its connection is being rotated";
  }
  if (context.providerOf(key).overlap !== "none") return undefined;
  const users = store.connections
    .openedBy(key.id)
    .flatMap((connection) => store.rotations.liveOnConnection(connection.id))
    .filter((rotation) => rotation.mints > 0);
  return users.length > 0 ? `${users.length} rotations are using this key as their connection's` : undefined;
}

/**
 * A rotation came to its end: what it made is reached by the connection's present credential from now on, if that leads to the same
 * place, and revisions that only the rotation kept to go, with their credentials.
 */
export function dropRevisions({ store }: EngineContext, rotation: RotationRow): void {
  const connectionId = store.keys.get(rotation.keyId)?.connectionId ?? null;
  const connection = connectionId === null ? undefined : store.connections.get(connectionId);
  const pinned = rotation.connectionRevision;
  if (!connection || pinned === null || pinned === connection.revision) return;
  const place = store.connections.revision(connection.id, pinned);
  const present = store.connections.revision(connection.id, connection.revision);
  if (place && present && isSamePlace(place, present)) {
    for (const version of store.versions.alive(rotation.keyId)) {
      if (version.connectionRevision === pinned)
        store.versions.update(version, { connectionRevision: connection.revision });
    }
  }
  store.connections.pruneRevisions(connection);
}

/** A rotation came to its end: whoever waited for it looks now. */
export function wakeWaiting(context: EngineContext, rotation: RotationRow): void {
  const { store } = context;
  const key = store.keys.get(rotation.keyId);
  if (!key) return;
  const opener = openerOf(context, key);
  const waiting = store.connections
    .openedBy(key.id)
    .flatMap(({ id }) => store.rotations.liveOnConnection(id));
  const openers = opener === null ? undefined : store.rotations.live(opener);
  if (openers) waiting.push(openers);
  for (const row of waiting) {
    if (row.step === "preflight" && row.leaseUntil === null) {
      store.rotations.update(row, { dueAt: context.now() });
    }
  }
}

/** What is said of an id or name that no connection has. */
export function connectionNotFound(): Failure {
  return { code: "not-found", detail: "no connection has this id or name" };
}

/** Id of the key whose value opens the connection that a key is on. */
export function openerOf(
  { store }: EngineContext,
  { connectionId }: Pick<KeyRow, "connectionId">,
): string | null {
  const row = connectionId === null ? undefined : store.connections.get(connectionId);
  return (row && store.connections.revision(row.id, row.revision)?.credentialKey) ?? null;
}

/** Whether a rotation of a key is live whose new value is not current yet. */
export function isBeingReplaced({ store }: EngineContext, keyId: string): boolean {
  const rotation = store.rotations.live(keyId);
  const number = rotation?.toVersion ?? null;
  const next = number === null ? undefined : store.versions.byNumber(keyId, number);
  return rotation !== undefined && next?.stage !== "current";
}

function openSource(
  context: EngineContext,
  connectionId: string,
  source: CredentialSource,
): Result<Record<string, string> | undefined, Failure> {
  if ("fields" in source) return ok(source.fields);
  const { store } = context;
  const key = store.keys.find(source.key);
  if (!key) return err({ code: "not-found", detail: "no key has this id or name" });
  // Rotating a key must never need the connection that it opens.
  const seen = new Set<string>();
  for (let next: string | null = key.id; next !== null && !seen.has(next); ) {
    seen.add(next);
    const user = store.keys.get(next);
    if (user?.connectionId === connectionId) return err({ code: "connection-cycle" });
    next = user ? openerOf(context, user) : null;
  }
  const current = store.versions.current(key.id);
  return ok(current && openFields(context, current));
}

async function tryConnection(
  context: EngineContext,
  account: string,
  provider: Provider,
  { config, credential }: { config: Record<string, unknown>; credential: Record<string, string> | undefined },
): Promise<Result<Extract<PreflightResult, { kind: "green" }>, Failure>> {
  if (!credential)
    return err({ code: "connection-rejected", detail: "its credential has no value that is kept" });
  const connection: ProviderConnection = { config, credential };
  const result = await provider.preflight(
    providerPort(context, provider, { ...NOBODY, account, connection }),
  );
  return result.kind === "green" ? ok(result) : err({ code: "connection-rejected", detail: result.problem });
}

function revisionRow(
  context: EngineContext,
  { id, revision }: ConnectionRow,
  config: Record<string, unknown>,
  source: CredentialSource,
  { account = null }: { account?: string | null },
): ConnectionRevisionRow {
  const row = { connectionId: id, revision, config, account };
  if ("key" in source) {
    return { ...row, sealed: null, credentialKey: context.store.keys.find(source.key)?.id ?? source.key };
  }
  const sealed = context.vault.seal(credentialPlace(id, revision), JSON.stringify(source.fields));
  return { ...row, sealed, credentialKey: null };
}

/** A worker that holds the row at preflight begins anew; nothing of it took effect. Any other goes on with what it has begun. */
function repin({ store, now }: EngineContext, rotation: RotationRow, connectionRevision: number): void {
  const begun = rotation.step === "preflight";
  store.rotations.update(rotation, {
    connectionRevision,
    ...(begun && { attempt: 0, dueAt: now(), leaseUntil: null, claim: rotation.claim + 1 }),
  });
}
