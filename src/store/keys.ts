/** Table `key`. Its `dueAt` is the next scheduled start, in the queue's lane for cron. */
import type { DueQueue } from "./due.ts";
import type { EdgeRecordTable } from "./edge-records.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import type { SqlValue } from "./sql.ts";
import { WorkTable } from "./work-table.ts";

/**
 * `pending`: its first value is not current yet. `lost`: the service holds a value that never reached us, and the old one is dead; a person
 * hands in a new one.
 */
export type KeyState = "pending" | "active" | "lost" | "revoked" | "deleting" | "deleted";

/** Moments that repeat: five fields of cron, read in a time zone. */
export interface Schedule {
  cron: string;
  /** IANA name. Default UTC. */
  timeZone?: string | undefined;
}

/** A time that opens at each moment of a schedule and stays open for a while. */
export interface Window extends Schedule {
  duration: string;
}

/** One stretch of time in which nothing begins but emergencies. ISO 8601. */
export interface Freeze {
  from: string;
  until: string;
  reason?: string | undefined;
}

/** When and how a key rotates. Durations are kept as the text that was given; what is absent has its default. */
export interface Policy {
  maxAge?: string | undefined;
  schedule?: Schedule | undefined;
  window?: Window | undefined;
  freezes?: Freeze[] | undefined;
  jitter?: string | undefined;
  paused?: boolean | undefined;
  grace?: string | undefined;
  maxGrace?: string | undefined;
  revokeWhen?: RevokeCondition[] | undefined;
  onCeiling?: "revoke" | "hold" | undefined;
  deliverWithin?: string | undefined;
  cooldown?: string | undefined;
  /** That consumers may be without a working value for a while at each rotation. */
  allowDowntime?: boolean | undefined;
  onCompromise?: OnCompromise | undefined;
}

/** How verification treats a key; what is absent is off. */
export interface Verification {
  /** Records in KV from which the edge may answer. */
  edge?: true | undefined;
  /** Valid answers in each window of `per`, a duration. */
  rateLimit?: { limit: number; per: string } | undefined;
  /** Valid answers in all. */
  usage?: { limit: number } | undefined;
}

/** What has to be so before an old version may go; `oldIdle:1h` is that nobody has used it for an hour. */
export type RevokeCondition = "delivered" | "acknowledged" | "newSeen" | `oldIdle:${string}`;

/** What happens when the current value of a key leaked; rotation/compromise.ts says what each means. */
export type OnCompromise = "replace-first" | "hold" | "revoke-first" | "revoke-only" | "notify-only";

export interface KeyRow {
  id: string;
  name: string;
  provider: string;
  /** Null for providers that need none. */
  connectionId: string | null;
  /** Its own settings at the service. */
  config: Record<string, unknown>;
  prefix: string;
  scopes: string[];
  role: string | null;
  subject: string | null;
  expiresAt: number | null;
  labels: Record<string, string>;
  policy: Policy;
  /** The shared policy that `policy` is a copy of, or null. */
  policyId: string | null;
  verification: Verification;
  paused: boolean;
  state: KeyState;
  /** Rises whenever what the destinations should hold changes. */
  revision: number;
  /** Number of the newest version. */
  lastNumber: number;
  cooldownUntil: number | null;
  /** Until when its service holds something back after a rotation: no scheduled start before this. */
  heldUntil: number | null;
  /** Failed rotations in a row. */
  failures: number;
  /** No scheduled start before this, after a failure. */
  retryAt: number | null;
  /** Since when a person is asked for a new value, and when that was last said. */
  askedAt: number | null;
  remindedAt: number | null;
  dueAt: number | null;
  createdAt: number;
  createdBy: string;
}

/** What is so of every key when it is made. */
export const NEW_KEY = {
  config: {},
  policyId: null,
  verification: {},
  paused: false,
  cooldownUntil: null,
  heldUntil: null,
  failures: 0,
  retryAt: null,
  askedAt: null,
  remindedAt: null,
  dueAt: null,
} satisfies Partial<KeyRow>;

export interface KeyFilter {
  state?: KeyState | undefined;
  provider?: string | undefined;
  label?: { name: string; value: string } | undefined;
  dueBefore?: number | undefined;
  /** Those of which a person is asked for something, or the others. */
  asked?: boolean | undefined;
}

/** Keys that are meant together: those to which all that is named applies. */
export interface KeySelection {
  provider?: string | undefined;
  connectionId?: string | undefined;
  label?: { name: string; value: string } | undefined;
}

/** Keys of a selection that share provider and connection. */
export interface KeyShare {
  provider: string;
  connectionId: string | null;
  count: number;
  /** The newest of them. */
  last: string;
}

/** What the records of a key's versions say of the key itself. */
const AT_THE_EDGE = [
  "state",
  "expiresAt",
  "cooldownUntil",
  "scopes",
  "role",
  "subject",
  "verification",
] as const satisfies (keyof KeyRow)[];

export class KeyTable extends WorkTable<KeyRow> {
  readonly #edgeRecords: EdgeRecordTable;

  /** @param edgeRecords hear of each change that they show */
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue, edgeRecords: EdgeRecordTable) {
    super(sql, cache, due, "start", "key", {
      id: "plain",
      name: "plain",
      provider: "plain",
      connectionId: "plain",
      config: "json",
      prefix: "plain",
      scopes: "json",
      role: "plain",
      subject: "plain",
      expiresAt: "plain",
      labels: "json",
      policy: "json",
      policyId: "plain",
      verification: "json",
      paused: "boolean",
      state: "plain",
      revision: "plain",
      lastNumber: "plain",
      cooldownUntil: "plain",
      heldUntil: "plain",
      failures: "plain",
      retryAt: "plain",
      askedAt: "plain",
      remindedAt: "plain",
      dueAt: "plain",
      createdAt: "plain",
      createdBy: "plain",
    });
    this.#edgeRecords = edgeRecords;
  }

  override update(row: KeyRow, patch: Partial<KeyRow>): KeyRow {
    const next = super.update(row, patch);
    const has = row.verification.edge || next.verification.edge;
    if (has && AT_THE_EDGE.some((column) => next[column] !== row[column])) this.#edgeRecords.touchKey(row.id);
    return next;
  }

  /** A key by id or, among those not deleted, by name. */
  find(idOrName: string): KeyRow | undefined {
    return this.get(idOrName) ?? this.byName(idOrName);
  }

  byName(name: string): KeyRow | undefined {
    return this.select("WHERE name = ? AND state <> 'deleted'", name)[0];
  }

  /** Keys on a connection that are not deleted. */
  onConnection(connectionId: string): KeyRow[] {
    return this.select("WHERE connectionId = ? AND state <> 'deleted' ORDER BY id", connectionId);
  }

  /** Keys that name the same subject and are not deleted. */
  ofSubject(subject: string): KeyRow[] {
    return this.select("WHERE subject = ? AND state <> 'deleted'", subject);
  }

  /** Keys whose service names this agent as the one they are of, some of them. */
  ofAgent(agentId: string, limit: number): KeyRow[] {
    const rest = `INDEXED BY keyAgent WHERE CAST(json_extract(config, '$.agentId') AS TEXT) = ?
      AND json_extract(config, '$.agentId') IS NOT NULL AND state <> 'deleted' ORDER BY id LIMIT ?`;
    return this.select(rest, agentId, limit);
  }

  /** Keys with a shared policy in order of id, those included that are being deleted. */
  withPolicy(policyId: string, after: string, limit: number): KeyRow[] {
    return this.select("WHERE policyId = ? AND id > ? ORDER BY id LIMIT ?", policyId, after, limit);
  }

  /** How many keys have a shared policy, those not counted that are deleted. */
  countWithPolicy(policyId: string): number {
    const [row] = this.sql.all<{ count: number }>(
      "SELECT COUNT(*) AS count FROM key WHERE policyId = ? AND state <> 'deleted'",
      policyId,
    );
    return row?.count ?? 0;
  }

  /** Which kinds of key have a shared policy: one of each provider and connection. */
  kindsWithPolicy(policyId: string): KeyRow[] {
    return this.select(
      "WHERE id IN (SELECT min(id) FROM key WHERE policyId = ? AND state <> 'deleted' GROUP BY provider, connectionId)",
      policyId,
    );
  }

  /** Keys with a shared policy that go to no destination. */
  withoutDestination(policyId: string, limit: number): KeyRow[] {
    const rest = `WHERE policyId = ? AND state <> 'deleted'
      AND NOT EXISTS (SELECT 1 FROM keyDestination WHERE keyId = key.id) ORDER BY id LIMIT ?`;
    return this.select(rest, policyId, limit);
  }

  /** Keys whose last rotation failed. */
  failing(): Pick<KeyRow, "state" | "failures">[] {
    return this.sql.all("SELECT state, failures FROM key INDEXED BY keyFailures WHERE failures > 0");
  }

  /** Keys whose value is lost. */
  lost(limit: number): KeyRow[] {
    return this.select("INDEXED BY keyLost WHERE state = 'lost' ORDER BY id LIMIT ?", limit);
  }

  /** Keys of use whose last rotations failed, so often or more, the worst first. */
  failed(least: number, limit: number): KeyRow[] {
    const rest = `INDEXED BY keyFailures WHERE failures > 0 AND failures >= ? AND state IN ('pending', 'active')
      ORDER BY failures DESC LIMIT ?`;
    return this.select(rest, least, limit);
  }

  /** Keys for whose new value a person is asked, the longest first. */
  asked(limit: number): KeyRow[] {
    return this.select(
      "INDEXED BY keyAsked WHERE askedAt IS NOT NULL AND state = 'active' ORDER BY askedAt LIMIT ?",
      limit,
    );
  }

  /** How many these are, and how many of them because their value leaked. */
  countAsked(): { all: number; leaked: number } {
    const [row] = this.sql.all<{ all: number; leaked: number }>(
      `SELECT count(*) AS "all", coalesce(sum(EXISTS (SELECT 1 FROM version
         WHERE keyId = key.id AND stage = 'current' AND compromisedAt IS NOT NULL)), 0) AS leaked
       FROM key INDEXED BY keyAsked WHERE askedAt IS NOT NULL AND state = 'active'`,
    );
    return row ?? { all: 0, leaked: 0 };
  }

  countLost(): number {
    return this.tally("INDEXED BY keyLost WHERE state = 'lost'");
  }

  /** How many keys of a selection there are at each provider and connection; those that are deleted are no part of any. */
  shares(selection: KeySelection): KeyShare[] {
    const { where, params } = conditionsOf(selection);
    return this.sql.all<KeyShare>(
      `SELECT provider, connectionId, count(*) AS count, max(id) AS last FROM key
       WHERE ${where} GROUP BY provider, connectionId ORDER BY min(id)`,
      ...params,
    );
  }

  /** The next keys of a selection at one provider and connection, in order of id, up to the last that is meant. */
  nextOf(
    selection: KeySelection,
    { provider, connectionId, last }: Pick<KeyShare, "provider" | "connectionId" | "last">,
    after: string,
    limit: number,
  ): KeyRow[] {
    const { where, params } = conditionsOf({
      ...selection,
      provider,
      connectionId: connectionId ?? undefined,
    });
    const isAlone = connectionId === null ? " AND connectionId IS NULL" : "";
    return this.select(
      `WHERE ${where}${isAlone} AND id > ? AND id <= ? ORDER BY id LIMIT ?`,
      ...params,
      after,
      last,
      limit,
    );
  }

  /** Keys of a selection whose current value opens a connection, in order of id. */
  openersIn(selection: KeySelection): KeyRow[] {
    const { where, params } = conditionsOf(selection);
    return this.select(
      `WHERE ${where} AND id IN (SELECT present.credentialKey FROM connectionRevision AS present
         JOIN connection ON connection.id = present.connectionId AND connection.revision = present.revision
         WHERE present.credentialKey IS NOT NULL) ORDER BY id`,
      ...params,
    );
  }

  /** A page in order of id. Deleted keys are listed only when asked for by state. */
  list(filter: KeyFilter, after: string, limit: number): KeyRow[] {
    const where = ["id > ?"];
    const params: SqlValue[] = [after];
    const add = (clause: string, ...values: SqlValue[]) => {
      where.push(clause);
      params.push(...values);
    };
    if (filter.state) add("state = ?", filter.state);
    else add("state <> 'deleted'");
    if (filter.provider) add("provider = ?", filter.provider);
    if (filter.dueBefore !== undefined) add("dueAt < ?", filter.dueBefore);
    if (filter.asked !== undefined) {
      const awaited = "EXISTS (SELECT 1 FROM version WHERE keyId = key.id AND version.askedAt IS NOT NULL)";
      add(`${filter.asked ? "" : "NOT "}((askedAt IS NOT NULL AND state = 'active') OR ${awaited})`);
    }
    if (filter.label) add(HAS_LABEL, filter.label.name, filter.label.value);
    return this.select(`WHERE ${where.join(" AND ")} ORDER BY id LIMIT ?`, ...params, limit);
  }
}

const HAS_LABEL = "EXISTS (SELECT 1 FROM json_each(labels) WHERE json_each.key = ? AND json_each.value = ?)";

function conditionsOf({ provider, connectionId, label }: KeySelection): {
  where: string;
  params: SqlValue[];
} {
  return {
    where: [
      "state <> 'deleted'",
      ...(provider === undefined ? [] : ["provider = ?"]),
      ...(connectionId === undefined ? [] : ["connectionId = ?"]),
      ...(label === undefined ? [] : [HAS_LABEL]),
    ].join(" AND "),
    params: [provider, connectionId, label?.name, label?.value].filter((value) => value !== undefined),
  };
}
