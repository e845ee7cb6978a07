import { describe, expect, it } from "vitest";
import { Gate } from "../../src/outbound/gate.ts";

function deferred() {
  let resolve: () => void = () => {};
  let reject: (reason: Error) => void = () => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

describe("a gate", () => {
  it("lets through as many as it is wide, then one for each that leaves, in order", async () => {
    const gate = new Gate(2);
    const tasks = Array.from({ length: 5 }, deferred);
    const started: number[] = [];
    const runs = tasks.map((task, index) =>
      gate.run(async () => {
        started.push(index);
        await task.promise;
        return index;
      }),
    );
    await turn();
    expect(started).toEqual([0, 1]);
    tasks[1]?.resolve();
    await turn();
    expect(started).toEqual([0, 1, 2]);
    for (const task of tasks) task.resolve();
    expect(await Promise.all(runs)).toEqual([0, 1, 2, 3, 4]);
    expect(started).toEqual([0, 1, 2, 3, 4]);
  });

  it("lets nobody past who comes when a place has just been given on", async () => {
    const gate = new Gate(1);
    const [first, second, third] = [deferred(), deferred(), deferred()];
    const started: number[] = [];
    const enter = (task: { promise: Promise<void> }, index: number) =>
      gate.run(async () => {
        started.push(index);
        await task.promise;
      });
    const runs = [enter(first, 0), enter(second, 1)];
    first.resolve();
    await turn();
    runs.push(enter(third, 2));
    await turn();
    expect(started).toEqual([0, 1]);
    second.resolve();
    await turn();
    expect(started).toEqual([0, 1, 2]);
    third.resolve();
    await Promise.all(runs);
  });

  it("gives a failed task's place to the next, and never more places than it has", async () => {
    const gate = new Gate(1);
    const failing = gate.run(async () => {
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    const [first, second] = [deferred(), deferred()];
    const started: string[] = [];
    const runs = Promise.allSettled(
      [first, second].map((task, index) =>
        gate.run(async () => {
          started.push(`task ${index}`);
          await task.promise;
        }),
      ),
    );
    await turn();
    expect(started).toEqual(["task 0"]);
    first.reject(new Error("no"));
    await turn();
    expect(started).toEqual(["task 0", "task 1"]);
    second.resolve();
    expect((await runs).map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
  });
});
