/** A bug in our own code. Only its kind and place are logged: a message might quote what it worked on. */

export function logBug(error: unknown): void {
  const name = error instanceof Error ? error.name : typeof error;
  const at = error instanceof Error ? (error.stack?.split("\n")[1]?.trim() ?? "") : "";
  console.error(JSON.stringify({ level: "error", code: "internal", name, at }));
}

/** Runs something that nobody waits for. */
export function runLogged(run: () => void): void {
  try {
    run();
  } catch (error) {
    logBug(error);
  }
}
