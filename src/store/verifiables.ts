/**
 * What verification reads, and no more: a version together with its key, in one statement for all the values of one call. The only
 * writer of a database keeps what it has read until it writes one of the two rows, so no revocation is ever missed; that nothing has an
 * id is kept as well, so an unknown one takes as long as a known one.
 */
import type { HeldSql, Holder } from "./held-sql.ts";
import type { KeyRow } from "./keys.ts";
import type { RowCache } from "./row-cache.ts";
import { bytesOf } from "./sql.ts";
import type { VersionRow } from "./versions.ts";

const VERSION_COLUMNS = ["id", "number", "stage", "graceEndsAt", "endReason", "digest"] as const;
const KEY_COLUMNS = [
  "id",
  "provider",
  "scopes",
  "role",
  "subject",
  "expiresAt",
  "state",
  "cooldownUntil",
  "verification",
] as const;

export interface Verifiable {
  version: Pick<VersionRow, (typeof VERSION_COLUMNS)[number]>;
  key: Pick<KeyRow, (typeof KEY_COLUMNS)[number]>;
}

/** Columns as the statement names them: those of the key come last. */
type Read = Verifiable["version"] &
  Omit<Verifiable["key"], "id" | "scopes" | "verification"> & {
    keyId: string;
    scopes: string;
    verification: string;
  };

const COLUMNS = [
  ...VERSION_COLUMNS.map((name) => `version.${name}`),
  ...KEY_COLUMNS.map((name) => (name === "id" ? "key.id AS keyId" : `key.${name}`)),
].join(", ");

/** The oldest go first; about as many megabytes as thousands. */
const MAX_KEPT = 5_000;

export class Verifiables implements Holder {
  readonly #sql: HeldSql;
  readonly #isKept: boolean;
  readonly #kept = new Map<string, Verifiable | undefined>();
  /** Ids of the versions that are kept, by their key's. */
  readonly #byKey = new Map<string, Set<string>>();

  /**
   * @param cache says which rows are written
   * @param isKept beyond a call: only for whoever makes all the writes
   */
  constructor(sql: HeldSql, cache: RowCache, isKept: boolean) {
    this.#sql = sql;
    this.#isKept = isKept;
    if (!isKept) return;
    sql.register(this);
    cache.watch((name) => this.#forget(name));
  }

  find(versionId: string): Verifiable | undefined {
    if (this.#kept.has(versionId)) return this.#kept.get(versionId);
    return this.#isKept ? this.#look([versionId])[0] : this.#read([versionId])[0];
  }

  /** Runs a call that will look for these versions. It must not wait for anything. */
  during<T>(versionIds: readonly string[], call: () => T): T {
    const missing = versionIds.filter((id) => !this.#kept.has(id));
    if (missing.length > 0) this.#look(missing);
    try {
      return call();
    } finally {
      if (!this.#isKept) this.discard();
    }
  }

  flush(): void {}

  /** A transaction failed: what was read in it may not be so. */
  discard(): void {
    this.#kept.clear();
    this.#byKey.clear();
  }

  /** Reads versions and keeps them. */
  #look(ids: readonly string[]): Verifiable[] {
    const found = this.#read(ids);
    for (const id of ids) this.#keep(id, undefined);
    for (const one of found) this.#keep(one.version.id, one);
    return found;
  }

  #keep(id: string, one: Verifiable | undefined): void {
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= MAX_KEPT && oldest !== undefined) this.#drop(oldest);
    this.#kept.set(id, one);
    if (one) this.#byKey.set(one.key.id, (this.#byKey.get(one.key.id) ?? new Set()).add(id));
  }

  #drop(id: string): void {
    const keyId = this.#kept.get(id)?.key.id;
    const kin = keyId === undefined ? undefined : this.#byKey.get(keyId);
    kin?.delete(id);
    if (keyId !== undefined && kin?.size === 0) this.#byKey.delete(keyId);
    this.#kept.delete(id);
  }

  /** A row was written. */
  #forget(name: string): void {
    const at = name.indexOf(":");
    const id = name.slice(at + 1);
    if (name.startsWith("version:")) this.#drop(id);
    else if (name.startsWith("key:"))
      for (const version of [...(this.#byKey.get(id) ?? [])]) this.#drop(version);
  }

  #read(ids: readonly string[]): Verifiable[] {
    const marks = ids.map(() => "?").join(", ");
    const rows = this.#sql.all<Read>(
      `SELECT ${COLUMNS} FROM version JOIN key ON key.id = version.keyId WHERE version.id IN (${marks})`,
      ...ids,
    );
    return rows.map(({ keyId, scopes, verification, digest, ...row }) => ({
      version: { ...row, digest: bytesOf(digest) },
      key: { ...row, id: keyId, scopes: JSON.parse(scopes), verification: JSON.parse(verification) },
    }));
  }
}
