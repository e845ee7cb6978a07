/** Makes a key: issues its first value, adopts one, or has the service outside make it. */
import type { Failure, FieldError } from "../../errors/catalogue.ts";
import { fieldErrorsOf } from "../../errors/fields.ts";
import { newId } from "../../ids.ts";
import { DEFAULT_PREFIX, formatToken, newVersionId, parseToken } from "../../issuer/token.ts";
import type { Fields, Provider } from "../../providers/provider.ts";
import { err, ok, type Result } from "../../result.ts";
import { reschedule, startRotation } from "../../rotation/changes.ts";
import { type EngineContext, record, triggerOf } from "../../rotation/context.ts";
import { publish } from "../../rotation/edge.ts";
import { isPlanned } from "../../rotation/policy.ts";
import { addDelivery } from "../../rotation/sends.ts";
import { valueColumns } from "../../rotation/values.ts";
import type { ConnectionRow } from "../../store/connections.ts";
import { NEW_KEY, type Policy } from "../../store/keys.ts";
import { NEW_VERSION, type VersionRow } from "../../store/versions.ts";
import { type Caller, findExcess } from "../caller.ts";
import { findCallerCooldown, findRoleExcess } from "../power.ts";
import { isScope } from "../scopes.ts";
import { type KeyView, viewKey } from "../views.ts";
import { findAddressErrors, parseKeyConfig } from "./key-config.ts";
import { type LinkInput, resolveLinks } from "./links.ts";
import { findPolicyErrors, type PolicyChoice, resolvePolicy } from "./policies.ts";
import { changeVerification, findVerificationErrors, type VerificationInput } from "./verification.ts";

export interface CreateKeyInput {
  name: string;
  provider: string;
  /** Id or name. */
  connection?: string | undefined;
  /** Its own settings at the service. */
  config?: Record<string, unknown> | undefined;
  prefix?: string | undefined;
  scopes: string[];
  role?: "operator" | "agent" | undefined;
  subject?: string | undefined;
  /** Milliseconds since the epoch. */
  expiresAt?: number | undefined;
  labels: Record<string, string>;
  policy: PolicyChoice;
  verification?: VerificationInput | undefined;
  destinations: LinkInput[];
  fields?: Fields | undefined;
  /** How the service names the adopted value. */
  reference?: string | undefined;
  /** Milliseconds since the epoch. */
  issuedAt?: number | undefined;
}

export interface CreatedKey {
  key: KeyView;
  /** The issued value, this once; absent for an adopted key. */
  secret?: string;
}

/** Creates an issued key, or adopts an existing value. Version 1 is current in the commit that answers. */
export function createKey(
  context: EngineContext,
  caller: Caller,
  input: CreateKeyInput,
): Result<CreatedKey, Failure> {
  const { store, random } = context;
  const now = context.now();
  const { provider: providerName } = input;
  const connection = resolveConnection(
    context,
    context.providerOf({ provider: providerName }),
    input.connection,
  );
  const connectionId = connection.ok ? (connection.value?.id ?? null) : null;
  const config = parseKeyConfig(context.providerOf({ provider: providerName, connectionId }), input.config);
  const provider = context.providerOf({
    provider: providerName,
    connectionId,
    ...(config.ok && { config: config.value }),
  });
  const policy = resolvePolicy(context, input.policy);
  const errors = findErrors(provider, input, now);
  if (!policy.ok) errors.push(policy.error);
  else {
    errors.push(...findPolicyErrors(provider, policy.value.policy, input.verification?.edge));
    if (needsReceiver(provider, policy.value.policy) && input.destinations.length === 0)
      errors.push(NO_RECEIVER);
  }
  if (!connection.ok) errors.push(connection.error);
  if (!config.ok) errors.push(...config.error);
  else errors.push(...findAddressErrors(context, provider.addresses?.(config.value) ?? []));
  if (input.fields && provider.adopts)
    errors.push(...findValueErrors(context, provider, input.fields, input.reference));
  if (errors.length > 0 || !connection.ok || !policy.ok || !config.ok)
    return err({ code: "invalid", errors });
  const opens = provider.opensApi;
  const excess =
    findExcess(context, caller, input) ??
    findRoleExcess(context, caller, input) ??
    (opens ? findCallerCooldown(context, caller) : undefined);
  if (excess) return err(excess);
  const holder = store.keys.byName(input.name);
  if (holder) return err({ code: "name-taken", holder: holder.id });
  const id = newId("key", now, random);
  const links = resolveLinks(context, id, input.name, input.destinations);
  if (!links.ok) return links;

  const prefix = input.prefix ?? DEFAULT_PREFIX;
  const first = firstVersion(context, provider, prefix, input, links.value.length > 0);
  const key = store.keys.insert({
    ...NEW_KEY,
    id,
    name: input.name,
    provider: provider.name,
    connectionId,
    config: config.value,
    prefix,
    scopes: input.scopes,
    role: input.role ?? null,
    subject: input.subject ?? null,
    expiresAt: input.expiresAt ?? null,
    labels: input.labels,
    ...policy.value,
    verification: changeVerification({}, input.verification ?? {}),
    state: first ? "active" : "pending",
    revision: 1,
    lastNumber: first ? 1 : 0,
    createdAt: now,
    createdBy: caller.id,
  });
  for (const link of links.value) store.destinations.link(link);
  record(context, {
    type: "key.created",
    actor: caller.id,
    keyId: id,
    data: { name: key.name, provider: key.provider, adopted: input.fields !== undefined },
  });
  if (first) {
    const { secret: _, ...columns } = first;
    const version = store.versions.insert({
      ...NEW_VERSION,
      ...columns,
      keyId: id,
      number: 1,
      stage: "current",
      rotationId: null,
      connectionRevision: connection.value?.revision ?? null,
      issuedAt: input.issuedAt ?? now,
      promotedAt: now,
    });
    for (const link of links.value) addDelivery(context, key, version, link, null);
    publish(context, key, version);
    reschedule(context, id);
  } else {
    startRotation(context, key, {
      trigger: triggerOf(context),
      reason: "its first value",
      requestedBy: caller.id,
      grace: null,
    });
  }
  const view = viewKey(store, store.keys.get(id) ?? key, now);
  return ok({ key: view, ...(first && !input.fields && { secret: first.secret }) });
}

type FirstVersion = Pick<VersionRow, "id" | "reference" | "sealed" | "digest" | "fingerprint" | "hint">;

/** Version 1, issued here or handed in. Undefined when a service outside has to make it, which its first rotation does. */
function firstVersion(
  context: EngineContext,
  provider: Provider,
  prefix: string,
  { fields: adopted, reference }: CreateKeyInput,
  keep: boolean,
): (FirstVersion & { secret: string }) | undefined {
  if (!adopted && !provider.local) return undefined;
  const { identity, random } = context;
  const id = newVersionId(context.now(), random);
  const fields = adopted ?? { secret: formatToken(prefix, identity.code, id, random) };
  const value = valueColumns(context, provider, id, fields, keep);
  const name = provider.local ? id : (nameOf(provider, fields, reference) ?? null);
  return { id, reference: name, ...value, secret: fields.secret };
}

/** The connection that a provider needs. Undefined when it needs none. */
function resolveConnection(
  { store }: EngineContext,
  provider: Provider,
  idOrName: string | undefined,
): Result<ConnectionRow | undefined, FieldError> {
  const path = "connection";
  if (!provider.connection) {
    return idOrName === undefined
      ? ok(undefined)
      : err({ path, message: `${provider.title} needs no connection` });
  }
  const found = idOrName === undefined ? undefined : store.connections.find(idOrName);
  if (found?.provider === provider.name) return ok(found);
  if (idOrName === undefined && provider.connection.isOptional) return ok(undefined);
  return err({ path, message: `must be the id or name of a connection to ${provider.title}` });
}

/** A schedule without anybody to receive what it makes. */
export const NO_RECEIVER: FieldError = {
  path: "policy",
  message:
    "plans rotations and needs a destination: a scheduled rotation would make a value that nobody receives",
};

/** Whether a policy makes values by itself, so that somebody has to receive them. */
export function needsReceiver({ runbook }: Provider, policy: Policy): boolean {
  return isPlanned(policy) && runbook === undefined;
}

function findErrors(provider: Provider, input: CreateKeyInput, now: number): FieldError[] {
  const errors: FieldError[] = [];
  const add = (path: string, message: string) => errors.push({ path, message });
  if (provider.opensApi) {
    if (input.scopes.length === 0) add("scopes", "an access key needs at least one scope");
    for (const [index, scope] of input.scopes.entries()) {
      if (!isScope(scope)) add(`scopes.${index}`, "not a scope of this API");
    }
  }
  if (input.fields && !provider.adopts) add("fields", `${provider.title} cannot adopt an existing value`);
  if (!input.fields && provider.needsFirst)
    add("fields", `are needed: a key of ${provider.title} begins with a value that was made by hand`);
  if (!input.fields && input.reference !== undefined) add("reference", "only goes with fields");
  if (!input.fields && input.issuedAt !== undefined) add("issuedAt", "only goes with fields");
  if (input.issuedAt !== undefined && input.issuedAt > now) add("issuedAt", "must not be in the future");
  if (input.expiresAt !== undefined && input.expiresAt <= now) add("expiresAt", "must be in the future");
  errors.push(...findVerificationErrors(provider, changeVerification({}, input.verification ?? {})));
  return errors;
}

/** How the service names a value that was made elsewhere: as was said, or as a field of the value says. */
export function nameOf(
  { referenceField }: Provider,
  fields: Fields,
  reference: string | undefined,
): string | undefined {
  return reference ?? (referenceField === undefined ? undefined : fields[referenceField]);
}

/** What is wrong with a value that was made elsewhere, and with the service's name for it. */
export function findValueErrors(
  { store, vault }: EngineContext,
  provider: Provider,
  { secret, ...others }: Fields,
  reference: string | undefined,
): FieldError[] {
  // Destinations get the fields of every version alike, the first one included.
  const shape = provider.fields?.safeParse(others);
  const errors: FieldError[] = shape?.error ? fieldErrorsOf(shape.error.issues, ["fields"]) : [];
  const add = (path: string, message: string) => errors.push({ path, message });
  if (parseToken(secret).kind !== "foreign") {
    add("fields.secret", "has the form of an issued key; only values made elsewhere can be adopted");
  } else if (store.versions.byFingerprint(vault.fingerprint(secret)).length > 0) {
    add("fields.secret", "this value is already kept here");
  }
  const needsReference =
    provider.needsReference ??
    (!provider.local && provider.revoke !== undefined && provider.find === undefined);
  const own = nameOf(provider, { secret, ...others }, undefined);
  if (reference !== undefined && own !== undefined && reference !== own) {
    // Whatever bears that name would be ended in this value's place.
    add("reference", `must be fields.${provider.referenceField}, which names the value at ${provider.title}`);
  }
  if (provider.local && reference !== undefined) {
    add("reference", "only goes with a value that a service outside made");
  } else if (needsReference && (reference ?? own) === undefined) {
    add("reference", `is needed to revoke it later: how ${provider.title} names this value`);
  }
  return errors;
}
