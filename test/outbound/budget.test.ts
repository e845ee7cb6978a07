import { describe, expect, it } from "vitest";
import { Budgets, ordinaryCalls } from "../../src/outbound/budget.ts";

const ALLOWED = { calls: 10, perMs: 1_000 };

/** How many calls go ahead at one moment before one has to wait. */
function drain(budgets: Budgets, account: string, now: number, isUrgent = false): number {
  for (let count = 0; count < 1_000; count++) {
    if (budgets.take(account, ALLOWED, now, isUrgent) > 0) return count;
  }
  throw new Error("no end to it");
}

describe("a budget", () => {
  it("lets all but a tenth of what the service allows through at once, then says how long to wait", () => {
    const budgets = new Budgets();
    expect(drain(budgets, "one", 0)).toBe(9);
    const wait = budgets.take("one", ALLOWED, 0);
    expect(wait).toBe(100);
    expect(budgets.take("one", ALLOWED, wait - 1)).toBeGreaterThan(0);
    expect(budgets.take("one", ALLOWED, wait)).toBe(0);
  });

  it("fills up evenly, and never beyond what is allowed", () => {
    const budgets = new Budgets();
    drain(budgets, "one", 0);
    expect(drain(budgets, "one", 500)).toBe(5);
    expect(drain(budgets, "one", 1_000_000)).toBe(9);
  });

  it("has a tenth left for an emergency when everybody else has to wait, and no more than that", () => {
    const budgets = new Budgets();
    drain(budgets, "one", 0);
    expect(drain(budgets, "one", 0, true)).toBe(1);
    // What an emergency took is filled up before anybody else goes on.
    expect(budgets.take("one", ALLOWED, 0)).toBe(200);
    expect(budgets.take("one", ALLOWED, 0, true)).toBe(100);
    expect(budgets.take("one", ALLOWED, 199)).toBeGreaterThan(0);
    expect(budgets.take("one", ALLOWED, 200)).toBe(0);
  });

  it("gives an emergency all that there is", () => {
    expect(drain(new Budgets(), "one", 0, true)).toBe(10);
  });

  it("too small for a tenth keeps nothing back", () => {
    const budgets = new Budgets();
    const small = { calls: 2, perMs: 1_000 };
    expect(ordinaryCalls(small)).toBe(2);
    expect([1, 2, 3].map(() => budgets.take("one", small, 0))).toEqual([0, 0, 500]);
  });

  it("says how much of it is left for what is no emergency, and takes nothing for that", () => {
    const budgets = new Budgets();
    expect(ordinaryCalls(ALLOWED)).toBe(9);
    expect(budgets.ordinaryLeft("one", ALLOWED, 0)).toBe(9);
    for (let call = 0; call < 4; call++) budgets.take("one", ALLOWED, 0);
    expect(budgets.ordinaryLeft("one", ALLOWED, 0)).toBe(5);
    expect(budgets.ordinaryLeft("one", ALLOWED, 200)).toBe(7);
    drain(budgets, "one", 200, true);
    expect(budgets.ordinaryLeft("one", ALLOWED, 200)).toBe(-1);
  });

  it("never lets through more than twice the allowance in a stretch", () => {
    const budgets = new Budgets();
    let passed = 0;
    for (let now = 0; now < 1_000; now++) {
      if (budgets.take("one", ALLOWED, now) === 0) passed += 1;
    }
    expect(passed).toBeLessThanOrEqual(20);
  });

  it("is each account's own", () => {
    const budgets = new Budgets();
    drain(budgets, "one", 0);
    expect(budgets.take("two", ALLOWED, 0)).toBe(0);
  });

  it("that was not spent costs nothing to ask for again: who is refused is not pushed further back", () => {
    const budgets = new Budgets();
    drain(budgets, "one", 0);
    for (let again = 0; again < 50; again++) budgets.take("one", ALLOWED, 0);
    expect(budgets.take("one", ALLOWED, 100)).toBe(0);
  });

  it("is not filled by a clock that goes back", () => {
    const budgets = new Budgets();
    drain(budgets, "one", 1_000);
    expect(budgets.take("one", ALLOWED, 0)).toBeGreaterThan(0);
  });

  it("is without end where the service names none", () => {
    const budgets = new Budgets();
    const waits = Array.from({ length: 100 }, () => budgets.take("one", undefined, 0));
    expect(Math.max(...waits)).toBe(0);
  });

  it("of accounts beyond count forgets all rather than growing without end", () => {
    const budgets = new Budgets();
    drain(budgets, "first", 0);
    for (let count = 0; count < 10_000; count++) budgets.take(`account-${count}`, ALLOWED, 0);
    expect(budgets.take("first", ALLOWED, 0)).toBe(0);
  });
});
