/** Which events a subscription is for. */
import { describe, expect, it } from "vitest";
import { isKnownType, isWanted } from "../../src/events/filter.ts";

const own = { id: "sub_1", types: [], labels: {} };
const event = { type: "key.rotation.started", keyId: "key_1", data: "{}" };

describe("a subscription", () => {
  it.each([
    [[], true],
    [["key.rotation.started"], true],
    [["key.*"], true],
    [["key.rotation.*"], true],
    [["key.lost", "key.rotation.*"], true],
    [["key.rotation"], false],
    [["key.rotation.start"], false],
    [["key.rotated"], false],
    [["delivery.*"], false],
  ])("with types %j", (types, wanted) => {
    expect(isWanted({ ...own, types }, event)).toBe(wanted);
  });

  it.each([
    [{}, {}, true],
    [{ team: "a" }, { team: "a", tier: "1" }, true],
    [{ team: "a", tier: "1" }, { team: "a", tier: "1" }, true],
    [{ team: "a", tier: "1" }, { team: "a" }, false],
    [{ team: "a" }, { team: "b" }, false],
    [{ team: "a" }, undefined, false],
  ])("with labels %j for a key with %j", (labels, ofKey, wanted) => {
    expect(isWanted({ ...own, labels }, event, ofKey)).toBe(wanted);
  });

  it("hears of others, and never of itself", () => {
    const of = (id: string) => ({
      ...event,
      type: "subscription.failing",
      data: `{"subscriptionId":"${id}"}`,
    });
    expect(isWanted(own, of("sub_2"))).toBe(true);
    expect(isWanted(own, of("sub_1"))).toBe(false);
    expect(isWanted({ ...own, types: ["subscription.*"] }, of("sub_1"))).toBe(false);
  });
});

describe("a type", () => {
  it.each(["key.rotated", "key.*", "key.rotation.*", "health.changed"])("%s is known", (type) => {
    expect(isKnownType(type)).toBe(true);
  });

  it.each(["", "*", ".*", "keys.*", "key", "key.rotated.*", "key.rotate*", "key.rotated "])(
    "%s is not",
    (type) => {
      expect(isKnownType(type)).toBe(false);
    },
  );
});
