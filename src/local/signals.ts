/** How a local process is asked to stop: Ctrl-C, a service manager, a closed terminal. Asked again, it ends at once. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const ENDED_BY_SECOND_SIGNAL = 130;
/** One Ctrl-C may arrive twice: from the terminal and passed on by npm. */
const SAME_REQUEST_MS = 1_000;

export interface StopRequest {
  readonly asked: boolean;
  /** Resolves when the process is asked to stop. */
  readonly received: Promise<void>;
}

/** Listens from now on. */
export function listenForStop(): StopRequest {
  let askedAt: number | undefined;
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const again = askedAt !== undefined && performance.now() - askedAt > SAME_REQUEST_MS;
      if (again) process.exit(ENDED_BY_SECOND_SIGNAL);
      askedAt ??= performance.now();
      resolve();
    });
  }
  return {
    get asked() {
      return askedAt !== undefined;
    },
    received: promise,
  };
}
