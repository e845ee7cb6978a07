/** Table `setting`: the few values that belong to the keyring as a whole. */
import type { WrappedDataKey } from "../crypto/master-keys.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { bytesOf, type SqlValue } from "./sql.ts";

/** What a keyring knows of itself. */
export interface KeyringIdentity {
  name: string;
  code: string;
}

/** Why no scheduled rotation begins. */
export interface Hold {
  /** Milliseconds since the epoch. */
  since: number;
  /** Ends by itself then; null until somebody releases it. */
  until: number | null;
  reason: string;
  /** Id of the access key that set it, or `root`. */
  by: string;
}

/** How many scheduled rotations may be live at once. What is absent has no limit. */
export interface Limits {
  rotations?: number | undefined;
  rotationsPerConnection?: number | undefined;
}
/** How a keyring, or a key, is. */
export type Health = "healthy" | "degraded" | "failing";

/** The last entry of the history that was pruned: what is kept goes on from it. */
export interface HistoryStart {
  seq: number;
  hash: Uint8Array;
}

const DEFAULT_EVENT_RETENTION = "400d";
const EVENT_RETENTION = "eventRetention";

export class SettingTable {
  readonly #sql: HeldSql;
  readonly #cache: RowCache;

  constructor(sql: HeldSql, cache: RowCache) {
    this.#sql = sql;
    this.#cache = cache;
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

  /** How the keyring was when that was last looked at. */
  health(): Health {
    const health = this.#get("health");
    return health === "degraded" || health === "failing" ? health : "healthy";
  }

  setHealth(health: Health): void {
    this.#set("health", health);
  }

  /** How often the keyring says that it is alive, as a duration; `0` for never. */
  heartbeat(): string {
    const every = this.#get("heartbeat");
    return typeof every === "string" ? every : "0";
  }

  setHeartbeat(every: string): void {
    this.#set("heartbeat", every);
  }

  /** How long an event stays in the history, as a duration. Remembered: each visit of cron asks. */
  eventRetention(): string {
    return this.#cache.get(EVENT_RETENTION, () => {
      const kept = this.#get(EVENT_RETENTION);
      return typeof kept === "string" ? kept : DEFAULT_EVENT_RETENTION;
    });
  }

  setEventRetention(kept: string): void {
    this.#set(EVENT_RETENTION, kept);
    this.#cache.forget(EVENT_RETENTION);
  }

  /** Undefined while nothing of the history was pruned. */
  historyStart(): HistoryStart | undefined {
    const start = this.#json<{ seq: number; hash: string }>("historyStart");
    return start ? { seq: start.seq, hash: new Uint8Array(Buffer.from(start.hash, "hex")) } : undefined;
  }

  setHistoryStart({ seq, hash }: HistoryStart): void {
    this.#set("historyStart", JSON.stringify({ seq, hash: Buffer.from(hash).toString("hex") }));
  }

  /** Whether cron was last seen to be missing. */
  isCronMissing(): boolean {
    return this.#get("cronMissing") === 1;
  }

  setCronMissing(isMissing: boolean): void {
    this.#set("cronMissing", isMissing ? 1 : 0);
  }

  /** Where this deployment is reached, as far as that was learnt. */
  baseUrl(): string | undefined {
    const url = this.#get("baseUrl");
    return typeof url === "string" ? url : undefined;
  }

  setBaseUrl(url: string): void {
    if (this.baseUrl() !== url) this.#set("baseUrl", url);
  }

  /** The hold that is in force, or null. */
  hold(now: number): Hold | null {
    const hold = this.#json<Hold>("hold");
    return hold && (hold.until === null || now < hold.until) ? hold : null;
  }

  setHold(hold: Hold): void {
    this.#set("hold", JSON.stringify(hold));
  }

  /** When the last hold was in force, or null when none ever was. One without an end reaches to the end of time. */
  lastHold(): { from: number; until: number } | null {
    const hold = this.#json<Hold>("hold");
    return hold && { from: hold.since, until: hold.until ?? Infinity };
  }

  limits(): Limits {
    return this.#json<Limits>("limits") ?? {};
  }

  setLimits(limits: Limits): void {
    this.#set("limits", JSON.stringify(limits));
  }

  /** The file that this keyring was imported from, and what was answered then. */
  importedFrom(): { file: string; answer: string } | undefined {
    const file = this.#get("importedFile");
    const answer = this.#get("importedAnswer");
    return typeof file === "string" && typeof answer === "string" ? { file, answer } : undefined;
  }

  setImportedFrom({ file, answer }: { file: string; answer: string }): void {
    this.#set("importedFile", file);
    this.#set("importedAnswer", answer);
  }

  #json<T>(name: string): T | null {
    const text = this.#get(name);
    return typeof text === "string" ? (JSON.parse(text) as T) : null;
  }

  #get(name: string): SqlValue | undefined {
    // None is ever held back.
    return this.#sql.now<{ value: SqlValue }>("SELECT value FROM setting WHERE name = ?", name)[0]?.value;
  }

  #set(name: string, value: SqlValue): void {
    this.#sql.all(
      "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      name,
      value,
    );
  }
}
