/** Destinations: create, list, read, change, delete, test; and the list of deliveries. */
import { sha256 } from "../../crypto/hash.ts";
import { describeProblem } from "../../destinations/address.ts";
import { destinationOf } from "../../destinations/registry.ts";
import type { Failure } from "../../errors/catalogue.ts";
import { fieldErrorsOf } from "../../errors/fields.ts";
import { newSigningSecret } from "../../events/signing.ts";
import { newId } from "../../ids.ts";
import { err, ok, type Result } from "../../result.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import { newClaimToken } from "../../rotation/message-tokens.ts";
import type { Probe } from "../../rotation/probe.ts";
import { withNew } from "../../rotation/secret-list.ts";
import { openSigningSecrets, sealSigningSecrets } from "../../rotation/signing-secrets.ts";
import type { DestinationRow } from "../../store/destinations.ts";
import type { KeyRow } from "../../store/keys.ts";
import type { Store } from "../../store/store.ts";
import { type Caller, findExcess } from "../caller.ts";
import { findKey } from "../find-key.ts";
import { decodeCursor, type Page, type PageRequest, pageOf } from "../page.ts";
import { findCallerCooldown, findForeign, isMaker, opensAt } from "../power.ts";
import {
  type CallView,
  type DeliveryView,
  type DestinationView,
  viewDelivery,
  viewDestination,
} from "../views.ts";
import { badCursor } from "./keys.ts";
import { retarget } from "./links.ts";

export interface CreateDestinationInput {
  name: string;
  type: string;
  config: Record<string, unknown>;
}

export interface PatchDestinationInput {
  name?: string | undefined;
  config?: Record<string, unknown> | undefined;
  /** The old signing secret goes on signing for a day. */
  rotateSecret?: boolean | undefined;
  /** The old claim token claims nothing from now on. */
  rotateClaimToken?: boolean | undefined;
}

export interface CreatedDestination {
  destination: DestinationView;
  /** Shown this once, for types that sign. */
  signingSecret?: string;
  /** By which its consumer claims values; shown this once, for those whose messages carry claims. */
  claimToken?: string;
}

export interface TestedDestination {
  destination: DestinationView;
  ok: boolean;
  problem: string | null;
  call: CallView | null;
}

export function createDestination(
  context: EngineContext,
  caller: Caller,
  input: CreateDestinationInput,
  origin?: string,
): Result<CreatedDestination, Failure> {
  const { store, random } = context;
  const type = destinationOf(input.type);
  const config = parseConfig(context, caller, input.type, input.config);
  if (!config.ok) return config;
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const holder = store.destinations.find(input.name);
  if (holder) return err({ code: "name-taken", holder: holder.id });
  const now = context.now();
  const id = newId("dst", now, random);
  const signingSecret = type.signs ? newSigningSecret(random) : undefined;
  const claimToken = type.claims?.(config.value) ? newClaimToken(context) : undefined;
  if (claimToken !== undefined && origin !== undefined) store.settings.setBaseUrl(origin);
  const row = store.destinations.insert({
    id,
    name: input.name,
    type: type.type,
    config: config.value,
    sealed: sealSigningSecrets(
      context,
      id,
      1,
      signingSecret === undefined ? [] : [{ secret: signingSecret, until: null }],
    ),
    claimDigest: claimToken === undefined ? null : sha256(claimToken),
    state: "unproven",
    revision: 1,
    provenAt: null,
    probeAttempt: 0,
    lastCall: null,
    opensAt: opensAt(context, caller),
    createdAt: now,
    createdBy: caller.id,
  });
  record(context, {
    type: "destination.created",
    actor: caller.id,
    data: { destinationId: id, name: row.name, destinationType: row.type },
  });
  return ok({
    destination: viewDestination(store, row),
    ...(signingSecret && { signingSecret }),
    ...(claimToken && { claimToken }),
  });
}

export function listDestinations(
  { store }: EngineContext,
  page: PageRequest,
): Result<Page<DestinationView>, Failure> {
  const after = decodeCursor(page.cursor, "dst");
  if (after === undefined) return err(badCursor());
  const rows = store.destinations.list(after, page.limit + 1);
  return ok(pageOf(rows, page.limit, (row) => viewDestination(store, row)));
}

export function getDestination({ store }: EngineContext, idOrName: string): Result<DestinationView, Failure> {
  const row = store.destinations.find(idOrName);
  return row ? ok(viewDestination(store, row)) : err(destinationNotFound());
}

/** Changes a destination. A new config has to prove itself again before it is sent anything. */
export function patchDestination(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  input: PatchDestinationInput,
  origin?: string,
): Result<CreatedDestination, Failure> {
  const { store } = context;
  const row = store.destinations.find(idOrName);
  if (!row) return err(destinationNotFound());
  const power = findCallerCooldown(context, caller) ?? findForeign(context, caller, usersOf(store, row));
  if (power) return err(power);
  const holder = input.name === undefined ? undefined : store.destinations.find(input.name);
  if (holder && holder.id !== row.id) return err({ code: "name-taken", holder: holder.id });
  const patch: Partial<DestinationRow> = input.name === undefined ? {} : { name: input.name };
  if (input.config || input.rotateSecret || input.rotateClaimToken) {
    // Who points a destination elsewhere, or claims in its place, sees what is sent to it.
    const refusal = findExcess(context, caller, ...usersOf(store, row));
    if (refusal) return err(refusal);
  }
  const fresh = makeSecrets(context, row, input);
  if (!fresh.ok) return fresh;
  const { signingSecret, claimToken } = fresh.value;
  if (input.config) {
    const config = parseConfig(context, caller, row.type, input.config);
    if (!config.ok) return config;
    if (destinationOf(row.type).claims?.(config.value)) {
      if (!row.claimDigest) return err({ code: "invalid", errors: [NO_CLAIM_TOKEN] });
      if (origin !== undefined) store.settings.setBaseUrl(origin);
    }
    Object.assign(patch, {
      config: config.value,
      state: "unproven",
      provenAt: null,
      probeAttempt: 0,
      opensAt: opensAt(context, caller),
    });
  }
  const revision = row.revision + 1;
  const before = openSigningSecrets(context, row);
  const secrets = signingSecret === undefined ? before : withNew(before, signingSecret, context.now());
  const changed = store.destinations.update(row, {
    ...patch,
    ...((input.config || signingSecret !== undefined) && {
      revision,
      sealed: sealSigningSecrets(context, row.id, revision, secrets),
    }),
    ...(claimToken !== undefined && { claimDigest: sha256(claimToken) }),
  });
  if (input.config) {
    const moved = retarget(context, changed);
    if (!moved.ok) return moved;
    resumeDeliveries(context, row.id);
  }
  record(context, {
    type: "destination.updated",
    actor: caller.id,
    data: { destinationId: row.id, changed: Object.keys(input).sort().join(" ") },
  });
  return ok({ destination: viewDestination(store, changed), ...fresh.value });
}

/** The new secrets that a change asks for; both are shown once. */
function makeSecrets(
  context: EngineContext,
  row: DestinationRow,
  { rotateSecret, rotateClaimToken, config = row.config }: PatchDestinationInput,
): Result<Pick<CreatedDestination, "signingSecret" | "claimToken">, Failure> {
  const type = destinationOf(row.type);
  const isClaiming = row.claimDigest !== null && (type.claims?.(config) ?? false);
  const errors = [
    ...(rotateSecret && !type.signs ? [{ path: "rotateSecret", message: "this type signs nothing" }] : []),
    ...(rotateClaimToken && !isClaiming
      ? [{ path: "rotateClaimToken", message: "nothing is claimed from this destination" }]
      : []),
  ];
  if (errors.length > 0) return err({ code: "invalid", errors });
  return ok({
    ...(rotateSecret && { signingSecret: newSigningSecret(context.random) }),
    ...(rotateClaimToken && { claimToken: newClaimToken(context) }),
  });
}

/** Keys that are sent to a destination. */
function* usersOf(store: Store, { id }: DestinationRow): Iterable<KeyRow> {
  for (const { keyId } of store.destinations.linksOfDestination(id)) {
    const key = store.keys.get(keyId);
    if (key) yield key;
  }
}

export function deleteDestination(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
): Result<void, Failure> {
  const { store } = context;
  const row = store.destinations.find(idOrName);
  if (!row) return err(destinationNotFound());
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const usedBy = store.destinations.linksOfDestination(row.id).map((link) => link.keyId);
  if (usedBy.length > 0) return err({ code: "in-use", usedBy });
  store.destinations.delete(row.id);
  record(context, {
    type: "destination.deleted",
    actor: caller.id,
    data: { destinationId: row.id, name: row.name },
  });
  return ok(undefined);
}

/** Keeps what a test found. A destination that is back gets what it missed. */
export function noteTest(
  context: EngineContext,
  id: string,
  probe: Probe,
): Result<TestedDestination, Failure> {
  const row = probe.commit();
  if (!row) return err(destinationNotFound());
  if (probe.result.kind === "held") resumeDeliveries(context, id);
  const destination = viewDestination(context.store, row);
  const problem = probe.result.kind === "held" ? null : probe.result.problem;
  return ok({ destination, ok: problem === null, problem, call: destination.lastCall });
}

/** How a destination stands since it was last asked. */
export function describeTested({ store }: EngineContext, row: DestinationRow): TestedDestination {
  const destination = viewDestination(store, row);
  const problem = row.state === "ready" ? null : `it is ${row.state}`;
  return { destination, ok: problem === null, problem, call: destination.lastCall };
}

/** A page of deliveries, newest first. */
export function listDeliveries(
  context: EngineContext,
  idOrName: string | undefined,
  page: PageRequest,
): Result<Page<DeliveryView>, Failure> {
  const { store } = context;
  const before = decodeCursor(page.cursor, "dlv");
  if (before === undefined) return err(badCursor());
  const key = idOrName === undefined ? undefined : findKey(context, idOrName);
  if (key && !key.ok) return key;
  const rows = store.deliveries.list(key?.value.id, before, page.limit + 1);
  return ok(pageOf(rows, page.limit, viewDelivery));
}

export function destinationNotFound(): Failure {
  return { code: "not-found", detail: "no destination has this id or name" };
}

/** What waits for a destination is tried now, with all its attempts before it again. */
export function resumeDeliveries({ store, now }: EngineContext, destinationId: string): void {
  for (const { keyId } of store.destinations.linksOfDestination(destinationId)) {
    for (const delivery of store.deliveries.unsettled(keyId)) {
      if (delivery.destinationId !== destinationId || delivery.leaseUntil !== null) continue;
      store.deliveries.update(delivery, { state: "pending", attempt: 0, dueAt: now() });
    }
  }
}

function parseConfig(
  { outbound, store }: EngineContext,
  caller: Caller,
  type: string,
  config: Record<string, unknown>,
): Result<Record<string, unknown>, Failure> {
  const destination = destinationOf(type);
  const { success, data, error } = destination.config.safeParse(config);
  if (!success) return err({ code: "invalid", errors: fieldErrorsOf(error.issues, ["config"]) });
  const problem = destination.problemOf(data, outbound);
  if (problem)
    return err({
      code: "invalid",
      errors: [{ path: "config.url", message: describeProblem(problem) }],
    });
  if (!destination.through) return ok(data);
  const { provider, placeOf } = destination.through;
  const connection = store.connections.find(String(data.connection));
  const present = connection && store.connections.revision(connection.id, connection.revision);
  if (connection?.provider === provider && present && placeOf(present.config) !== undefined) {
    // What is written there is written with the connection's power, over whatever is called the same, Rekey's own secrets included.
    return isMaker(caller, connection)
      ? ok({ ...data, connection: connection.id })
      : err({ code: "root-required" });
  }
  const message = `must be the id or name of a connection of the provider ${provider} that names an account`;
  return err({ code: "invalid", errors: [{ path: "config.connection", message }] });
}

/** A claim token is shown once, when the destination is made. */
const NO_CLAIM_TOKEN = {
  path: "config.secretMode",
  message: "this destination has no claim token, as it was made without; make another with this mode",
};
