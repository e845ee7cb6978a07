/** Tables `destination` and `keyDestination`: the places that hold values, and which key goes where. */
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { Table } from "./table.ts";
import type { CallReport } from "./work-table.ts";

/** `unproven`: never answered yet. `disabled`: it told us to stop (HTTP 410). */
export type DestinationState = "unproven" | "ready" | "failing" | "disabled";

export interface DestinationRow {
  id: string;
  name: string;
  type: string;
  config: Record<string, unknown>;
  /** The signing secret, sealed, for types that sign. */
  sealed: Uint8Array | null;
  /** SHA-256 of the token by which it claims values, for those that do. */
  claimDigest: Uint8Array | null;
  state: DestinationState;
  revision: number;
  /** When it last answered as it should. */
  provenAt: number | null;
  /** Failed probes in a row. */
  probeAttempt: number;
  lastCall: CallReport | null;
  /** No value is sent before then: it is new, and its owner has not seen it yet. */
  opensAt: number | null;
  createdAt: number;
  createdBy: string;
}

export interface KeyDestinationRow {
  keyId: string;
  destinationId: string;
  required: boolean;
  mustAcknowledge: boolean;
  name: string;
  /** What is written to there; unique, so that two keys never overwrite each other. */
  target: string;
}

export class DestinationTable extends Table<DestinationRow> {
  constructor(sql: HeldSql, cache: RowCache) {
    super(sql, cache, "destination", {
      id: "plain",
      name: "plain",
      type: "plain",
      config: "json",
      sealed: "blob",
      claimDigest: "blob",
      state: "plain",
      revision: "plain",
      provenAt: "plain",
      probeAttempt: "plain",
      lastCall: "json",
      opensAt: "plain",
      createdAt: "plain",
      createdBy: "plain",
    });
  }

  /** A destination by id or name. */
  find(idOrName: string): DestinationRow | undefined {
    return this.get(idOrName) ?? this.select("WHERE name = ?", idOrName)[0];
  }

  /** The destination with this claim token's SHA-256. */
  byClaimDigest(digest: Uint8Array): DestinationRow | undefined {
    return this.select("WHERE claimDigest = ?", digest)[0];
  }

  /** A page in order of id. */
  list(after: string, limit: number): DestinationRow[] {
    return this.select("WHERE id > ? ORDER BY id LIMIT ?", after, limit);
  }

  /** Destinations that do not answer any more. */
  countUnwell(): number {
    return this.tally("WHERE state IN ('failing', 'disabled')");
  }

  /** Some of them. */
  unwell(limit: number): DestinationRow[] {
    return this.select("WHERE state IN ('failing', 'disabled') ORDER BY id LIMIT ?", limit);
  }

  linksOfKey(keyId: string): KeyDestinationRow[] {
    return this.cache.get(linksName(keyId), () =>
      this.#links("WHERE keyId = ? ORDER BY destinationId", keyId),
    );
  }

  linksOfDestination(destinationId: string): KeyDestinationRow[] {
    return this.#links("WHERE destinationId = ? ORDER BY keyId", destinationId);
  }

  /** Those that go through a connection, in order of id. */
  ofConnection(connectionId: string): DestinationRow[] {
    return this.select("WHERE config ->> 'connection' = ? ORDER BY id", connectionId);
  }

  /**
   * Who writes to a target, or to one that may come to the same: an end of `{field}` stands for any letters and digits.
   */
  linksByTarget(target: string): KeyDestinationRow[] {
    const stem = target.replace(/(\{field\}|[A-Za-z0-9]*)$/, "");
    const every = `${stem}${FIELD}`;
    if (target !== every) return this.#links("WHERE target IN (?, ?)", target, every);
    return this.#links("WHERE target >= ? AND target < ?", stem, `${stem}\uffff`).filter(
      (link) => link.target === every || /^[A-Za-z0-9]+$/.test(link.target.slice(stem.length)),
    );
  }

  link(row: KeyDestinationRow): void {
    this.cache.forget(linksName(row.keyId));
    this.sql.all(
      "INSERT INTO keyDestination (keyId, destinationId, required, mustAcknowledge, name, target) VALUES (?, ?, ?, ?, ?, ?)",
      row.keyId,
      row.destinationId,
      row.required ? 1 : 0,
      row.mustAcknowledge ? 1 : 0,
      row.name,
      row.target,
    );
  }

  /** What a link writes to from now on. */
  retarget({ keyId, destinationId }: KeyDestinationRow, target: string): void {
    this.cache.forget(linksName(keyId));
    this.sql.all(
      "UPDATE keyDestination SET target = ? WHERE keyId = ? AND destinationId = ?",
      target,
      keyId,
      destinationId,
    );
  }

  unlinkKey(keyId: string): void {
    this.cache.forget(linksName(keyId));
    this.sql.all("DELETE FROM keyDestination WHERE keyId = ?", keyId);
  }

  #links(rest: string, ...params: string[]): KeyDestinationRow[] {
    type Raw = Omit<KeyDestinationRow, "required" | "mustAcknowledge"> & {
      required: number;
      mustAcknowledge: number;
    };
    return this.sql.all<Raw>(`SELECT * FROM keyDestination ${rest}`, ...params).map((row) => ({
      ...row,
      required: row.required === 1,
      mustAcknowledge: row.mustAcknowledge === 1,
    }));
  }
}

const FIELD = "{field}";

function linksName(keyId: string): string {
  return `linksOf:${keyId}`;
}
