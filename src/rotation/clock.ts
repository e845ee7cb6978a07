/** A clock that never goes back: a machine whose time is set back must not see an ended grace come to life again. */

/**
 * @param read the system's clock, milliseconds since the epoch
 * @param stored the highest time on record, which was true once
 */
export function createClock(read: () => number, stored: number): () => number {
  let highest = stored;
  return () => {
    highest = Math.max(highest, read());
    return highest;
  };
}
