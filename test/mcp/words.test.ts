/** What an agent says goes into the history without the values that were pasted into it; and who makes keys destroys no faster. */
import { describe, expect, it } from "vitest";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { makeAccessKey, makeKey } from "../api/fixtures.ts";
import { makeKeyring } from "../support/api.ts";
import { McpCaller } from "./caller.ts";

const ADOPTED = "an-adopted-value-1234";
/** With what ends a word in it. */
const ODD = "odd/value=with;some:inside";

describe("a value of the keyring's own, in a reason", () => {
  it.each([
    ["alone", ADOPTED],
    ["at the end of a sentence", `it was ${ADOPTED}.`],
    ["in quotes", `"${ADOPTED}", they said`],
    ["as what a name is set to", `key=${ADOPTED}`],
    ["in an address", `https://paste.acme.dev/?q=${ADOPTED}&n=1`],
    ["percent-encoded", `see ?q=${encodeURIComponent(ODD)}`],
    ["with what ends a word in it", `it was ${ODD}`],
    ["the same in brackets", `(it was ${ODD})`],
  ])("is left out: %s", async (_, reason) => {
    const ring = await makeKeyring();
    await makeKey(ring, "adopted", { fields: { secret: ADOPTED } });
    await makeKey(ring, "odd", { fields: { secret: ODD } });
    await makeKey(ring, "one");
    const caller = new McpCaller((await makeAccessKey(ring, SCOPES)).secret);
    const { whole } = await caller.tool("rotate_api_key", { key: "one", reason, confirm: "rotate-now" });
    const events = await ring.call("GET", "/v1/events?type=key.rotation.started");
    for (const text of [whole, JSON.stringify(events.body)]) {
      expect(text).not.toContain(ADOPTED);
      expect(text).not.toContain(ODD);
      expect(text).not.toContain(encodeURIComponent(ODD));
      expect(text).toContain("[secret]");
    }
  });

  it("is left out of where a leak was seen, too, whatever was reported", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "adopted", { fields: { secret: ADOPTED } });
    await makeKey(ring, "one");
    const body = { key: "one", source: `beside ${ADOPTED}.`, url: `https://paste.acme.dev/${ADOPTED}?a` };
    const answer = await ring.call("POST", "/v1/compromises", { body });
    expect(answer.status).toBe(201);
    const events = await ring.call("GET", "/v1/events?type=key.compromised");
    for (const text of [JSON.stringify(answer.body), JSON.stringify(events.body)]) {
      expect(text).not.toContain(ADOPTED);
      expect(text).toContain("beside [secret].");
    }
  });
});

describe("calls that destroy, by keys that a caller has just made", () => {
  it("count as the caller's own", async () => {
    const ring = await makeKeyring();
    const maker = await makeAccessKey(ring, SCOPES);
    const made = await maker.call<{ secret: string }>("POST", "/v1/keys", {
      body: { name: "child", provider: "access", scopes: ["keys:revoke"] },
    });
    const callers = [new McpCaller(maker.secret), new McpCaller(made.body.secret)];
    for (let nth = 0; nth < 6; nth++) {
      await maker.call("POST", "/v1/keys", { body: { name: `key-${nth}`, provider: "issuer" } });
    }
    const revoke = async (by: McpCaller | undefined, key: string) =>
      (await by?.tool("revoke_api_key", { key, reason: "a try", confirm: "revoke-now" }))?.error?.code;
    for (let nth = 0; nth < 5; nth++) expect(await revoke(callers[nth % 2], `key-${nth}`)).toBeUndefined();
    expect([await revoke(callers[0], "key-5"), await revoke(callers[1], "key-5")]).toEqual([
      "too-destructive",
      "too-destructive",
    ]);
  });
});
