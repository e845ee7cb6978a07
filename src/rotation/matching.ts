/**
 * What of this keyring a leak report names. Issued values and access keys are found by their own token, in any stage; values of services
 * outside by their fingerprint; then the secrets that are no keys: credentials of connections, what signs webhooks and reports, and claim
 * tokens. Reads only. Everything is looked for whatever was found before, so that a match takes as long as none.
 */
import { sameBytes, sha256 } from "../crypto/hash.ts";
import { parseToken } from "../issuer/token.ts";
import type { LeakKind } from "../store/compromises.ts";
import type { VersionRow } from "../store/versions.ts";
import type { EngineContext } from "./context.ts";
import { listOtherPrints } from "./other-secrets.ts";

/** Something that is said to have leaked: the value itself, or what stands for it. */
export type Leaked =
  | { secret: string }
  /** 32 bytes. */
  | { fingerprint: Uint8Array }
  /** A key by id or name; its current version unless another is named. */
  | { key: string; version?: number | undefined };

/** Something of ours that a report names. */
export interface Found {
  kind: LeakKind;
  subject: string;
  /** Of a version. */
  version?: VersionRow;
  /** Of any other secret; see `OtherPrint`. */
  print?: Uint8Array;
}

/** For each thing that was reported, what of ours it is: none, one, or the few that share a value. */
export function findLeaked(context: EngineContext, reports: readonly Leaked[]): Found[][] {
  const secrets = reports.map((one) => ("secret" in one ? one.secret : undefined));
  const prints = reports.map((one) => printOf(context, one));
  const byPrint = groupByHex(prints, (known) => context.store.versions.byFingerprints(known));
  const byToken = findTokens(context, secrets);
  const others = findOthers(context);
  return reports.map((one, index) => {
    if ("key" in one) return findByName(context, one);
    const secret = secrets[index];
    const print = prints[index];
    const versions = [
      ...(secret === undefined ? [] : (byToken.get(secret) ?? [])),
      ...(print === undefined ? [] : (byPrint.get(hex(print)) ?? [])),
    ];
    return [
      ...versions.map((version): Found => ({ kind: "version", subject: version.id, version })),
      ...(print === undefined ? [] : (others.get(hex(print)) ?? [])),
      ...(secret === undefined ? [] : (others.get(hex(sha256(secret))) ?? [])),
    ];
  });
}

function printOf({ vault }: EngineContext, one: Leaked): Uint8Array | undefined {
  if ("fingerprint" in one) return one.fingerprint;
  return "secret" in one ? vault.fingerprint(one.secret) : undefined;
}

function groupByHex(
  prints: readonly (Uint8Array | undefined)[],
  find: (prints: readonly Uint8Array[]) => VersionRow[],
): Map<string, VersionRow[]> {
  const wanted = new Map(prints.flatMap((print) => (print === undefined ? [] : [[hex(print), print]])));
  return Map.groupBy(find([...wanted.values()]), ({ fingerprint }) => hex(fingerprint ?? new Uint8Array()));
}

/** Versions of this keyring by the tokens that are their values. An id with another secret is nobody's. */
function findTokens(
  { store, identity }: EngineContext,
  secrets: readonly (string | undefined)[],
): Map<string, VersionRow[]> {
  const named = new Map<string, string[]>();
  for (const secret of new Set(secrets)) {
    const parsed = secret === undefined ? undefined : parseToken(secret);
    if (secret === undefined || parsed?.kind !== "token" || parsed.code !== identity.code) continue;
    named.set(parsed.publicId, [...(named.get(parsed.publicId) ?? []), secret]);
  }
  const found = new Map<string, VersionRow[]>();
  for (const version of store.versions.byIds([...named.keys()])) {
    for (const secret of named.get(version.id) ?? []) {
      if (version.digest && sameBytes(version.digest, sha256(secret))) found.set(secret, [version]);
    }
  }
  return found;
}

function findByName(
  { store }: EngineContext,
  { key: idOrName, version: number }: { key: string; version?: number | undefined },
): Found[] {
  const key = store.keys.find(idOrName);
  if (!key) return [];
  const version =
    number === undefined ? store.versions.current(key.id) : store.versions.byNumber(key.id, number);
  return version ? [{ kind: "version", subject: version.id, version }] : [];
}

function findOthers(context: EngineContext): Map<string, Found[]> {
  const found = new Map<string, Found[]>();
  for (const one of listOtherPrints(context)) {
    const known = found.get(hex(one.print)) ?? [];
    if (!known.some(({ kind, subject }) => kind === one.kind && subject === one.subject)) known.push(one);
    found.set(hex(one.print), known);
  }
  return found;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
