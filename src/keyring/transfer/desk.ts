/**
 * Export and import of one keyring, as its object does them: what is under way is in memory, so an object that is restarted has forgotten it
 * and says so. The Worker streams, and knows the passphrase; the object knows the file's key only while it works on that file.
 */
import { randomUUID } from "node:crypto";
import type { Sealing } from "../../crypto/file-key.ts";
import { unwrapDataKey, wrapDataKey } from "../../crypto/master-keys.ts";
import { secureRandom } from "../../crypto/random.ts";
import { readConfig } from "../../env.ts";
import type { Failure } from "../../errors/catalogue.ts";
import { hasReached } from "../../events/chain.ts";
import { DEAD_KEPT_MS } from "../../registry/anchors.ts";
import { registryOf } from "../../registry/stub.ts";
import { err, ok, type Result } from "../../result.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import { isMade, SCHEMA_VERSION } from "../../store/migrations.ts";
import type { Sql } from "../../store/sql.ts";
import { Store } from "../../store/store.ts";
import { isDead } from "../../store/versions.ts";
import { listDead } from "../dead.ts";
import { openContext } from "../opening.ts";
import { reconcile } from "../operations/history.ts";
import { KeyringExport, type Slice } from "./export.ts";
import { FORMAT_VERSION, fileIdOf, type Header, Seals } from "./format.ts";
import { countHeld } from "./hold.ts";
import { dropLines, dropStaleLines, KeyringImport, LINES_KEPT_MS, Refused } from "./import.ts";

/** A reader or writer that says nothing for so long is gone. */
const IDLE_MS = 120_000;

/** What an import did. */
export interface Imported {
  name: string;
  code: string;
  /** Sequence number of the last event of the file. */
  headSeq: number;
  /** ISO 8601 */
  exportedAt: string;
  /** Versions that had died since the file was made, and were revoked again. */
  revoked: number;
  /** Entries of work that wait for the release. */
  held: number;
}

interface Session<Work> {
  id: string;
  work: Work;
  usedAt: number;
}

interface Incoming {
  file: string;
  name: string;
  reader: KeyringImport;
}

export interface DeskHost {
  readonly ctx: DurableObjectState;
  readonly env: Env;
  readonly sql: Sql;
  opened(): Result<{ context: EngineContext }, Failure>;
  refusal(): { ok: false; error: Failure } | undefined;
  /** Has the alarm ring then, should it not ring before. */
  wakeAt(at: number): void;
  /** The database holds another keyring now, whose history is as it should be. */
  replaced(): void;
}

export class TransferDesk {
  readonly #host: DeskHost;
  #export: Session<KeyringExport> | undefined;
  #import: Session<Incoming> | undefined;
  /** Whether lines may lie there. To look for their table reads the whole schema, which each alarm would. */
  #mayHaveLines = true;

  constructor(host: DeskHost) {
    this.#host = host;
  }

  /** Begins to read the keyring. Answers the file's first line. */
  beginExport(
    sealing: Sealing,
    key: Uint8Array,
    route: string,
  ): Result<{ id: string; line: string }, Failure> {
    const open = this.#host.opened();
    if (!open.ok) return open;
    const refusal = this.#host.refusal();
    if (refusal) return refusal;
    const { context } = open.value;
    const { store, identity } = context;
    const config = readConfig(this.#host.env);
    const wrapped = store.settings.wrappedDataKey();
    const dataKey = config.ok && wrapped && unwrapDataKey(config.value.masterKeys, identity.code, wrapped);
    if (!dataKey) throw new Error("an open keyring without its data key");
    store.transaction(() => {
      record(context, { type: "root.used", actor: "root", data: { route } });
      record(context, { type: "keyring.exported", actor: "root", data: { sealing: sealing.kind } });
    });
    const header: Header = {
      format: "rekey-export",
      version: FORMAT_VERSION,
      schema: SCHEMA_VERSION,
      keyring: { name: identity.name, code: identity.code },
      exportedAt: new Date(context.now()).toISOString(),
      sealing,
      cipher: "AES-256-GCM",
      compression: "gzip",
    };
    const line = JSON.stringify(header);
    this.#export?.work.close();
    const work = new KeyringExport(this.#host.sql, store, new Seals(key, identity.code, line), dataKey);
    this.#export = { id: randomUUID(), work, usedAt: Date.now() };
    return ok({ id: this.#export.id, line });
  }

  /** The next lines of an export. */
  readExport(id: string): Result<Slice, Failure> {
    const session = this.#export;
    if (session?.id !== id) return err({ code: "transfer-interrupted" });
    session.usedAt = Date.now();
    const slice = session.work.next();
    if (!slice || slice.isDone) this.endExport(id);
    return slice
      ? ok(slice)
      : err({ code: "transfer-interrupted", detail: "the keyring changes as fast as it is read" });
  }

  endExport(id: string): void {
    if (this.#export?.id !== id) return;
    this.#export.work.close();
    this.#export = undefined;
  }

  /**
   * Begins to take a file in. A file that this keyring was imported from is not taken again: `done` is what was answered then.
   * @param headerLine the file's first line, parsed already
   */
  beginImport(
    name: string,
    header: Header,
    headerLine: string,
    key: Uint8Array,
  ): Result<{ id: string; done: Imported | null }, Failure> {
    const { sql } = this.#host;
    const file = fileIdOf(headerLine);
    const done = this.#earlier(name, file);
    if (done) return ok({ id: "", done });
    const problem = this.#findProblem(header);
    if (problem) return err(problem);
    const now = Date.now();
    const seals = new Seals(key, header.keyring.code, headerLine);
    this.#mayHaveLines = true;
    const reader = sql.transaction(() => new KeyringImport(sql, header, seals, now));
    this.#import = { id: randomUUID(), work: { file, name, reader }, usedAt: now };
    this.#host.wakeAt(now + LINES_KEPT_MS);
    return ok({ id: this.#import.id, done: null });
  }

  /** Takes lines in, in order. A line that is not right ends the import. */
  addImport(id: string, lines: readonly string[]): Result<null, Failure> {
    const session = this.#import;
    if (session?.id !== id) return err({ code: "transfer-interrupted" });
    session.usedAt = Date.now();
    const added = this.#host.sql.transaction(() => session.work.reader.add(lines));
    if (!added.ok) this.dropImport(id);
    return added;
  }

  dropImport(id: string): void {
    if (this.#import?.id !== id) return;
    this.#import = undefined;
    dropLines(this.#host.sql);
  }

  /** The file is whole: lists the keyring, then puts the file's rows in the place of what is here. */
  async endImport(id: string): Promise<Result<Imported, Failure>> {
    const session = this.#import;
    if (session?.id !== id) return err({ code: "transfer-interrupted" });
    const { reader, name } = session.work;
    const { code } = reader.header.keyring;
    const registry = registryOf(this.#host.env);
    const listed = reader.problem ? err(reader.problem) : await registry.adopt({ name, code });
    if (!listed.ok) {
      this.dropImport(id);
      return listed;
    }
    let isDone = false;
    try {
      const replaced = await this.#replace(session.work);
      isDone = replaced.ok;
      return replaced;
    } catch (error) {
      if (error instanceof Refused) return err(error.failure);
      throw error;
    } finally {
      this.dropImport(id);
      if (!isDone && listed.value.isNew) await registry.disown(code);
    }
  }

  /** Drops what nobody goes on with. */
  tidy(): void {
    const now = Date.now();
    if (this.#export && now - this.#export.usedAt >= IDLE_MS) this.endExport(this.#export.id);
    this.#mayHaveLines &&= dropStaleLines(this.#host.sql, now);
  }

  async #replace({ reader, name, file }: Incoming): Promise<Result<Imported, Failure>> {
    const { sql, env, ctx } = this.#host;
    const config = readConfig(env);
    if (!config.ok) return err({ code: "not-configured", detail: config.error.join("; ") });
    const { keyring, exportedAt } = reader.header;
    const { code } = keyring;
    const registry = registryOf(env);
    const [{ anchor }, dead] = [await registry.standingOf(code), await listDead(registry, code)];
    // Those awaits let others in: what was empty may not be any more.
    const problem = this.#findProblem(reader.header);
    if (problem) return err(problem);
    const store = new Store(sql);
    const imported = store.transaction(() => {
      const { dataKey, head } = reader.replaceTables();
      const key = new Uint8Array(Buffer.from(dataKey, "base64"));
      const isBehind = anchor !== null && !hasReached(new Store(sql), anchor);
      if (isBehind && Date.now() - Date.parse(exportedAt) >= DEAD_KEPT_MS) {
        throw new Refused(`it was made ${exportedAt}, and the history went on after it`, "file-too-old");
      }
      store.settings.setIdentity({ name, code });
      store.settings.setWrappedDataKey(wrapDataKey(config.value.masterKeys, code, key, secureRandom));
      const opened = openContext(sql, env, ctx.exports.Outside, undefined, store);
      if (!opened.ok) throw new Error("what was just sealed does not open");
      const context = opened.value;
      const data = { headSeq: head.seq, exportedAt, from: keyring.name };
      record(context, { type: "keyring.imported", actor: "root", data });
      const isAnyAlive = dead.some((version) => {
        const row = store.versions.get(version);
        return row !== undefined && !isDead(row);
      });
      const revoked = isAnyAlive ? reconcile(context, dead, anchor?.seq ?? head.seq) : 0;
      const answer = { name, code, headSeq: head.seq, exportedAt, revoked, held: countHeld(sql) };
      store.settings.setImportedFrom({ file, answer: JSON.stringify(answer) });
      return answer;
    });
    const head = store.events.head();
    if (anchor && head) await registry.setAnchor(code, head);
    this.#host.replaced();
    return ok(imported);
  }

  /** Why nothing can be imported here, or undefined. */
  #findProblem({ version, schema }: Header): Failure | undefined {
    const { sql } = this.#host;
    if (version > FORMAT_VERSION || schema > SCHEMA_VERSION) return { code: "file-too-new" };
    if (!isMade(sql)) return undefined;
    const { keys, destinations } = new Store(sql);
    const isEmpty =
      keys.list({}, "", 1).length === 0 &&
      keys.list({ state: "deleted" }, "", 1).length === 0 &&
      destinations.list("", 1).length === 0 &&
      sql.all("SELECT 1 FROM connection LIMIT 1").length === 0;
    return isEmpty ? undefined : { code: "keyring-not-empty" };
  }

  #earlier(name: string, file: string): Imported | undefined {
    const { sql } = this.#host;
    const { settings } = new Store(sql);
    const earlier = isMade(sql) && settings.identity()?.name === name ? settings.importedFrom() : undefined;
    return earlier?.file === file ? (JSON.parse(earlier.answer) as Imported) : undefined;
  }
}
