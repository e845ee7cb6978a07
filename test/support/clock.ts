/** The time that the Worker sees. It is far ahead of the real one, so that no alarm rings by itself: a test rings it. */
import { afterEach, beforeEach, vi } from "vitest";
import { parseDuration } from "../../src/duration.ts";

let latest = Date.parse("2040-01-01T00:00:00Z");

// Never back, not even between two tests: a Worker's clock does not run backwards either.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  setTime(latest);
});

afterEach(() => {
  latest = Date.now() + parseDuration("1h");
  vi.useRealTimers();
});

/** Sets the time, milliseconds since the epoch. */
export function setTime(at: number): void {
  vi.setSystemTime(at);
}

/** Lets time go by without ringing any alarm. */
export function pass(duration: string): void {
  setTime(Date.now() + parseDuration(duration));
}

/** Milliseconds since the epoch of a time in an answer. */
export function at(iso: string | null | undefined): number {
  if (!iso) throw new Error("no time");
  return Date.parse(iso);
}
