/** Table `signal`: what signs the leak reports of each source. */
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { Table } from "./table.ts";

/** Sources whose reports are signed with a secret of the keyring's own. */
export const SIGNAL_SOURCES = ["github", "gitguardian", "standard"] as const;
export type SignalSource = (typeof SIGNAL_SOURCES)[number];

/** What a source is like. */
export interface SourceTraits {
  /** In what form its secret comes: any text, or `whsec_` and base64 as Standard Webhooks has it. */
  secret: "text" | "whsec";
  /** Whether it sends alerts that do not say what leaked, so that a connection has to fetch it. */
  hasAlerts: boolean;
}

export const SOURCE_TRAITS: Readonly<Record<SignalSource, SourceTraits>> = {
  github: { secret: "text", hasAlerts: true },
  gitguardian: { secret: "text", hasAlerts: false },
  standard: { secret: "whsec", hasAlerts: false },
};

export interface SignalRow {
  id: SignalSource;
  /** The secrets, sealed; null for a source that was turned off. */
  sealed: Uint8Array | null;
  /** What they are sealed for; never used twice. */
  revision: number;
  /** Where the leaked value of an alert is fetched. */
  connectionId: string | null;
  /** Last four characters of the newest secret. */
  hint: string;
  /** When a report was last accepted, at most an hour behind. */
  heardAt: number | null;
  createdAt: number;
  createdBy: string;
}

export class SignalTable extends Table<SignalRow> {
  constructor(sql: HeldSql, cache: RowCache) {
    super(sql, cache, "signal", {
      id: "plain",
      sealed: "blob",
      revision: "plain",
      connectionId: "plain",
      hint: "plain",
      heardAt: "plain",
      createdAt: "plain",
      createdBy: "plain",
    });
  }

  /** All sources that were set up. */
  all(): SignalRow[] {
    return this.select("ORDER BY id");
  }

  /** Those whose alerts are fetched over a connection. */
  throughConnection(connectionId: string): SignalRow[] {
    return this.select("WHERE connectionId = ? ORDER BY id", connectionId);
  }
}
