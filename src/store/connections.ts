/**
 * Tables `connection` and `connectionRevision`: the accounts at outside services, and what opens them. A revision is never changed:
 * a live rotation goes on with the one that it began with, and the row goes when nothing is pinned to it any more.
 */
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { bytesOf } from "./sql.ts";
import { Table } from "./table.ts";

export interface ConnectionRow {
  id: string;
  name: string;
  provider: string;
  /** The present revision. */
  revision: number;
  createdAt: number;
  createdBy: string;
}

export interface ConnectionRevisionRow {
  connectionId: string;
  revision: number;
  config: Record<string, unknown>;
  /** Whose it is, as the service said when it was tested; null when it says nothing of that. */
  account: string | null;
  /** The credential's fields, sealed; null when a key of this keyring is the credential. */
  sealed: Uint8Array | null;
  /** Id of the key whose current value is the credential. */
  credentialKey: string | null;
}

export class ConnectionTable extends Table<ConnectionRow> {
  constructor(sql: HeldSql, cache: RowCache) {
    super(sql, cache, "connection", {
      id: "plain",
      name: "plain",
      provider: "plain",
      revision: "plain",
      createdAt: "plain",
      createdBy: "plain",
    });
  }

  /** A connection by id or name. */
  find(idOrName: string): ConnectionRow | undefined {
    return this.get(idOrName) ?? this.select("WHERE name = ?", idOrName)[0];
  }

  list(after: string, limit: number): ConnectionRow[] {
    return this.select("WHERE id > ? ORDER BY id LIMIT ?", after, limit);
  }

  revision(connectionId: string, revision: number): ConnectionRevisionRow | undefined {
    return this.#revisions("WHERE connectionId = ? AND revision = ?", connectionId, revision)[0];
  }

  /** Connections whose present credential is a value of this key. */
  openedBy(keyId: string): ConnectionRow[] {
    return this.select(
      `WHERE EXISTS (SELECT 1 FROM connectionRevision AS present WHERE present.credentialKey = ?
         AND present.connectionId = connection.id AND present.revision = connection.revision) ORDER BY id`,
      keyId,
    );
  }

  addRevision(row: ConnectionRevisionRow): void {
    this.sql.all(
      "INSERT INTO connectionRevision (connectionId, revision, config, account, sealed, credentialKey) VALUES (?, ?, ?, ?, ?, ?)",
      row.connectionId,
      row.revision,
      JSON.stringify(row.config),
      row.account,
      row.sealed,
      row.credentialKey,
    );
  }

  /** Deletes every revision but the present one and those that a live rotation or a version that is not dead keeps to. */
  pruneRevisions({ id, revision }: ConnectionRow): void {
    this.sql.all(
      `DELETE FROM connectionRevision WHERE connectionId = ? AND revision <> ?
       AND revision NOT IN (
         SELECT connectionRevision FROM rotation WHERE live = 1 AND connectionRevision IS NOT NULL
           AND keyId IN (SELECT id FROM key WHERE connectionId = ?)
         UNION SELECT connectionRevision FROM version WHERE connectionRevision IS NOT NULL
           AND stage NOT IN ('revoked', 'discarded', 'lost')
           AND keyId IN (SELECT id FROM key WHERE connectionId = ?))`,
      id,
      revision,
      id,
      id,
    );
  }

  /** Deletes a connection with all its revisions. */
  remove({ id }: ConnectionRow): void {
    this.sql.all("DELETE FROM connectionRevision WHERE connectionId = ?", id);
    this.delete(id);
  }

  #revisions(rest: string, ...params: (string | number)[]): ConnectionRevisionRow[] {
    type Raw = Omit<ConnectionRevisionRow, "config"> & { config: string };
    return this.sql.all<Raw>(`SELECT * FROM connectionRevision ${rest}`, ...params).map((row) => ({
      ...row,
      config: JSON.parse(row.config) as Record<string, unknown>,
      sealed: bytesOf(row.sealed),
    }));
  }
}
