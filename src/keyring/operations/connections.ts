/** Connections: the accounts at outside services, made, changed and tried; what opens them is never shown. */
import { z } from "zod";
import { destinationOf } from "../../destinations/registry.ts";
import type { Failure, FieldError } from "../../errors/catalogue.ts";
import { fieldErrorsOf } from "../../errors/fields.ts";
import type { PreflightResult, Provider } from "../../providers/provider.ts";
import { err, ok, type Result } from "../../result.ts";
import { configuredBy } from "../../rotation/configured.ts";
import {
  type ConnectionChange,
  type CredentialSource,
  connectionNotFound,
  deleteConnection,
  type NewConnection,
  usersOf,
} from "../../rotation/connections.ts";
import { connectionAt, type EngineContext, record } from "../../rotation/context.ts";
import type { ConnectionRow } from "../../store/connections.ts";
import type { KeyRow } from "../../store/keys.ts";
import { type Caller, findExcess } from "../caller.ts";
import { decodeCursor, type Page, type PageRequest, pageOf } from "../page.ts";
import { findCallerCooldown, isMaker } from "../power.ts";
import { type CallView, viewCall } from "../views.ts";
import { resumeDeliveries } from "./destinations.ts";
import { findAddressErrors, parseKeyConfig } from "./key-config.ts";
import { badCursor } from "./keys.ts";

/** What opens an account: the service's own fields, or `key` alone for the current value of a key here. */
export type CredentialInput = Record<string, string>;

export interface CreateConnectionInput {
  name: string;
  provider: string;
  config: Record<string, unknown>;
  credential?: CredentialInput | undefined;
}

export interface PatchConnectionInput {
  name?: string | undefined;
  config?: Record<string, unknown> | undefined;
  credential?: CredentialInput | undefined;
}

export interface ConnectionView {
  id: string;
  name: string;
  provider: string;
  config: Record<string, unknown>;
  /** Id of the key whose current value opens it. */
  credentialKey: string | null;
  /** Whose it is, as the service says. */
  account: string | null;
  /** Rises with each change. */
  revision: number;
  /** Ids of the keys on it, and of the destinations that go through it. */
  usedBy: string[];
  createdAt: string;
  createdBy: string;
}

export interface TestedConnection {
  connection: ConnectionView;
  ok: boolean;
  problem: string | null;
  call: CallView | null;
}

/** Checks a connection that is to be made, before its service is asked. */
export function checkNewConnection(
  context: EngineContext,
  caller: Caller,
  input: CreateConnectionInput,
): Result<NewConnection, Failure> {
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const provider = context.providerOf({ provider: input.provider });
  if (!provider.connection) {
    const message = `${provider.title} needs no connection`;
    return err({ code: "invalid", errors: [{ path: "provider", message }] });
  }
  const config = parseConfig(context, provider, input.config);
  const made = config.ok ? configuredBy(provider, config.value) : provider;
  const credential = parseCredential(made, input.credential);
  const errors = [...(config.ok ? [] : config.error), ...(credential.ok ? [] : credential.error)];
  if (errors.length > 0 || !config.ok || !credential.ok) return err({ code: "invalid", errors });
  const refusal = findLeak(context, caller, provider, credential.value, config.value);
  if (refusal) return err(refusal);
  const holder = context.store.connections.find(input.name);
  if (holder) return err({ code: "name-taken", holder: holder.id });
  const { name } = input;
  return ok({ name, provider: provider.name, config: config.value, credential: credential.value });
}

/** Checks a change, before the service is asked. Undefined when there is nothing to ask it. */
export function checkConnectionChange(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  input: PatchConnectionInput,
): Result<ConnectionChange | undefined, Failure> {
  const { store } = context;
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const row = store.connections.find(idOrName);
  const present = row && store.connections.revision(row.id, row.revision);
  if (!row || !present) return err(connectionNotFound());
  const holder = input.name === undefined ? undefined : store.connections.find(input.name);
  if (holder && holder.id !== row.id) return err({ code: "name-taken", holder: holder.id });
  if (input.config === undefined && input.credential === undefined) return ok(undefined);
  const provider = context.providerOf({ provider: row.provider });
  const config = input.config ? parseConfig(context, provider, input.config) : ok(present.config);
  const changed = config.ok ? configuredBy(provider, config.value) : provider;
  const credential = input.credential
    ? parseCredential(changed, input.credential)
    : keepCredential(context, row, changed);
  const errors = [...(config.ok ? [] : config.error), ...(credential.ok ? [] : credential.error)];
  if (errors.length > 0 || !config.ok || !credential.ok) return err({ code: "invalid", errors });
  const users = context.store.keys.onConnection(row.id);
  const isSame = isSameService(provider, present.config, config.value);
  const redirected = findRedirected(context, row, provider, present.config, config.value);
  // Whoever sends the values of its keys elsewhere sees them; and what a key was made by, it is also ended by.
  const isAble = isAsAble(configuredBy(provider, present.config), changed, users);
  const usedBy = isAble ? redirected : [...new Set([...users.map(({ id }) => id), ...redirected])];
  if (usedBy.length > 0) return err({ code: "in-use", usedBy });
  // The same goes for a credential that somebody else gave.
  const keepsCredential = input.credential === undefined && changed.connection?.credential !== undefined;
  const knowsAll = users.length === 0 && !keepsCredential;
  const isDelicate = input.config !== undefined && (!isSame || provider.connection?.isProgram === true);
  if (isDelicate && !knowsAll && caller.scopes !== "all") return err({ code: "root-required" });
  // Where the service does not say whose account a credential opens, another one may lead to a stranger's, and every next value come from there.
  if (input.credential && users.length > 0 && present.account === null && !isMaker(caller, row))
    return err({ code: "root-required" });
  const source =
    credential.value ?? (present.credentialKey === null ? { fields: {} } : { key: present.credentialKey });
  const refusal = findLeak(context, caller, provider, source, config.value);
  if (refusal) return err(refusal);
  return ok({
    ...(input.config && { config: config.value }),
    ...(credential.value && { credential: credential.value }),
  });
}

/** Gives a connection another name. Its service need not know. */
export function renameConnection(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  name: string | undefined,
): Result<ConnectionView, Failure> {
  const { store } = context;
  const row = store.connections.find(idOrName);
  if (!row) return err(connectionNotFound());
  if (name === undefined || name === row.name) return ok(viewConnection(context, row));
  const holder = store.connections.find(name);
  if (holder && holder.id !== row.id) return err({ code: "name-taken", holder: holder.id });
  const renamed = store.connections.update(row, { name });
  const data = { connectionId: row.id, changed: "name" };
  record(context, { type: "connection.updated", actor: caller.id, data });
  return ok(viewConnection(context, renamed));
}

/** What waits at destinations that go through a connection is tried now, as that is another one. */
export function resumeThrough(context: EngineContext, idOrName: string): void {
  const { store } = context;
  const row = store.connections.find(idOrName);
  for (const { id } of row ? store.destinations.ofConnection(row.id) : []) resumeDeliveries(context, id);
}

/** Deletes a connection that nothing goes through. */
export function removeConnection(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
): Result<void, Failure> {
  const cooldown = findCallerCooldown(context, caller);
  return cooldown ? err(cooldown) : deleteConnection(context, caller.id, idOrName);
}

export function getConnection(context: EngineContext, idOrName: string): Result<ConnectionView, Failure> {
  const row = context.store.connections.find(idOrName);
  return row ? ok(viewConnection(context, row)) : err(connectionNotFound());
}

export function listConnections(
  context: EngineContext,
  page: PageRequest,
): Result<Page<ConnectionView>, Failure> {
  const after = decodeCursor(page.cursor, "con");
  if (after === undefined) return err(badCursor());
  const rows = context.store.connections.list(after, page.limit + 1);
  return ok(pageOf(rows, page.limit, (row) => viewConnection(context, row)));
}

/** What a try of a stored connection says. */
export function describeTry(
  context: EngineContext,
  row: ConnectionRow,
  result: PreflightResult | undefined,
): TestedConnection {
  return {
    connection: viewConnection(context, row),
    ok: result?.kind === "green",
    problem: result?.kind === "red" ? result.problem : null,
    call: result?.report ? viewCall(result.report) : null,
  };
}

export function viewConnection(context: EngineContext, row: ConnectionRow): ConnectionView {
  const present = context.store.connections.revision(row.id, row.revision);
  return {
    id: row.id,
    name: row.name,
    provider: row.provider,
    config: present?.config ?? {},
    credentialKey: present?.credentialKey ?? null,
    account: present?.account ?? null,
    revision: row.revision,
    usedBy: usersOf(context, row),
    createdAt: new Date(row.createdAt).toISOString(),
    createdBy: row.createdBy,
  };
}

/** Ids of the keys and destinations whose values other settings would send elsewhere: whoever does that sees them. */
function findRedirected(
  { store }: EngineContext,
  { id }: ConnectionRow,
  provider: Provider,
  before: Record<string, unknown>,
  after: Record<string, unknown>,
): string[] {
  const keys = isSameService(provider, before, after) ? [] : store.keys.onConnection(id);
  const destinations = store.destinations.ofConnection(id).filter(({ type }) => {
    const { through } = destinationOf(type);
    return through && through.placeOf(before) !== through.placeOf(after);
  });
  return [...keys, ...destinations].map((user) => user.id);
}

function parseConfig(
  context: EngineContext,
  { connection }: Provider,
  input: Record<string, unknown>,
): Result<Record<string, unknown>, FieldError[]> {
  if (!connection) return err([{ path: "config", message: "goes with no connection" }]);
  const parsed = connection.config.safeParse(input);
  if (!parsed.success) return err(fieldErrorsOf(parsed.error.issues, ["config"]));
  const errors = findAddressErrors(context, connection.addresses(parsed.data));
  return errors.length > 0 ? err(errors) : ok(parsed.data);
}

/** The credential that is kept, if it has what the settings ask for. */
function keepCredential(
  context: EngineContext,
  { id, revision }: ConnectionRow,
  { title, connection }: Provider,
): Result<undefined, FieldError[]> {
  const present = connectionAt(context, id, revision)?.credential ?? {};
  const has = Object.keys(present);
  const isOwn = context.store.connections.revision(id, revision)?.credentialKey === null;
  const asked = isOwn ? connection?.credential?.safeParse(present) : undefined;
  if (asked === undefined || asked.success) return ok(undefined);
  const message = `is needed again: ${title} takes other fields now than ${has.join(", ") || "none"}`;
  return err([{ path: "credential", message }]);
}

/** Whether keys that were made under one set of settings can be kept, replaced and ended under another. */
function isAsAble(before: Provider, after: Provider, keys: readonly KeyRow[]): boolean {
  const abilitiesOf = (one: Provider) =>
    JSON.stringify([
      one.overlap,
      one.repeatsMint,
      one.needsFirst ?? false,
      one.fields ? z.toJSONSchema(one.fields) : null,
      ...(["test", "revoke", "disable", "find", "list", "lastUsed"] as const).map((name) => name in one),
    ]);
  return (
    abilitiesOf(before) === abilitiesOf(after) && keys.every(({ config }) => parseKeyConfig(after, config).ok)
  );
}

function parseCredential(
  { title, connection }: Provider,
  input: CredentialInput | undefined,
): Result<CredentialSource, FieldError[]> {
  if (!connection?.credential) {
    return input === undefined
      ? ok({ fields: {} })
      : err([{ path: "credential", message: `${title} takes none: the key itself opens the account` }]);
  }
  const isNeeded = !connection.credential.safeParse({}).success;
  if (input === undefined && isNeeded)
    return err([{ path: "credential", message: `is needed to reach the account at ${title}` }]);
  const { key, ...rest } = input ?? {};
  if (key !== undefined && Object.keys(rest).length === 0) return ok({ key });
  const { success, data, error } = connection.credential.safeParse(input ?? {});
  return success ? ok({ fields: data }) : err(fieldErrorsOf(error.issues, ["credential"]));
}

/** Whether settings send values to the same places as others do. */
function isSameService(
  { connection }: Provider,
  one: Record<string, unknown>,
  other: Record<string, unknown>,
): boolean {
  const placesOf = (config: Record<string, unknown>) => JSON.stringify(connection?.addresses(config).sort());
  return placesOf(one) === placesOf(other);
}

/** Whether settings send values nowhere but to where the service is when nobody says otherwise. */
function isUsualPlace({ connection }: Provider, config: Record<string, unknown>): boolean {
  if (!connection || connection.isProgram) return false;
  let needed = config;
  for (const name of Object.keys(config)) {
    const { [name]: _, ...rest } = needed;
    if (connection.config.safeParse(rest).success) needed = rest;
  }
  // What has no default may say where values go, too.
  if (Object.values(needed).some((value) => typeof value === "string" && URL.canParse(value))) return false;
  const usual = connection.addresses(connection.config.parse(needed));
  return connection.addresses(config).every((address) => usual.includes(address));
}

/**
 * Refuses to send a value that the caller may not see: that of an access key with scopes beyond the caller's, or of any key to an address
 * of the caller's own choice.
 */
function findLeak(
  context: EngineContext,
  caller: Caller,
  provider: Provider,
  source: CredentialSource,
  config: Record<string, unknown>,
): Failure | undefined {
  if (!("key" in source)) return undefined;
  const key = context.store.keys.find(source.key);
  if (!key) return { code: "not-found", detail: "no key has the id or name in credential.key" };
  const excess = findExcess(context, caller, key);
  if (excess) return excess;
  if (caller.scopes === "all" || isUsualPlace(provider, config)) return undefined;
  const message =
    "may not send the value of a key to an address of one's own choice; only root may make such a connection";
  return { code: "invalid", errors: [{ path: "config", message }] };
}
