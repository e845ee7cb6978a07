import { describe, expect, it } from "vitest";
import { ROOT, request } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { expectProblem, readTables } from "./fixtures.ts";

const make = (name: string) =>
  request<{ name: string; code: string }>(ROOT, "POST", "/v1/keyrings", { body: { name } });

const list = async () => {
  const { body } = await request<{ items: { name: string }[] }>(ROOT, "GET", "/v1/keyrings?limit=100");
  return body.items;
};

describe("making a keyring", () => {
  it("answers its name and a code of 8 digits, and it can be used at once", async () => {
    const made = await make("payments");
    expect(made).toMatchObject({
      status: 201,
      body: { name: "payments", code: expect.stringMatching(/^[0-9A-Za-z]{8}$/) },
    });
    expect(Object.keys(made.body)).toEqual(["name", "code"]);
    const headers = { "rekey-keyring": "payments" };
    const key = await request<{ secret: string }>(ROOT, "POST", "/v1/keys", {
      body: { name: "a", provider: "issuer" },
      headers,
    });
    expect(key.body.secret.slice("rekey_".length).startsWith(made.body.code)).toBe(true);
  });

  it("refuses a name that another has, in that spelling, and makes nothing", async () => {
    const first = await make("twice");
    const before = await list();
    const refused = expectProblem(await make("twice"), 409, "keyring-exists");
    expect(refused.holder).toBe(first.body.code);
    expect(await list()).toEqual(before);
    expect((await make("Twice")).status).toBe(201);
  });

  it("at the same time as others with that name makes one", async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => make("raced")));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409]);
  });

  it("begins its history with who made it", async () => {
    const { body } = await make("historic");
    const { event } = await readTables(body);
    expect(event).toMatchObject([
      { seq: 1, type: "keyring.created", actor: "root", data: JSON.stringify(body) },
    ]);
  });
});

describe("listing keyrings", () => {
  it("shows names, codes, when they were made, when each next has something due and its master key", async () => {
    const { body } = await make("listed");
    const headers = { "rekey-keyring": "listed" };
    await request(ROOT, "POST", "/v1/destinations", { body: { name: "kv", type: "kv" }, headers });
    const key = { name: "a", provider: "issuer", policy: { maxAge: "30d" }, destinations: [{ id: "kv" }] };
    const made = await request<{ nextRotationAt: string }>(ROOT, "POST", "/v1/keys", { body: key, headers });
    const { nextRotationAt } = made.body;
    await eventually(async () => {
      const entry = (await list()).find(({ name }) => name === "listed");
      expect(entry).toEqual({ ...body, createdAt: expect.any(String), nextRotationAt, masterKeyId: "test" });
    });
  });
});
