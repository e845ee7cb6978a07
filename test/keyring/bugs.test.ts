/** A bug of Rekey's own is logged by its kind and its place, never by its message, which may quote what it worked on. */
import { afterEach, expect, it, vi } from "vitest";
import { issuer } from "../../src/providers/issuer.ts";
import { makeKey } from "../api/fixtures.ts";
import { makeKeyring } from "../support/api.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

it("a step that throws is logged without what it says", async () => {
  const logged: string[] = [];
  for (const method of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, method).mockImplementation((...words: unknown[]) => {
      logged.push(words.map(String).join(" "));
    });
  }
  const ring = await makeKeyring();
  await makeKey(ring, "billing", {});
  vi.spyOn(issuer, "revoke").mockRejectedValue(new TypeError("canary-of-a-message"));
  const { status } = await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "a test" } });
  expect(status).toBe(200);
  await vi.waitFor(() => expect(logged).not.toEqual([]));
  expect(JSON.parse(logged[0] ?? "")).toMatchObject({ level: "error", code: "internal", name: "TypeError" });
  expect(logged.join("\n")).not.toContain("canary-of-a-message");
});
