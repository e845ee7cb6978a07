/**
 * In which order vitest begins the files: the longest first, so that none is left over at the end, and what waits for leases and graces in
 * turn with what keeps a core busy, so that waiting costs nothing. Only time depends on the list; a file that is not on it comes later.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

const FIRST = [
  "contract/outside-platforms",
  "local/kill-many",
  "contract/outside-described",
  "sim/scripted",
  "local/kill",
  "sim/cross",
  "contract/outside-services",
  "local/mcp-services",
  "local/mcp-client",
  "local/deploy",
  "eviction/states",
  "local/demo",
  "eviction/random",
  "local/pages",
  "sim/random",
  "local/secrets",
  "sim/subscriptions",
  "local/stop",
  "rotation/interference",
  "local/cron",
  "sim/retention",
  "local/",
  "eviction/double-alarms",
  "sim/accounts",
  "keyring/import",
  "api/contract-fuzz",
  "sim/batches",
  "sim/batch-bounds",
];

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => placeOf(one) - placeOf(other));
  }
}

function placeOf({ moduleId }: TestSpecification): number {
  const place = FIRST.findIndex((start) =>
    moduleId.includes(`/test/${start}${start.endsWith("/") ? "" : ".test.ts"}`),
  );
  return place === -1 ? FIRST.length : place;
}
