/**
 * Every expected failure that can reach a caller: its stable code, HTTP status, what it means and what to do next.
 * The shape on the wire is RFC 9457 (https://www.rfc-editor.org/rfc/rfc9457).
 */
export interface CatalogueEntry {
  status: 400 | 401 | 403 | 404 | 409 | 413 | 422 | 429 | 500 | 503;
  /** What happened, in one short phrase. */
  title: string;
  /** What to do next. */
  remedy: string;
}

export const CATALOGUE = {
  "malformed-json": {
    status: 400,
    title: "The body is not JSON",
    remedy: "Send a JSON object with Content-Type: application/json.",
  },
  "credential-missing": {
    status: 401,
    title: "No credential was sent",
    remedy: "Send Authorization: Bearer <access key>.",
  },
  "credential-malformed": {
    status: 401,
    title: "The credential is not an access key",
    remedy: "Check that the whole access key was copied; its checksum does not match.",
  },
  "credential-unknown": {
    status: 401,
    title: "The credential is unknown",
    remedy: "Use an access key of this deployment. A key issued to a customer never opens this API.",
  },
  "credential-expired": {
    status: 401,
    title: "The access key has expired",
    remedy: "Create a new access key with one that is still valid, or with ROOT_TOKEN.",
  },
  "credential-revoked": {
    status: 401,
    title: "The access key was revoked",
    remedy: "Use its current version, or create a new access key.",
  },
  "credential-grace-ended": {
    status: 401,
    title: "The access key was rotated and its grace period is over",
    remedy: "Switch to the version that replaced it.",
  },
  "scope-missing": {
    status: 403,
    title: "The access key lacks a scope",
    remedy: "Use an access key that has the scope named in `scope`.",
  },
  "scope-exceeded": {
    status: 403,
    title: "An access key cannot give or reveal more than it may do itself",
    remedy: "Leave out the scopes named in `scopes`, or use a credential that holds them.",
  },
  "not-yours": {
    status: 403,
    title: "This access key acts on its own keys only",
    remedy:
      "An agent acts on its own key and those of its subject, an operator on its own and those that it made. Use a credential without a role, or the right one.",
  },
  "role-exceeded": {
    status: 403,
    title: "An access key cannot make one above its own role",
    remedy:
      "An operator makes operators and agents; an agent makes agents of its own subject. Name such a role, or use a credential without one.",
  },
  "own-policy": {
    status: 403,
    title: "An access key cannot change its own policy, nor that of who made it",
    remedy: "Use a credential that was made by somebody else, or ROOT_TOKEN.",
  },
  "root-required": {
    status: 403,
    title: "Only ROOT_TOKEN may do this",
    remedy: "Send Authorization: Bearer <ROOT_TOKEN>.",
  },
  "access-key-required": {
    status: 403,
    title: "Only an access key opens this",
    remedy:
      "ROOT_TOKEN is for people. Make an access key with it (POST /v1/keys with provider access, a role and the scopes that are needed) and send that.",
  },
  "origin-refused": {
    status: 403,
    title: "The request comes from a web page of somebody else",
    remedy: "Call from a program, or have whoever runs this deployment add the origin to ALLOWED_ORIGINS.",
  },
  "route-unknown": {
    status: 404,
    title: "There is no such route",
    remedy: "See GET /openapi.json for every route.",
  },
  "keyring-unknown": {
    status: 404,
    title: "There is no such keyring",
    remedy: "Make it with POST /v1/keyrings, or correct the Rekey-Keyring header.",
  },
  "not-found": {
    status: 404,
    title: "Nothing here has that id or name",
    remedy: "List what exists, and check that the credential belongs to the right keyring.",
  },
  ambiguous: {
    status: 409,
    title: "More than one key fits",
    remedy: "Name the key by one of the ids in `candidates`.",
  },
  "keyring-exists": { status: 409, title: "A keyring has that name", remedy: "Choose another name." },
  "name-taken": {
    status: 409,
    title: "Something of this kind has that name",
    remedy: "Choose another name, or delete the one named in `holder`.",
  },
  "target-taken": {
    status: 409,
    title: "Another key is already written to that name at that destination",
    remedy: "Give this key another name there with `as`.",
  },
  "in-use": {
    status: 409,
    title: "It is still in use",
    remedy: "Take it out of the keys and destinations listed in `usedBy` first.",
  },
  cooldown: {
    status: 409,
    title: "The key was rotated a moment ago and is in its cooldown",
    remedy: "Try again at `retryAt`.",
  },
  "emergency-cooldown": {
    status: 409,
    title: "The key had an emergency rotation a moment ago",
    remedy:
      "Report the value itself, or name the `version` that leaked: that is acted on at once. Only the key's name is not taken again before `retryAt`.",
  },
  "report-incomplete": {
    status: 503,
    title: "Some of what was reported could not be taken in",
    remedy: "Send the same report again: what was taken in is known.",
  },
  "keys-unknown": {
    status: 503,
    title: "The public keys that would tell whether this is signed cannot be fetched now",
    remedy: "Send the same report again after the time in Retry-After.",
  },
  "signature-invalid": {
    status: 401,
    title: "The report is not signed as it should be",
    remedy:
      "Check the address and the secret: PUT /v1/signals/{source} makes a new one, which goes into the settings of whoever sends the reports.",
  },
  "caller-cooldown": {
    status: 409,
    title: "This access key, one of its subject or who made it was rotated a moment ago",
    remedy:
      "Try again at `retryAt`. Until then it reads, verifies, rotates and rolls back, and nothing else. If you did not rotate it, roll it back.",
  },
  "key-lost": {
    status: 409,
    title: "The key's value is lost",
    remedy: "Make a new one at the service and hand it in with PUT /v1/keys/{key}/value.",
  },
  "key-revoked": {
    status: 409,
    title: "The key has no live version",
    remedy: "A revoked key stays dead. Create a new key.",
  },
  "key-expired": {
    status: 409,
    title: "The key has passed its own expiry",
    remedy: "Create a new key with a later expiresAt.",
  },
  "key-paused": {
    status: 409,
    title: "The key is paused",
    remedy: "Set paused to false with PATCH, on the key or on its policy, then rotate.",
  },
  frozen: {
    status: 409,
    title: "The key's policy is in a freeze",
    remedy: "Wait until `retryAt`, or change the policy. A leak is still acted on at once.",
  },
  "key-deleting": {
    status: 409,
    title: "The key is being deleted",
    remedy: "Nothing; it goes away when every version is seen dead.",
  },
  "no-receiver": {
    status: 409,
    title: "Nobody would receive the new value",
    remedy: 'Add a destination, or ask for the value yourself with reveal: "claim".',
  },
  "needs-rotation": {
    status: 409,
    title: "Only a hash of the current value is kept, so it cannot be delivered",
    remedy:
      "Repeat the call with ?rotate=true: it sets the destinations and starts a rotation whose new value they receive.",
  },
  "forward-only": {
    status: 409,
    title: "This rotation can only go forward",
    remedy:
      "There is no old value to go back to: the service ends it by itself, or it leaked. Retry it instead.",
  },
  "connection-rejected": {
    status: 409,
    title: "The service does not let this connection in",
    remedy: "See `detail`; correct the credential or the settings, then try again. Nothing was changed.",
  },
  "connection-cycle": {
    status: 409,
    title: "A key would be needed to rotate itself",
    remedy: "Give the connection a credential that does not depend on it.",
  },
  "changed-meanwhile": {
    status: 409,
    title: "Somebody else changed it at the same time",
    remedy: "Look at it as it is now, then try again.",
  },
  "grace-running": {
    status: 409,
    title: "The service has no free slot while an earlier version is in its grace",
    remedy: "Wait until `retryAt`, or end that grace first.",
  },
  "not-awaited": {
    status: 409,
    title: "This key takes no value by hand now",
    remedy:
      "Only a lost key does, when none of its rotations is live, and one whose values a person makes. Rotate it instead.",
  },
  "made-by-hand": {
    status: 409,
    title: "Only a person can make a new value of this key",
    remedy: "Make one as `detail` says, then hand it in with PUT /v1/keys/{key}/value.",
  },
  "rotation-failed": {
    status: 409,
    title: "The rotation came to nothing",
    remedy: "Mend what `detail` names, then rotate again.",
  },
  "rotation-ended": {
    status: 409,
    title: "The rotation is over",
    remedy: "Start a new one.",
  },
  "batch-over": {
    status: 409,
    title: "The batch is over",
    remedy: "See what it did with GET /v1/batches/{id}; POST /v1/rotations makes another.",
  },
  "not-revoking": {
    status: 409,
    title: "The version is not being revoked",
    remedy: "Only a revocation that does not succeed can be given up.",
  },
  "version-dead": {
    status: 409,
    title: "The version is already revoked",
    remedy: "Nothing; see the key's versions.",
  },
  "keyring-not-empty": {
    status: 409,
    title: "The keyring has something in it",
    remedy:
      "Import into a name that is free, or into a keyring of the same code without keys, connections and destinations.",
  },
  "code-taken": {
    status: 409,
    title: "The keyring of this file lives here under another name",
    remedy:
      "Import it under the name of `holder`, if that is empty; two keyrings cannot share the code that is inside every issued key.",
  },
  "file-too-old": {
    status: 409,
    title: "What was revoked since this file was made is no longer known",
    remedy:
      "Import a newer file: Rekey keeps the list of what is dead for 31 days, and nothing that is dead may come back.",
  },
  "file-too-new": {
    status: 409,
    title: "The file was made by a newer Rekey",
    remedy: "Deploy that version here first, then import.",
  },
  "file-refused": {
    status: 422,
    title: "The file cannot be opened, or is not whole",
    remedy:
      "Check the passphrase or private key and that the whole file was sent; see `detail`. Nothing was changed.",
  },
  "transfer-interrupted": {
    status: 503,
    title: "The export or import was cut off",
    remedy: "Begin again; nothing was changed.",
  },
  "rotation-live": {
    status: 409,
    title: "A rotation of the key is live",
    remedy:
      "Cancel it with POST /v1/rotations/{id}/cancel, which goes back to the current value, or wait for its end.",
  },
  "not-for-people": {
    status: 409,
    title: "The rotation waits for nobody to say what became of its new value",
    remedy: "Only one whose state is needs-human can be abandoned. Cancel it instead.",
  },
  "not-in-grace": {
    status: 409,
    title: "The version is not in its grace",
    remedy:
      "See the key's versions. Only a previous one before its deadline can be extended, finished or gone back to.",
  },
  "grace-not-longer": {
    status: 409,
    title: "The grace would not become longer",
    remedy: "Ask for a time after the deadline in `detail`, or finish the grace instead.",
  },
  "grace-limit": {
    status: 409,
    title: "The grace would be longer than it may be",
    remedy: "Ask for a time that ends before `detail` says.",
  },
  "cannot-revoke": {
    status: 409,
    title: "The service takes no call to end a value",
    remedy: "Wait until it ends by itself.",
  },
  "version-leaked": {
    status: 409,
    title: "The version leaked",
    remedy: "Rotate the key instead.",
  },
  "taken-back": {
    status: 409,
    title: "The version was taken back by a rollback",
    remedy: "Nobody goes forward to it again. Rotate the key instead.",
  },
  "value-not-kept": {
    status: 409,
    title: "Only a hash of that version is kept, so it cannot be delivered",
    remedy: "Rotate the key instead: the new value is delivered.",
  },
  "claim-unknown": {
    status: 404,
    title: "No such claim is open to you",
    remedy:
      "A claim is good for ten minutes, once, for the destination or access key that it was made for. Replay its delivery, or repeat the rotation with its Idempotency-Key, for a new one.",
  },
  "delivery-superseded": {
    status: 409,
    title: "The delivery was superseded",
    remedy: "Acknowledge the delivery with the highest revision.",
  },
  "not-delivered": {
    status: 409,
    title: "The delivery was not sent yet",
    remedy: "Wait until it was.",
  },
  "delivery-outdated": {
    status: 409,
    title: "The destination should hold something else by now",
    remedy: "Replay the newest delivery to that destination; see GET /v1/deliveries.",
  },
  "limit-reached": {
    status: 409,
    title: "The keyring has as many of these as it may have",
    remedy: "Delete one that is not needed any more; `detail` says how many there may be.",
  },
  "body-too-large": {
    status: 413,
    title: "The body is too large",
    remedy: "Send at most 64 KiB.",
  },
  invalid: {
    status: 422,
    title: "The request is not valid",
    remedy: "Correct every field listed in `errors`.",
  },
  "confirmation-missing": {
    status: 422,
    title: "This needs a confirmation",
    remedy: "Make sure that it is meant, then pass what `detail` says, exactly.",
  },
  "confirmation-declined": {
    status: 409,
    title: "The person said no",
    remedy: "Leave it as it is. Nothing was changed.",
  },
  "idempotency-mismatch": {
    status: 422,
    title: "This Idempotency-Key was used with another body",
    remedy: "Use a new Idempotency-Key for a new request.",
  },
  "too-destructive": {
    status: 429,
    title: "This access key has destroyed enough for this minute",
    remedy: "Wait until `retryAt`. Five calls a minute may rotate, revoke, end or report something.",
  },
  "rate-limited": {
    status: 429,
    title: "Too many requests",
    remedy: "Wait for the time in Retry-After.",
  },
  "registry-unreachable": {
    status: 503,
    title: "The keyring cannot check its history now",
    remedy: "Try again in a moment.",
  },
  "chain-broken": {
    status: 503,
    title: "The keyring's history is behind what is on record elsewhere: its database was set back",
    remedy:
      "Nothing is verified and nothing changes until root accepts it with POST /v1/keyrings/{name}/reconcile, which revokes again what was revoked since.",
  },
  internal: {
    status: 500,
    title: "Something went wrong inside Rekey",
    remedy: "Try again; if it stays, report it with the `instance`.",
  },
  "not-configured": {
    status: 503,
    title: "This deployment lacks a setting",
    remedy: "Set what `detail` names, then try again.",
  },
} as const satisfies Record<string, CatalogueEntry>;

export type FailureCode = keyof typeof CATALOGUE;

/** One invalid field of a request. `path` is dotted, empty for the body itself. */
export interface FieldError {
  path: string;
  message: string;
}

/** An expected failure on its way to the caller. Everything in it may be shown; none of it is ever a secret. */
export interface Failure {
  code: FailureCode;
  /** This occurrence, in words. */
  detail?: string;
  /** The caller's role, for `not-yours` and `role-exceeded`. */
  role?: string;
  /** Missing scope, for `scope-missing`. */
  scope?: string;
  /** Offending scopes, for `scope-exceeded`. */
  scopes?: string[];
  /** ISO 8601, for `cooldown`, `caller-cooldown`, `frozen`, `grace-running` and `too-destructive`. */
  retryAt?: string;
  /** Seconds, sent as Retry-After. */
  retryAfterSeconds?: number;
  /** Ids of keys, connections or destinations, for `in-use` and `no-receiver`. */
  usedBy?: string[];
  /** Id of what holds the name. */
  holder?: string;
  /** Ids of what fits, for `ambiguous`. */
  candidates?: string[];
  errors?: FieldError[];
}
