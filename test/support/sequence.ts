/**
 * In which order vitest begins the files: what waits before what works, and of both the longest first, so that no long one is left
 * over at the end. Only time depends on the list; a file that is not on it comes after those that are.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The first five wait for leases and graces; the others keep a core busy for more than ten seconds. */
const LONGEST_FIRST = [
  "local/kill-many",
  "local/kill",
  "local/deploy",
  "local/demo",
  "local/",
  "sim/scripted",
  "sim/cross",
  "eviction/states",
  "eviction/random",
  "sim/random",
  "sim/subscriptions",
  "rotation/interference",
  "eviction/double-alarms",
  "sim/accounts",
  "keyring/import",
  "api/contract-fuzz",
];

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => placeOf(one) - placeOf(other));
  }
}

function placeOf({ moduleId }: TestSpecification): number {
  const place = LONGEST_FIRST.findIndex((start) => moduleId.includes(`/test/${start}`));
  return place === -1 ? LONGEST_FIRST.length : place;
}
