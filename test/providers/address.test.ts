/** Where a service is, as a connection's settings say it. */
import { describe, expect, it } from "vitest";
import { addressSetting } from "../../src/providers/address.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { PROVIDERS } from "../../src/providers/registry.ts";

describe("an address in settings", () => {
  const setting = addressSetting("https://api.acme.dev/v1");

  it.each([
    ["https://api.acme.dev/v2/", "https://api.acme.dev/v2"],
    ["https://api.acme.dev//", "https://api.acme.dev"],
    [undefined, "https://api.acme.dev/v1"],
  ])("%s is kept as %s", (given, kept) => {
    expect(setting.parse(given)).toBe(kept);
  });

  it.each(["api.acme.dev", "https://api.acme.dev/?a=b", "https://api.acme.dev/#a", ""])(
    "%j is refused",
    (given) => {
      expect(setting.safeParse(given).success).toBe(false);
    },
  );

  it("is of this kind wherever a provider has one", () => {
    const all: Provider[] = Object.values(PROVIDERS);
    const seen = all.flatMap(({ name, connection }) => {
      const { shape = {} } = (connection?.config ?? {}) as { shape?: Record<string, unknown> };
      const settings = Object.keys(shape).filter((one) => /url$/i.test(one));
      if (!connection || settings.length === 0) return [];
      const config = Object.fromEntries(settings.map((one) => [one, "https://other.acme.dev/below/"]));
      const parsed = connection.config.parse({
        ...config,
        ...(name === "cloudflare" && { accountId: "0".repeat(32) }),
      });
      expect(connection.addresses(parsed), name).toEqual(settings.map(() => "https://other.acme.dev/below"));
      return [name];
    });
    expect(seen.length).toBeGreaterThanOrEqual(10);
  });
});
