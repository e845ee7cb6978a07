/** What is believed only when somebody outside of the keyring says so, too: that a deadline has passed, that a version is dead. */
import type { Provider } from "../providers/provider.ts";
import type { VersionRow } from "../store/versions.ts";
import { TIME_ASKED_AGAIN_MS } from "./backoff.ts";
import type { EngineContext } from "./context.ts";

/** Cron comes every few minutes; a clock this far ahead of the last one is not believed. */
const CLOCK_SLACK_MS = 3_600_000;

/**
 * Whether a deadline has really passed. A clock that leapt forward would end graces too early; cron's own times tell: one near to what
 * this clock says proves it right, one after the deadline proves enough. Without any, nothing is proven.
 */
export async function isTimeProven({ witness, now }: EngineContext, deadlineAt: number): Promise<boolean> {
  try {
    const proves = (at: number) => at >= deadlineAt || now() - at <= CLOCK_SLACK_MS;
    const known = await witness.lastCronAt(proves);
    return known !== null && proves(known);
  } catch {
    return false;
  }
}

/**
 * The same for a call that may still be running: where this clock is wrong, it may have been behind when the call began, so cron has to
 * be well past its end.
 */
export function isSurelyOver(context: EngineContext, endsAt: number): Promise<boolean> {
  const isRight = context.now() - endsAt <= CLOCK_SLACK_MS;
  return isTimeProven(context, isRight ? endsAt : endsAt + CLOCK_SLACK_MS);
}

/** Whether a service must know a value by now, so that its refusal says something of it. */
export async function mustBeKnown(
  context: EngineContext,
  { propagationMs }: Pick<Provider, "propagationMs">,
  { issuedAt }: Pick<VersionRow, "issuedAt">,
): Promise<boolean> {
  const knownAt = issuedAt + propagationMs;
  return propagationMs === 0 || (context.now() >= knownAt && (await isSurelyOver(context, knownAt)));
}

/** How long until it must, or until that is asked again. Milliseconds. */
export function untilKnownMs(
  { now }: EngineContext,
  { propagationMs }: Pick<Provider, "propagationMs">,
  { issuedAt }: Pick<VersionRow, "issuedAt">,
): number {
  const wait = issuedAt + propagationMs - now();
  return wait > 0 ? wait : TIME_ASKED_AGAIN_MS;
}

/** Has the witness keep that versions are dead, and how far the history has come. False when it did not answer. */
export async function isAnchored(
  { store, witness }: EngineContext,
  versions: readonly VersionRow[],
): Promise<boolean> {
  const head = store.events.head();
  if (!head) return true;
  try {
    await witness.anchor(
      head,
      versions.map(({ id }) => id),
    );
    return true;
  } catch {
    return false;
  }
}
