/** Everything the engine is given: clock, randomness, database, the way out. A test or a simulation owns each of them. */
import type { Random } from "../crypto/random.ts";
import type { Vault } from "../crypto/vault.ts";
import type { NewEvent } from "../events/catalogue.ts";
import { appendEvent } from "../events/chain.ts";
import { newId } from "../ids.ts";
import { judge } from "../issuer/judge.ts";
import { formatToken, newVersionId } from "../issuer/token.ts";
import type { Allowance } from "../outbound/budget.ts";
import type { Outbound } from "../outbound/port.ts";
import type { Records } from "../outbound/records.ts";
import type { Credential, Provider, ProviderConnection, ProviderContext } from "../providers/provider.ts";
import type { KeyRow } from "../store/keys.ts";
import type { Trigger } from "../store/rotations.ts";
import type { KeyringIdentity } from "../store/settings.ts";
import type { Store } from "../store/store.ts";
import type { VersionRow } from "../store/versions.ts";
import { noteForHealth } from "./health.ts";
import { openFields } from "./values.ts";
import { wakeSubscribers } from "./wake.ts";

/** Somebody outside of the keyring, whom no restore of its database takes back in time. Its methods may fail. */
export interface Witness {
  /** Keeps how far the history has come and which versions are dead. */
  anchor(head: { seq: number; hash: Uint8Array }, dead: readonly string[]): Promise<void>;
  /**
   * The scheduled time of a recent cron, milliseconds since the epoch, or null before the first.
   * @param isEnough whether a time that is known already will do
   */
  lastCronAt(isEnough: (at: number) => boolean): Promise<number | null>;
}

/** Whose provider it is. */
export interface ProviderRef {
  provider: string;
  connectionId?: string | null;
  /** The key's own settings, checked. */
  config?: Record<string, unknown>;
}

/** The agent for whom something is done by a tool: its access key, and what it says of itself. */
export interface Acting {
  /** Id of the access key. */
  actor: string;
  /** The program that called. */
  client: string;
  /** Why, in its words. */
  reason?: string | undefined;
}

export interface EngineContext {
  readonly store: Store;
  readonly identity: KeyringIdentity;
  readonly vault: Vault;
  readonly outbound: Outbound;
  readonly records: Records;
  readonly witness: Witness;
  readonly random: Random;
  /** Where this deployment is reached, when it was told. */
  readonly publicUrl?: string | undefined;
  /** While a tool of an agent is served. */
  readonly acting?: Acting | undefined;
  /** The provider of a stored key, as its connection's settings or its own make it. */
  providerOf(key: ProviderRef): Provider;
  /**
   * Takes one call from what a service allows an account: 0 to go ahead, else how long to wait, milliseconds.
   * @param isUrgent for an emergency, for which a part is kept back
   */
  spend(account: string, allowance: Allowance | undefined, isUrgent: boolean): number;
  /** How many calls of an account that are no emergency could go out now. */
  ordinaryLeft(account: string, allowance: Allowance): number;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Appends to the history, inside the present transaction. What an agent does says by which program and why. */
export function record(context: EngineContext, event: NewEvent): void {
  const { store, now, random, acting } = context;
  const key = event.keyId === undefined ? undefined : store.keys.get(event.keyId);
  const told =
    acting?.actor === event.actor ? { ...event, data: { ...event.data, ...saidBy(acting) } } : event;
  const row = appendEvent(store.events, told, now(), random, key?.revision);
  wakeSubscribers(store, row, key, now());
  noteForHealth(store, event.type, now());
}

function saidBy({ client, reason }: Acting): Record<string, string> {
  return { client, ...(reason !== undefined && { reason }) };
}

/** What somebody's wish for a rotation goes by. */
export function triggerOf({ acting }: EngineContext): Trigger {
  return acting ? "agent" : "manual";
}

/** A random number in [0, 1). */
export function randomUnit(random: Random): number {
  return Buffer.from(random(4)).readUInt32BE(0) / 0x1_0000_0000;
}

/** A fresh id for a message to a destination. */
export function newMessageId(context: EngineContext): string {
  return newId("dlv", context.now(), context.random);
}

/**
 * What a provider sees of this keyring.
 * @param revision of the key's connection; default the present one
 * @param isUrgent whether its calls are an emergency's
 */
export function providerContext(
  context: EngineContext,
  key: KeyRow,
  old: VersionRow | undefined,
  revision: number | null = null,
  isUrgent = false,
): ProviderContext {
  const { connectionId, name, prefix, config } = key;
  const connection = connectionId === null ? undefined : connectionAt(context, connectionId, revision);
  const account = connectionId ?? key.id;
  const asked = { account, name, prefix, config, connection, old, isUrgent };
  return providerPort(context, context.providerOf(key), asked);
}

/** For whom a provider is asked. */
interface Asked {
  /** What its calls are counted for: the connection, or the key where it is its own. */
  account: string;
  name: string;
  prefix: string;
  config: Record<string, unknown>;
  connection: ProviderConnection | undefined;
  old: VersionRow | undefined;
  isUrgent?: boolean;
}

/** The same, for an account that need not be stored. */
export function providerPort(
  context: EngineContext,
  { rateLimit }: Provider,
  { account, old, isUrgent = false, ...asked }: Asked,
): ProviderContext {
  const { store, identity, random } = context;
  return {
    ...asked,
    outbound: context.outbound,
    spend: () => context.spend(account, rateLimit, isUrgent),
    now: context.now(),
    old: old && credentialOf(context, old),
    issuer: {
      issue(ofPrefix) {
        const reference = newVersionId(context.now(), random);
        return { secret: formatToken(ofPrefix, identity.code, reference, random), reference };
      },
      accepts(reference) {
        const version = store.versions.get(reference);
        const owner = version && store.keys.get(version.keyId);
        return (
          version !== undefined && owner !== undefined && judge(version, owner, context.now()) === "valid"
        );
      },
    },
  };
}

/** A connection opened: undefined when it is gone, or when the key that opens it has no value. */
export function connectionAt(
  context: EngineContext,
  connectionId: string,
  pinned: number | null,
): ProviderConnection | undefined {
  const { store, vault } = context;
  const revision = pinned ?? store.connections.get(connectionId)?.revision ?? 0;
  const row = store.connections.revision(connectionId, revision);
  if (!row) return undefined;
  const { config, sealed, credentialKey } = row;
  if (sealed) {
    const credential = JSON.parse(
      vault.open(credentialPlace(connectionId, revision), sealed),
    ) as ProviderConnection["credential"];
    return { config, credential };
  }
  const current = credentialKey === null ? undefined : store.versions.current(credentialKey);
  const credential = current && openFields(context, current);
  return credential && { config, credential };
}

export function credentialPlace(connectionId: string, revision: number) {
  return { table: "connection", id: connectionId, revision, purpose: "credential" };
}

/** A version as its provider knows it. Its value is opened when it is looked at: Rekey's own keys are tested without. */
export function credentialOf(context: EngineContext, version: VersionRow): Credential {
  return {
    reference: version.reference ?? "",
    get fields() {
      return openFields(context, version);
    },
  };
}
