/** What the registry knows to be dead for good, whatever a database says. */
import type { DeadVersion } from "../registry/anchors.ts";
import type { Registry } from "../registry/registry.ts";
import type { Remote } from "../remote.ts";

/** Dead versions asked for at once. */
const PAGE = 1_000;

/** Ids of the versions of a keyring that are dead, each once. */
export async function listDead(registry: Remote<Registry>, code: string): Promise<string[]> {
  const dead = new Set<string>();
  for (let after: DeadVersion = { at: 0, versionId: "" }; ; ) {
    const page = await registry.deadOf(code, after, PAGE);
    for (const { versionId } of page) dead.add(versionId);
    const last = page.at(-1);
    if (!last || page.length < PAGE) return [...dead];
    after = last;
  }
}
