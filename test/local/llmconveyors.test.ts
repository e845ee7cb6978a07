/** The fake of LLM Conveyors is right when the service's own client, from npm, works against it over HTTP. */
import { InsufficientScopeError, LLMConveyors, NotFoundError, UnauthorizedError } from "llmconveyors";
import { afterEach, describe, expect, it } from "vitest";
import { type Listening, listen } from "../lab/node/http.ts";
import { FakeLlmConveyors } from "../lab/services/llmconveyors.ts";

const servers: Listening[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A served fake, and the client as somebody who may do all of this. */
async function begin(wraps: boolean) {
  const fake = Object.assign(new FakeLlmConveyors(), { wraps });
  const server = await listen((request) => fake.answer(request, server.url));
  servers.push(server);
  const clientOf = (apiKey: string) => new LLMConveyors({ apiKey, baseUrl: server.url, maxRetries: 0 });
  return { fake, clientOf, client: clientOf(fake.makeAdmin().secret) };
}

describe.each([false, true])("the client llmconveyors, with answers in envelopes: %s", (wraps) => {
  it("creates a key, lists it, rotates it with a grace and revokes both", async () => {
    const { fake, client, clientOf } = await begin(wraps);
    const created = await client.settings.createApiKey({
      label: "worker",
      scopes: ["settings:read"],
      monthlyCreditsLimit: 50,
    });
    expect(created).toMatchObject({ label: "worker", scopes: ["settings:read"], monthlyCreditsLimit: 50 });
    const find = async (wanted: { keyPrefix: string; createdAt: string }) => {
      const found = (await client.settings.listApiKeys()).filter(
        ({ keyPrefix, createdAt }) => keyPrefix === wanted.keyPrefix && createdAt === wanted.createdAt,
      );
      expect(found).toHaveLength(1);
      return found[0]?.keyHash ?? "";
    };
    const old = await find(created);

    const rotated = await client.settings.rotateApiKey(old, { gracePeriodHours: 2 });
    expect(fake.graces).toEqual([2]);
    expect(rotated).toMatchObject({ label: "worker", scopes: ["settings:read"] });
    expect(rotated.fullKey).not.toBe(created.fullKey);
    for (const { fullKey } of [created, rotated])
      expect(await clientOf(fullKey).settings.listApiKeys()).toHaveLength(3);

    expect(await client.settings.revokeApiKey(old)).toEqual({ success: true });
    await expect(clientOf(created.fullKey).settings.listApiKeys()).rejects.toThrow(UnauthorizedError);
    await client.settings.revokeApiKey(await find(rotated));
    await expect(clientOf(rotated.fullKey).settings.listApiKeys()).rejects.toThrow(UnauthorizedError);
    expect((await client.settings.listApiKeys()).filter(({ isActive }) => isActive)).toHaveLength(1);
  });

  it("understands what goes wrong", async () => {
    const { fake, client, clientOf } = await begin(wraps);
    await expect(client.settings.rotateApiKey("nobody")).rejects.toThrow(NotFoundError);
    const reader = fake.makeKey("reader", { scopes: ["jobs:read"] });
    await expect(clientOf(reader.secret).settings.listApiKeys()).rejects.toThrow(InsufficientScopeError);
  });

  it("is told how long to wait, and then gets what it asked for", async () => {
    const { fake, client } = await begin(wraps);
    fake.fail("list", "rate-limited");
    await expect(client.settings.listApiKeys()).rejects.toMatchObject({
      code: "RATE_LIMITED",
      retryAfterMs: 7_000,
    });
    expect(await client.settings.listApiKeys()).toHaveLength(1);
  });
});
