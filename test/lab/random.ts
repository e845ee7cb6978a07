/** Random numbers that a seed repeats, by mulberry32 (https://gist.github.com/tommyettinger/46a874533244883189143505d203312c). */

/** @returns a function that gives a number in [0, 1) each time */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
