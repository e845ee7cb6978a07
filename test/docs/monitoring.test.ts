/** The page about monitoring: its calls work as they stand, and it names what is answered, no more and no less. */
import { expect, it } from "vitest";
import page from "../../docs/monitoring.md?raw";
import { PROBLEM_KINDS } from "../../src/keyring/problems.ts";
import { parseOpenMetrics } from "../api/open-metrics.ts";
import { makeKeyring, request } from "../support/api.ts";
import { requestsOf } from "./examples.ts";

/** What stands in backquotes in the first column of the page's tables. */
function named(pattern: RegExp): string[] {
  const cells = [...page.matchAll(/^\| (`[^|]+`) \|/gm)].map(([, cell = ""]) => cell);
  const words = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word));
  return words.filter((word) => pattern.test(word)).map((word) => word.replace(/\{.*/, ""));
}

it("the monitor's key on the page opens the status and the metrics, which the page describes as a whole", async () => {
  const ring = await makeKeyring();
  const [create, status, metrics] = requestsOf(page);
  const made = await ring.call<{ secret: string }>(create?.method ?? "", create?.path ?? "", {
    body: create?.body,
  });
  expect(made.status).toBe(201);
  const { secret } = made.body;

  const seen = await request(secret, status?.method ?? "", status?.path ?? "");
  expect(seen.status).toBe(200);
  const fields = named(/^(?!rekey_)\w+$/).filter((word) => !word.includes("-"));
  expect(fields.filter((field) => field in seen.body).sort()).toEqual(Object.keys(seen.body).sort());

  const scraped = await request<string>(secret, metrics?.method ?? "", metrics?.path ?? "");
  expect(scraped.status).toBe(200);
  expect(named(/^rekey_/).sort()).toEqual([...parseOpenMetrics(scraped.body).keys()].sort());
});

it("names every kind of problem", () => {
  expect(
    named(/^(?:keyring|cron|key|rotation|revocation|delivery|destination|subscription|grace)-/).sort(),
  ).toEqual([...PROBLEM_KINDS].sort());
});

it("alerts on metrics and labels that there are", async () => {
  const ring = await makeKeyring();
  const families = parseOpenMetrics((await ring.call<string>("GET", "/metrics")).body);
  const used = [...page.matchAll(/expr:.*?(rekey_\w+)(?:\{(\w+)="([\w-]+)"\})?/g)];
  expect(used.length).toBeGreaterThan(3);
  for (const [, name = "", label = "", value] of used) {
    const family = families.get(name);
    expect(family, name).toBeDefined();
    if (value !== undefined) expect(family?.samples.map(({ labels }) => labels[label])).toContain(value);
  }
});
