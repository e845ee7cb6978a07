/**
 * Idempotency-Key: the same request of the same credential has the same result for 24 h. Only ids are kept; a secret can be
 * had again for 60 s, for an answer that was lost on the way.
 */
import { sameBytes, sha256 } from "../crypto/hash.ts";
import type { Failure } from "../errors/catalogue.ts";
import { err, ok, type Result } from "../result.ts";
import type { EngineContext } from "../rotation/context.ts";
import { IDEMPOTENCY_KEPT_MS } from "../store/idempotency.ts";
import type { Caller } from "./caller.ts";

const SECRET_KEPT_MS = 60_000;

/** What the HTTP layer knows of a request that carries an Idempotency-Key. */
export interface Repeatable {
  key: string;
  /** Method and path. */
  route: string;
  /** SHA-256 of the raw body. */
  bodyHash: Uint8Array;
}

export interface Earlier {
  resource: string;
  secret: string | undefined;
}

/** What the same request made before, if anything. Another body under the same key is a failure. */
export function recall(
  { store, vault, now }: EngineContext,
  caller: Caller,
  request: Repeatable,
): Result<Earlier | undefined, Failure> {
  const id = idOf(caller, request);
  const row = store.idempotency.get(id);
  if (!row) return ok(undefined);
  // The alarm wipes and deletes; when it is late, the clock decides.
  if (now() >= row.createdAt + IDEMPOTENCY_KEPT_MS) {
    store.transaction(() => store.idempotency.remove(row));
    return ok(undefined);
  }
  if (!sameBytes(row.bodyHash, keptHash(vault, request))) return err({ code: "idempotency-mismatch" });
  const sealed = row.dueAt !== null && now() < row.dueAt ? row.sealed : null;
  return ok({ resource: row.resource, secret: sealed ? vault.open(placeOf(id), sealed) : undefined });
}

/** Keeps what a request made, inside its transaction. */
export function remember(
  { store, vault, now }: EngineContext,
  caller: Caller,
  request: Repeatable,
  resource: string,
  secret?: string,
): void {
  const id = idOf(caller, request);
  const createdAt = now();
  store.idempotency.insert({
    id,
    bodyHash: keptHash(vault, request),
    resource,
    sealed: secret === undefined ? null : vault.seal(placeOf(id), secret),
    createdAt,
    dueAt: createdAt + (secret === undefined ? IDEMPOTENCY_KEPT_MS : SECRET_KEPT_MS),
  });
}

/** Adds the secret that a request led to after it was remembered. */
export function rememberSecret(
  { store, vault, now }: EngineContext,
  caller: Caller,
  request: Repeatable,
  secret: string,
): void {
  const id = idOf(caller, request);
  const row = store.idempotency.get(id);
  if (!row || row.sealed) return;
  store.idempotency.update(row, { sealed: vault.seal(placeOf(id), secret), dueAt: now() + SECRET_KEPT_MS });
}

/** Keyed: a body may hold a secret that is short enough to be guessed. */
function keptHash(vault: EngineContext["vault"], { bodyHash }: Repeatable): Uint8Array {
  return vault.fingerprint(Buffer.from(bodyHash).toString("hex"));
}

function idOf(caller: Caller, { key, route }: Repeatable): string {
  return Buffer.from(sha256(JSON.stringify([caller.id, route, key]))).toString("base64url");
}

function placeOf(id: string) {
  return { table: "idempotency", id, revision: 0, purpose: "secret" };
}
