/** Names of fields at a place: what two keys are called there is never the same without somebody noticing when they are linked. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Clean,
  nameFields,
  nameOfKey,
  namesSchema,
  toIdentifier,
} from "../../src/destinations/names.ts";
import { onFreshStore } from "../support/database.ts";

const asIs: Clean = (name) => name;

describe("names", () => {
  it.each([
    ["{key}_{field}", "billing-api", { secret: "s" }, { "billing-api_secret": "s" }],
    [
      "{key}_{field}",
      "billing",
      { secret: "s", accessKeyId: "a" },
      { billing_secret: "s", billing_accessKeyId: "a" },
    ],
    ["PRE.{key}/{field}", "a", { secret: "s" }, { "PRE.a/secret": "s" }],
    ["{key}", "a", { secret: "s" }, { a: "s" }],
    ["{key}", "a", { secret: "s", user: "u" }, { a: '{"secret":"s","user":"u"}' }],
    ["FIXED", "a", { secret: "s" }, { FIXED: "s" }],
    ["{key}_{field}", "$&", { secret: "s" }, { "$&_secret": "s" }],
  ])("by %s of %s", (template, key, fields, expected) => {
    const named = nameFields(template, key, fields, asIs);
    expect(named.ok && Object.fromEntries(named.value)).toEqual(expected);
  });

  it("are made fit for a place that takes identifiers only", () => {
    const named = nameFields("{key}-{field}", "billing.api", { secret: "s" }, toIdentifier);
    expect(named.ok && [...named.value.keys()]).toEqual(["billing_api_secret"]);
  });

  it("never meet between two keys that may both be linked", async () => {
    // Few words, so that names do meet.
    const template = fc
      .tuple(
        fc.constantFrom("", "a_", "a."),
        fc.constantFrom("{key}", "{key}", "a"),
        fc.constantFrom("_{field}", ".{field}", "", "_a"),
      )
      .map((parts) => parts.join(""))
      .filter((text) => namesSchema.safeParse(text).success);
    const key = fc
      .array(fc.constantFrom("a", "b", "secret"), { minLength: 1, maxLength: 3 })
      .map((words) => words.join("_"));
    const one = fc.record({ template, key, field: fc.constantFrom("a", "b", "ab") });
    await onFreshStore(({ destinations }) => {
      let meetings = 0;
      fc.assert(
        fc.property(one, one, fc.constantFrom(asIs, toIdentifier), (a, b, clean) => {
          const namesOf = ({ template: text, key, field }: typeof a) => {
            const named = nameFields(text, key, { secret: "s", [field]: "f" }, clean);
            const alone = nameFields(text, key, { secret: "s" }, clean);
            return [named, alone].flatMap((made) => (made.ok ? [...made.value.keys()] : []));
          };
          const targetOf = (of: typeof a) => `place/${nameOfKey(of.template, of.key, clean)}`;
          const taken = namesOf(a);
          if (!namesOf(b).some((name) => taken.includes(name))) return;
          meetings += 1;
          const row = {
            keyId: "key_a",
            destinationId: "dst_a",
            required: true,
            mustAcknowledge: false,
            name: a.key,
          };
          destinations.link({ ...row, target: targetOf(a) });
          const found = destinations.linksByTarget(targetOf(b));
          destinations.unlinkKey("key_a");
          expect(found).toHaveLength(1);
        }),
        { numRuns: 3_000 },
      );
      expect(meetings).toBeGreaterThan(100);
    });
  });
});
