/**
 * How long a batch will take, from what each service allows and, once it has run for a while, from its own pace. Pure. Nothing is said
 * that is not known: without either there is no number.
 */
import type { Allowance } from "../outbound/budget.ts";
import type { Provider } from "../providers/provider.ts";
import { resolverOf } from "./facts.ts";

/** What one account at a service still has to do. Accounts go on beside each other. */
export interface Load {
  /** The service, for people. */
  title: string;
  /** Keys that are still to be rotated there. */
  keys: number;
  calls: Calls;
  /** What the service allows the account; absent where no limit is known or none is shared by its keys. */
  rateLimit?: Allowance | undefined;
}

/** Calls to the service, one for each ability of its provider that is used. */
export interface Calls {
  /** Until a key's new value is current. */
  replace: number;
  /** Until its old one is seen dead. */
  retire: number;
}

/** How fast a batch has been so far. */
export interface Pace {
  perSecond: number;
  /** Keys of the whole batch that are still to be rotated. */
  keys: number;
}

export interface Estimate {
  /** Null when nothing is known that it could be made of. */
  seconds: number | null;
  words: string;
}

/** How many calls a provider makes for one key, by what it declares. A service may need more than one for an ability. */
export function callsOf(provider: Provider): Calls {
  if (provider.local) return { replace: 0, retire: 0 };
  const { test, disable, revoke, list } = provider;
  const count = (...abilities: unknown[]) => abilities.filter((ability) => ability !== undefined).length;
  const listed = resolverOf(provider) === "list" ? list : undefined;
  return {
    replace: 2 + count(test, listed),
    retire: count(revoke, revoke && disable, test ?? list),
  };
}

/**
 * @param graceMs how long old values live: those that go before the batch is over take calls from it
 * @param pace absent while it has not run for long enough
 */
export function estimate(loads: readonly Load[], graceMs: number, pace?: Pace): Estimate {
  const left = loads.reduce((sum, { keys }) => sum + keys, 0);
  if (left === 0) return { seconds: 0, words: "every key was looked at" };
  const known = loads.flatMap((load) => byLimit(load, graceMs) ?? []);
  const slowest = known.toSorted((a, b) => b.seconds - a.seconds)[0];
  const paced = pace && byPace(pace);
  if (paced && paced.seconds >= (slowest?.seconds ?? 0)) return paced;
  if (slowest) return slowest;
  const words = "no limit of calls is known here, so there is an estimate only once some have ended";
  return { seconds: null, words };
}

function byLimit(load: Load, graceMs: number): { seconds: number; words: string } | undefined {
  const { title, keys, calls, rateLimit } = load;
  if (!rateLimit || keys === 0 || calls.replace === 0) return undefined;
  const secondsFor = (perKey: number) =>
    Math.ceil((keys * perKey * rateLimit.perMs) / rateLimit.calls / 1_000);
  const isMixed = graceMs < secondsFor(calls.replace) * 1_000;
  const perKey = calls.replace + (isMixed ? calls.retire : 0);
  const seconds = secondsFor(perKey);
  const words = `${title}: ${count(perKey, "call")} a key, ${allowed(rateLimit)}: about ${inWords(seconds)}`;
  return { seconds, words };
}

function byPace({ perSecond, keys }: Pace): { seconds: number; words: string } {
  const seconds = Math.ceil(keys / perSecond);
  return { seconds, words: `${rateOf(perSecond)} so far: about ${inWords(seconds)}` };
}

/** `1,200 calls in 5 minutes allow 4 a second`. */
function allowed({ calls, perMs }: Allowance): string {
  return `${count(calls, "call")} in ${exactly(perMs / 1_000)} allow ${rateOf((calls * 1_000) / perMs)}`;
}

function rateOf(perSecond: number): string {
  if (perSecond >= 1) return `${numeral(perSecond)} a second`;
  return perSecond * 60 >= 1
    ? `${numeral(perSecond * 60)} a minute`
    : `${numeral(perSecond * 3_600)} an hour`;
}

function exactly(seconds: number): string {
  if (seconds % 3_600 === 0) return count(seconds / 3_600, "hour");
  return seconds % 60 === 0 ? count(seconds / 60, "minute") : count(seconds, "second");
}

/** A length of time for people, no more exact than it can be. */
export function inWords(seconds: number): string {
  if (seconds < 90) return count(Math.max(1, Math.round(seconds)), "second");
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return count(minutes, "minute");
  const coarse = 5 * Math.round(minutes / 5);
  if (coarse >= 48 * 60) return count(Math.round(coarse / 1_440), "day");
  return coarse % 60 === 0 ? `${coarse / 60} h` : `${Math.floor(coarse / 60)} h ${coarse % 60} min`;
}

function count(n: number, what: string): string {
  return `${numeral(n)} ${what}${n === 1 ? "" : "s"}`;
}

/** `1,200`, `0.5`: at most one digit behind the point. */
function numeral(n: number): string {
  return n.toLocaleString("en-US", { maximumFractionDigits: 1 });
}
