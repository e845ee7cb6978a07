/** Local workerd has no cron: this rings at the start and then on each full minute, for as long as the process lives. */
const MINUTE_MS = 60_000;

export interface Cron {
  stop(): void;
}

/**
 * @param fire runs the trigger for a time; the next minute is left out while one is still running
 * @param onError is told when it failed, unless that was after `stop`; the next minute tries again
 */
export function startCron(fire: (at: Date) => Promise<void>, onError: (error: unknown) => void): Cron {
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  let stopped = false;

  const ring = async (at: number): Promise<void> => {
    if (running) return;
    running = true;
    await fire(new Date(at)).catch((error: unknown) => {
      if (!stopped) onError(error);
    });
    running = false;
  };
  // Counted anew from the clock each time, so that a machine that slept or a clock that was set comes back into step.
  const waitForMinute = (): void => {
    const now = Date.now();
    const next = now - (now % MINUTE_MS) + MINUTE_MS;
    timer = setTimeout(() => {
      waitForMinute();
      void ring(next);
    }, next - now);
  };

  waitForMinute();
  void ring(Date.now());
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
