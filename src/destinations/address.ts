/** Why an address may not be sent to, as the field error of a request. */
import type { Failure } from "../errors/catalogue.ts";
import type { Outbound } from "../outbound/port.ts";

const URL_PROBLEMS: Record<string, string> = {
  "not-a-url": "must be a URL",
  "not-https": "must be https",
  "has-credentials": "must not carry a user name or password",
  "has-port": "must use the default port",
  "ip-address": "must be a name, not an address",
  "private-name": "must be a public name",
  "too-long": "must have at most 2048 characters",
};

/** In words, for whoever gave the address. */
export function describeProblem(problem: string): string {
  return URL_PROBLEMS[problem] ?? problem;
}

/** Why an address may not be used, or undefined. */
export function judgeAddress(outbound: Outbound, url: string, path: string): Failure | undefined {
  const problem = outbound.problemOf(url);
  return problem ? { code: "invalid", errors: [{ path, message: describeProblem(problem) }] } : undefined;
}
