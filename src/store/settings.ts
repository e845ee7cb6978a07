/** Table `setting`: the few values that belong to the keyring as a whole. */
import type { WrappedDataKey } from "../crypto/master-keys.ts";
import { bytesOf, type Sql, type SqlValue } from "./sql.ts";

/** What a keyring knows of itself. */
export interface KeyringIdentity {
  name: string;
  code: string;
}

export class SettingTable {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  identity(): KeyringIdentity | undefined {
    const name = this.#get("name");
    const code = this.#get("code");
    return typeof name === "string" && typeof code === "string" ? { name, code } : undefined;
  }

  setIdentity({ name, code }: KeyringIdentity): void {
    this.#set("name", name);
    this.#set("code", code);
  }

  wrappedDataKey(): WrappedDataKey | undefined {
    const masterKeyId = this.#get("masterKeyId");
    const wrapped = bytesOf(this.#get("dataKey"));
    return typeof masterKeyId === "string" && wrapped ? { masterKeyId, wrapped } : undefined;
  }

  setWrappedDataKey({ masterKeyId, wrapped }: WrappedDataKey): void {
    this.#set("masterKeyId", masterKeyId);
    this.#set("dataKey", wrapped);
  }

  #get(name: string): SqlValue | undefined {
    return this.#sql.all<{ value: SqlValue }>("SELECT value FROM setting WHERE name = ?", name)[0]?.value;
  }

  #set(name: string, value: SqlValue): void {
    this.#sql.all(
      "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      name,
      value,
    );
  }
}
