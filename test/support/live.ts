/** What a keyring's own object works with, as it is in its memory: changes behind its back it would not see. */
import { vi } from "vitest";
import { Host, type Open } from "../../src/keyring/host.ts";
import { inside, type Ring } from "./inside.ts";

/** From now on the next request shows what its object works with; call `act` after one. */
export function watchObjects() {
  const opened = new Map<string, Open>();
  const really = Host.prototype.opened;
  vi.spyOn(Host.prototype, "opened").mockImplementation(function (this: Host) {
    const open = really.call(this);
    if (open.ok) opened.set(open.value.context.identity.code, open.value);
    return open;
  });
  return {
    /** Changes something in a transaction of the object's own, and lets its engine go on. */
    act(ring: Ring, change: (open: Open) => void): Promise<void> {
      return inside(ring, () => {
        const open = opened.get(ring.code);
        if (!open) throw new Error("no request has opened this keyring");
        open.context.store.transaction(() => change(open));
        open.engine.beginInvocation();
        open.engine.pump();
      });
    },
  };
}
