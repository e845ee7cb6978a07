/** Traps of OpenAI's service accounts: a key that cannot be deleted by itself, names, pages, and answers that are no refusal. */
import { http } from "msw";
import { describe, expect, it } from "vitest";
import { openai } from "../../src/providers/openai.ts";
import type { FakeCredential } from "../lab/services/fake.ts";
import { FakeOpenai, PROJECT } from "../lab/services/openai.ts";
import { benchOf, INTENT, mintedOf } from "../support/bench.ts";
import { network } from "../support/network.ts";

function begin() {
  const fake = new FakeOpenai();
  const connection = { config: {}, credential: { secret: fake.admin } };
  return { fake, ...benchOf(fake, { connection, config: { projectId: PROJECT } }) };
}

const known = ({ secret, reference }: FakeCredential) => ({ fields: { secret }, reference });

describe("a new key", () => {
  it("is that of a service account of its own, whose id is its reference", async () => {
    const { fake, context } = begin();
    const { fields, reference } = mintedOf(await openai.mint(context(), INTENT));
    expect(fake.byReference(reference)?.secret).toBe(fields.secret);
    expect(fake.byReference(reference)?.label).toBe(`billing ${INTENT.marker}`);
  });

  it("has another name at the next attempt, as no two accounts may have one", async () => {
    const { context } = begin();
    mintedOf(await openai.mint(context(), INTENT));
    expect(await openai.mint(context(), INTENT)).toMatchObject({ kind: "refused" });
    mintedOf(await openai.mint(context(), { ...INTENT, marker: "rekey-rot_01-2" }));
  });

  it("that did not come with its account is in doubt, not lost from sight", async () => {
    const { fake, context } = begin();
    const body = { id: "user-1", name: "billing", api_key: null };
    network.use(http.post(`${fake.origin}/*`, () => Response.json(body)));
    expect(await openai.mint(context(), INTENT)).toMatchObject({ kind: "in-doubt" });
  });
});

describe("looking for what an attempt made", () => {
  it("goes on to the last page", async () => {
    const { fake, went, context } = begin();
    const { reference } = mintedOf(await openai.mint(context(), INTENT));
    for (let index = 0; index < 120; index++) fake.make(`person ${index}`, { byPerson: true });
    const found = await openai.find?.(context(), INTENT.marker);
    expect(found).toMatchObject({ kind: "listed", references: [reference] });
    expect(went.filter(({ url }) => url.includes("after="))).toHaveLength(2);
  });
});

describe("the test of a key", () => {
  it("is made with the key itself", async () => {
    const { fake, went, context } = begin();
    const one = fake.make("billing");
    expect(await openai.test?.(context(), known(one))).toMatchObject({ kind: "valid" });
    expect(went[0]?.headers.get("authorization")).toBe(`Bearer ${one.secret}`);
  });

  it.each([403, 429, 500])("is unclear when %i is answered", async (status) => {
    const { fake, context } = begin();
    const error = { code: "unsupported_country_region_territory", message: "no" };
    network.use(http.get(`${fake.origin}/models`, () => Response.json({ error }, { status })));
    expect(await openai.test?.(context(), known(fake.make("billing")))).toMatchObject({
      kind: "indeterminate",
    });
  });
});

describe("the end of a key", () => {
  it("is that of its service account, never a call for the key alone", async () => {
    const { fake, context } = begin();
    const one = fake.make("billing");
    expect(await openai.revoke?.(context(), known(one))).toMatchObject({ kind: "revoked" });
    expect(await openai.revoke?.(context(), known(one))).toMatchObject({ kind: "revoked" });
    expect(fake.journal.map((line) => line.split(" ")[0])).toEqual(["revoke", "revoke"]);
    expect(await openai.test?.(context(), known(one))).toMatchObject({ kind: "rejected" });
  });
});

describe("the last use of a key", () => {
  it("is the latest of its account's keys, wherever in the list they are; null for never", async () => {
    const { fake, context } = begin();
    const [used, never] = [fake.make("used"), fake.make("never")];
    fake.usedAt.set(used.reference, 1_800_000_000);
    for (let index = 0; index < 60; index++) fake.make(`person ${index}`, { byPerson: true });
    expect(await openai.lastUsed?.(context(), known(used))).toMatchObject({ at: 1_800_000_000_000 });
    expect(await openai.lastUsed?.(context(), known(never))).toMatchObject({ kind: "told", at: null });
  });
});
