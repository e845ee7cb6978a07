/** How a local process is asked to stop: Ctrl-C, a service manager, a closed terminal. The second time it ends at once. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const ENDED_BY_SECOND_SIGNAL = 130;

export interface StopRequest {
  readonly asked: boolean;
  /** Resolves when the process is asked to stop. */
  readonly received: Promise<void>;
}

/** Listens from now on. */
export function listenForStop(): StopRequest {
  let asked = false;
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (asked) process.exit(ENDED_BY_SECOND_SIGNAL);
      asked = true;
      resolve();
    });
  }
  return {
    get asked() {
      return asked;
    },
    received: promise,
  };
}
