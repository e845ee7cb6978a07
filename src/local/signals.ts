/** How a local process is asked to stop: Ctrl-C, a service manager, a closed terminal. Asked again, it ends at once. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const ENDED_BY_SECOND_SIGNAL = 130;
/** One Ctrl-C may arrive twice: from the terminal and passed on by npm. */
const SAME_REQUEST_MS = 1_000;
/** How long the second of the two is waited for, where it did not come. */
const SECOND_WITHIN_MS = 500;

export interface StopRequest {
  readonly asked: boolean;
  /** Resolves when the process is asked to stop. */
  readonly received: Promise<void>;
  /** Resolves when the request has come twice, or no longer will: a signal that finds Node on its way out ends it with that signal's code. */
  readonly over: Promise<void>;
}

/** Listens from now on. */
export function listenForStop(): StopRequest {
  let askedAt: number | undefined;
  const { promise, resolve } = Promise.withResolvers<void>();
  const twice = Promise.withResolvers<void>();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const again = askedAt !== undefined && performance.now() - askedAt > SAME_REQUEST_MS;
      if (again) process.exit(ENDED_BY_SECOND_SIGNAL);
      if (askedAt === undefined) setTimeout(twice.resolve, SECOND_WITHIN_MS);
      else twice.resolve();
      askedAt ??= performance.now();
      resolve();
    });
  }
  return {
    get asked() {
      return askedAt !== undefined;
    },
    received: promise,
    over: twice.promise,
  };
}
