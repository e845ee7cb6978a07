/** Work that an alarm started runs on in the background: a test asks until it is done, within a bound of real time. */
const INTERVAL_MS = 5;

/** Repeats `check` until it no longer throws and returns what it returned, or throws its last error after `withinMs`. */
export async function eventually<T>(check: () => T | Promise<T>, withinMs = 2_500): Promise<T> {
  for (let waited = 0; ; waited += INTERVAL_MS) {
    try {
      return await check();
    } catch (error) {
      if (waited >= withinMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    }
  }
}
