/** A test that is broken off ends nothing that it started: whoever was started looks whether somebody is still there. */
const LOOK_MS = 1_000;

/** Calls `end` when the process that started this one is gone. */
export function whenOrphaned(end: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    end();
  }, LOOK_MS);
  timer.unref();
}
