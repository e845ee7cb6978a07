/** Table `keyUse`: how often keys with a limit were found valid, over all their versions. */

import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { Table } from "./table.ts";

export interface KeyUseRow {
  /** Of the key. */
  id: string;
  /** Valid answers since the key's `usage` was set. */
  uses: number;
  /** When the present window of its rate limit began. Milliseconds since the epoch. */
  windowAt: number;
  windowUses: number;
}

export class KeyUseTable extends Table<KeyUseRow> {
  constructor(sql: HeldSql, cache: RowCache) {
    super(sql, cache, "keyUse", { id: "plain", uses: "plain", windowAt: "plain", windowUses: "plain" });
  }

  put(row: KeyUseRow): void {
    const known = this.get(row.id);
    if (known) this.update(known, row);
    else this.insert(row);
  }
}
