/** Durations as agents give them, in the keyring's words: whole minutes, at least one unless there is to be none. */

/** @param hours may be a fraction */
export function minutesOf(hours: number): number {
  return hours === 0 ? 0 : Math.max(1, Math.round(hours * 60));
}

export function durationOf(minutes: number): string {
  return minutes === 0 ? "0" : `${minutes}m`;
}

/** For people: hours where they are whole. */
export function hoursOf(seconds: number): string {
  return seconds % 3_600 === 0 ? `${seconds / 3_600} h` : `${Math.round(seconds / 60)} min`;
}
