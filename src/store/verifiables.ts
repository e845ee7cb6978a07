/**
 * What verification reads, and no more: a version together with its key, in one statement for all the values of one call. Nothing is
 * kept after that call, so no revocation is ever missed.
 */
import type { KeyRow } from "./keys.ts";
import { bytesOf, type Sql } from "./sql.ts";
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

export class Verifiables {
  readonly #sql: Sql;
  #glanced: Map<string, Verifiable> | undefined;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  find(versionId: string): Verifiable | undefined {
    return this.#glanced?.get(versionId) ?? this.#read([versionId])[0];
  }

  /** Runs a call that will look for these versions. It must not wait for anything. */
  during<T>(versionIds: readonly string[], call: () => T): T {
    this.#glanced = new Map(this.#read(versionIds).map((found) => [found.version.id, found]));
    try {
      return call();
    } finally {
      this.#glanced = undefined;
    }
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
