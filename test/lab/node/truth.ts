/**
 * Compares what Rekey says with what the services know and what the consumers hold. Each check says in words what does not agree; an
 * empty list is a kept promise.
 */
import { z } from "zod";
import { KINDS, type KindName } from "../kinds.ts";
import type { Inspection } from "../service.ts";
import type { Received } from "./receiver.ts";

const time = z.string().transform((text) => Date.parse(text));

export const keySchema = z.object({
  name: z.string(),
  state: z.string(),
  currentVersion: z.int().nullable(),
  rotation: z.string().nullable(),
  versions: z.array(
    z.object({
      number: z.int(),
      stage: z.string(),
      hint: z.string(),
      promotedAt: time.nullable(),
      graceEndsAt: time.nullable(),
      endReason: z.string().nullable(),
      confirmed: z.boolean(),
    }),
  ),
});
export type KeyNow = z.infer<typeof keySchema>;
type Version = KeyNow["versions"][number];

export const rotationSchema = z.object({
  id: z.string(),
  live: z.boolean(),
  state: z.string(),
  step: z.string(),
  reason: z.string().nullable(),
  problem: z.string().nullable(),
  toVersion: z.int().nullable(),
});
export type RotationNow = z.infer<typeof rotationSchema>;

/** A key, where it lives, and everything that is known of it. */
export interface Case {
  keyring: string;
  kind: KindName;
  key: KeyNow;
  /** Newest first. */
  rotations: RotationNow[];
}

/** How far the clock of a process may lag behind what it asked for. Milliseconds. */
const TICK_MS = 5;
const ALIVE = ["pending", "current", "previous", "revoking"];

/** What is still under way, in words. */
export function unsettled({ keyring, key, rotations }: Case, now: number): string[] {
  const where = `${keyring}/${key.name}`;
  const versions = key.versions
    .filter(({ stage }) => stage === "pending" || stage === "revoking")
    .map(({ number, stage }) => `${where}: version ${number} is ${stage}`);
  const graces = key.versions
    .filter(({ stage, graceEndsAt }) => stage === "previous" && (graceEndsAt ?? Infinity) <= now)
    .map(({ number }) => `${where}: version ${number} is still there after its grace`);
  const live = rotations
    .filter((one) => one.live)
    .map(({ state, step, problem }) => `${where}: a rotation is ${state} at ${step}: ${problem}`);
  return [...versions, ...graces, ...live];
}

/** A rotation that ended without success says why. */
export function unexplained({ keyring, key, rotations }: Case): string[] {
  return rotations
    .filter((one) => !one.live && one.state !== "succeeded" && !one.problem)
    .map((one) => `${keyring}/${key.name}: ${one.id} is ${one.state} and does not say why`);
}

/** Promise 3: one current version and one live rotation at most; none only for a key that is lost. */
export function notOne({ keyring, key, rotations }: Case): string[] {
  const current = key.versions.filter(({ stage }) => stage === "current").length;
  const live = rotations.filter((one) => one.live).length;
  const wanted = key.state === "lost" ? 0 : 1;
  return current === wanted && live <= 1
    ? []
    : [`${keyring}/${key.name}: ${current} current versions, ${live} live rotations, state ${key.state}`];
}

/** Promise 4: the service holds exactly what is known to be alive here. Each lost version may have left one behind. */
export function disagreements(one: Case, service: Inspection): string[] {
  const { keyring, key } = one;
  const where = `${keyring}/${key.name}`;
  const there = service.credentials.filter(({ label }) => label === key.name);
  const lost = key.versions.filter(({ stage }) => stage === "lost").length;
  const unknown = there
    .filter((credential) => credential.live && versionOf(key, credential.secret) === undefined)
    .slice(lost)
    .map(({ reference }) => `${where}: ${reference} lives at the service and is unknown here`);
  const dead = key.versions
    .filter(({ stage, hint }) => ALIVE.includes(stage) && !there.some((c) => c.live && isOf(c.secret, hint)))
    .map(({ number, stage }) => `${where}: version ${number} is ${stage} here and dead at the service`);
  const alive = key.versions
    .filter(({ stage, hint }) => !ALIVE.includes(stage) && there.some((c) => c.live && isOf(c.secret, hint)))
    .map(({ number, stage }) => `${where}: version ${number} is ${stage} here and lives at the service`);
  return [...unknown, ...dead, ...alive];
}

/** Values that the service made for Rekey and whose answer was lost, by reference. */
export function orphans({ key }: Case, service: Inspection): string[] {
  return service.credentials
    .filter(({ label, secret }) => label === key.name && versionOf(key, secret) === undefined)
    .map(({ reference }) => reference);
}

/** The receiver got every version that ever was current, each with the value that the service made, and last the current one. */
export function undelivered(one: Case, service: Inspection, received: readonly Received[]): string[] {
  const { keyring, key } = one;
  const where = `${keyring}/${key.name}`;
  const mine = received.filter((got) => got.keyring === keyring && got.keyName === key.name);
  const missing = key.versions
    .filter(({ promotedAt, endReason }) => promotedAt !== null && endReason !== "lost")
    .filter(({ number, hint }) => !mine.some((got) => got.version === number && isOf(got.secret, hint)))
    .map(({ number }) => `${where}: version ${number} was current and never arrived`);
  const forged = mine
    .filter(({ secret }) => !service.credentials.some((credential) => credential.secret === secret))
    .map(({ version }) => `${where}: version ${version} came with a value that the service never made`);
  const newest = newestOf(mine);
  const isLast = key.currentVersion === null || newest?.version === key.currentVersion;
  const last = isLast ? [] : [`${where}: the receiver holds ${newest?.version}, not ${key.currentVersion}`];
  return [...missing, ...forged, ...last];
}

/** Promise 1: what a consumer holds opens the service's door, while Rekey lives and while it is dead. */
export function shutOut(
  one: Pick<Case, "keyring" | "kind"> & { name: string },
  service: Inspection,
  received: readonly Received[],
): string[] {
  // Without overlap nothing is promised, and with a service's own clock only until that ran out.
  if (KINDS[one.kind].overlap === "none") return [];
  const newest = newestOf(received.filter((got) => got.keyring === one.keyring && got.keyName === one.name));
  const held = service.credentials.find(({ secret }) => secret === newest?.secret);
  return !newest || held?.live
    ? []
    : [`${one.keyring}/${one.name}: the receiver holds version ${newest.version}, which is dead`];
}

/**
 * Promise 2: what we revoked at the service had been replaced at the consumer by then, and its grace was over. A service with a
 * clock of its own is never told to end what was current.
 */
export function revokedTooEarly(one: Case, service: Inspection, received: readonly Received[]): string[] {
  const { keyring, kind, key } = one;
  const mine = received.filter((got) => got.keyring === keyring && got.keyName === key.name);
  return service.credentials
    .filter(({ label, endedBy }) => label === key.name && endedBy === "revocation")
    .flatMap(({ secret, endsAt, reference }) => {
      const version = versionOf(key, secret);
      if (!version || version.promotedAt === null || version.endReason === "lost") return [];
      const where = `${keyring}/${key.name}: version ${version.number} (${reference}) was revoked`;
      if (KINDS[kind].overlap === "provider") return [`${where}, which its service does by itself`];
      const at = (endsAt ?? Infinity) + TICK_MS;
      const grace = version.graceEndsAt ?? Infinity;
      const wasReplaced = mine.some(
        (got) =>
          got.revision > revisionOf(mine, version.number) && got.version !== version.number && got.at <= at,
      );
      return [
        ...(grace > at ? [`${where} before its grace ended`] : []),
        ...(wasReplaced ? [] : [`${where} before another one arrived`]),
      ];
    });
}

function newestOf(received: readonly Received[]): Received | undefined {
  return received.toSorted((a, b) => a.revision - b.revision).at(-1);
}

/** The last revision under which a version arrived. */
function revisionOf(received: readonly Received[], version: number): number {
  return Math.max(0, ...received.filter((got) => got.version === version).map(({ revision }) => revision));
}

/** The version with a value: the lab ends each with four characters of its own. */
function versionOf(key: KeyNow, secret: string): Version | undefined {
  return key.versions.find(({ hint }) => isOf(secret, hint));
}

function isOf(secret: string, hint: string): boolean {
  return hint !== "" && secret.endsWith(`-${hint}`);
}
