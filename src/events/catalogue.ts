/** Every type of event. `data` holds ids, numbers and words, never a secret. */
export const EVENT_TYPES = [
  "keyring.created",
  "root.used",
  "chain.broken",
  "chain.reconciled",
  "key.created",
  "key.updated",
  "key.deleted",
  "key.rotation.started",
  "key.rotation.blocked",
  "key.rotation.failed",
  "key.rotated",
  "key.rotation.needs-human",
  "key.at-risk",
  "key.compromised",
  "key.lost",
  "key.revoked",
  "key.revocation.stuck",
  "delivery.succeeded",
  "delivery.failing",
  "delivery.recovered",
  "connection.created",
  "connection.updated",
  "connection.deleted",
  "destination.created",
  "destination.updated",
  "destination.deleted",
  "policy.created",
  "policy.updated",
  "policy.deleted",
  "settings.updated",
  "hold.started",
  "hold.released",
  "keyring.rewrapped",
  "keyring.exported",
  "keyring.imported",
  "keyring.released",
  "delivery.acknowledged",
  "delivery.replayed",
  "key.value.claimed",
  "key.rolled-back",
  "key.grace.extended",
  "key.grace.finished",
  "key.grace.ending",
  "key.rotation.cancelled",
  "key.rotation.retried",
  "key.rotation.abandoned",
  "subscription.created",
  "subscription.updated",
  "subscription.deleted",
  "subscription.failing",
  "subscription.recovered",
  "subscription.skipped",
  "health.changed",
  "keyring.heartbeat",
  "cron.missing",
  "cron.back",
] as const;

export type EventType = (typeof EVENT_TYPES)[number];

export interface NewEvent {
  type: EventType;
  /** Id of the access key or destination that acted, `root`, `cron` or `rekey`. */
  actor: string;
  keyId?: string | undefined;
  data?: Record<string, string | number | boolean | null>;
}
