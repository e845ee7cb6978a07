/** How many reports one address may send before a signature is looked at. In memory: whoever floods one isolate floods that one. */
import { Budgets } from "../outbound/budget.ts";

/** Far more than any source sends; what is forged beyond that costs a look at its address. */
const REPORTS = { calls: 600, perMs: 60_000 };

const budgets = new Budgets();

/**
 * Takes one report of an address.
 * @returns 0 to go ahead, else how long to wait, seconds
 */
export function takeReportOf(address: string, source: string, now: number): number {
  return Math.ceil(budgets.take(`${source} ${address}`, REPORTS, now) / 1_000);
}
