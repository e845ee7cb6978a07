/**
 * The platform's limit of six open connections an invocation, which the local runtime does not enforce. A call in an invocation of
 * the entrypoint `Outside` counts there; any other call counts as the keyring's own.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { vi } from "vitest";
import { Gate } from "../../src/outbound/gate.ts";
import { Outside } from "../../src/outbound/outside.ts";

const WIDTH = 6;

/** Enforces the limit until the mocks are restored. */
export function limitConnections(): void {
  const invocation = new AsyncLocalStorage<Gate>();
  const elsewhere = new Gate(WIDTH);
  const reallyFetch = globalThis.fetch;
  vi.spyOn(globalThis, "fetch").mockImplementation((...params) =>
    (invocation.getStore() ?? elsewhere).run(() => reallyFetch(...params)),
  );
  const send = Outside.prototype.send;
  vi.spyOn(Outside.prototype, "send").mockImplementation(function (this: Outside, request) {
    return invocation.run(new Gate(WIDTH), () => send.call(this, request));
  });
}
