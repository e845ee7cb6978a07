/**
 * The Durable Object of one keyring: RPC in, one alarm, one SQLite file. Every method authenticates and acts in one call. Those of each
 * resource are in methods/, what they do to the database in operations/; what goes on afterwards is the engine's.
 */
import type { Sealing } from "../crypto/file-key.ts";
import type { Outage } from "../rotation/policy.ts";
import type { KeyringIdentity } from "../store/settings.ts";
import type { Answer, Call, Reconciled } from "./host.ts";
import { CompromiseMethods } from "./methods/compromises.ts";
import { hostOf } from "./methods/hosted.ts";
import type { Imported } from "./transfer/desk.ts";
import type { Slice } from "./transfer/export.ts";
import type { Header } from "./transfer/format.ts";
import type { Visited } from "./visit.ts";

export class Keyring extends CompromiseMethods {
  /** Makes the keyring, or finds it made already. Only the Worker calls this, for a name and code that the registry lists. */
  make(identity: KeyringIdentity): Answer<null> {
    return hostOf(this).make(identity);
  }

  /**
   * Root accepts a history that is behind its anchor. What died since is revoked again first, so nothing comes back to life.
   * @returns how many entries of the history are gone, and how many versions were revoked again
   */
  reconcile(route: string): Promise<Answer<Reconciled>> {
    return hostOf(this).reconcile(route);
  }

  /**
   * The sweep's visit: starts what is past its age and sets the alarm again, should it have been lost.
   * @param outage when cron did not come, if it did not lately: what fell due then is spread over the hour after
   * @returns when the next scheduled start is due (milliseconds since the epoch), or null; `more` when some are due already
   */
  visit(outage: Outage | null = null): Answer<Visited> {
    return hostOf(this).visit(outage);
  }

  /**
   * Begins to read the keyring out into a file.
   * @param key the file's, 32 bytes
   * @returns the file's first line, and by which name to go on
   */
  beginExport(sealing: Sealing, key: Uint8Array, route: string): Answer<{ id: string; line: string }> {
    return hostOf(this).transfers.beginExport(sealing, key, route);
  }

  readExport(id: string): Answer<Slice> {
    return hostOf(this).transfers.readExport(id);
  }

  endExport(id: string): void {
    hostOf(this).transfers.endExport(id);
  }

  /**
   * Begins to take a file in under a name. Nothing is replaced before `endImport`.
   * @returns by which name to go on, or what the same file did before
   */
  beginImport(
    name: string,
    header: Header,
    headerLine: string,
    key: Uint8Array,
  ): Answer<{ id: string; done: Imported | null }> {
    return hostOf(this).transfers.beginImport(name, header, headerLine, key);
  }

  addImport(id: string, lines: readonly string[]): Answer<null> {
    return hostOf(this).transfers.addImport(id, lines);
  }

  endImport(id: string): Promise<Answer<Imported>> {
    return hostOf(this).transfers.endImport(id);
  }

  dropImport(id: string): void {
    hostOf(this).transfers.dropImport(id);
  }

  /** Lets some of what an import left on hold go on; `left` is still on hold. */
  release(call: Call): Answer<{ released: number; left: number }> {
    return hostOf(this).release(call);
  }

  /** Which master key wraps the data key. Opening the keyring has put the newest in place of an older one. */
  masterKey(): Answer<{ masterKeyId: string | null }> {
    return hostOf(this).masterKey();
  }

  override alarm(): void {
    hostOf(this).ring();
  }
}
