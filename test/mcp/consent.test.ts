/** A person's yes: to the question that was asked, of who was asked it, in time, and to no other. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { sha256 } from "../../src/crypto/hash.ts";
import { type Asked, isAnswerTo, makeState } from "../../src/mcp/consent.ts";
import type { Visitor } from "../../src/mcp/tool.ts";
import { type McpCaller, type McpScene, makeMcpScene } from "./caller.ts";

const ABLE = { capabilities: { elicitation: {} } };
const YES = { confirm: { action: "accept", content: { confirm: true } } };
const MINUTE_MS = 60_000;

const askedSchema = z.looseObject({
  resultType: z.literal("input_required"),
  requestState: z.string(),
  inputRequests: z.object({ confirm: z.looseObject({ params: z.looseObject({ message: z.string() }) }) }),
});

afterEach(() => vi.useRealTimers());

interface ToolCall {
  name: string;
  arguments: Record<string, unknown>;
}

const ROTATE: ToolCall = { name: "rotate_api_key", arguments: { key: "one" } };

/** Asks, and says with which state. */
async function ask(caller: McpCaller, call: ToolCall = ROTATE) {
  return askedSchema.parse(await caller.result("tools/call", { ...call }));
}

function answer(caller: McpCaller, call: ToolCall, requestState: string | undefined, inputResponses: object) {
  const state = requestState === undefined ? {} : { requestState };
  return caller.result("tools/call", { ...call, ...state, inputResponses });
}

async function stagesOf(scene: McpScene, key: string) {
  const { body } = await scene.ring.call<{ versions: { number: number; stage: string }[] }>(
    "GET",
    `/v1/keys/${key}`,
  );
  return body.versions.map(({ number, stage }) => `${number} ${stage}`).join(", ");
}

async function makeScene() {
  const scene = await makeMcpScene();
  for (const name of ["one", "two"]) await scene.key({ name, provider: "issuer" });
  return { scene, caller: await scene.caller({}, ABLE) };
}

describe("a question to the person", () => {
  it("is asked where the client can, and only there", async () => {
    const { scene } = await makeScene();
    const call = async (capabilities: Record<string, unknown>) =>
      (await scene.caller({}, { capabilities })).result("tools/call", { ...ROTATE });
    for (const able of [
      { elicitation: {} },
      { elicitation: { form: {} } },
      { elicitation: { form: {}, url: {} } },
    ]) {
      expect(await call(able), JSON.stringify(able)).toMatchObject({
        resultType: "input_required",
        inputRequests: {
          confirm: { method: "elicitation/create", params: { requestedSchema: { required: ["confirm"] } } },
        },
      });
    }
    for (const unable of [{}, { elicitation: { url: {} } }, { sampling: {} }])
      expect(await call(unable), JSON.stringify(unable)).toMatchObject({ isError: true });
  });

  it("is answered by yes, and only then it is done", async () => {
    const { scene, caller } = await makeScene();
    const { requestState } = await ask(caller);
    for (const no of [
      { action: "decline" },
      { action: "cancel" },
      { action: "accept", content: {} },
      { action: "accept", content: { confirm: "true" } },
    ]) {
      const declined = await answer(caller, ROTATE, requestState, { confirm: no });
      expect(declined.structuredContent?.error?.code, JSON.stringify(no)).toBe("confirmation-declined");
    }
    expect(await stagesOf(scene, "one")).toBe("1 current");
    const done = await answer(caller, ROTATE, requestState, YES);
    expect(done.structuredContent?.summary.headline).toContain('Rotated "one": version 2 is current.');
  });
});

describe("a yes", () => {
  const QUICK: ToolCall = { name: "rotate_api_key", arguments: { key: "one", gracePeriodHours: 0 } };
  const REVOKE: ToolCall = { name: "revoke_api_key", arguments: { key: "one", reason: "x" } };
  const elsewhere: [what: string, asked: ToolCall, answered: ToolCall][] = [
    ["for another key", ROTATE, { name: "rotate_api_key", arguments: { key: "two" } }],
    ["for another tool", ROTATE, REVOKE],
    ["for another grace", ROTATE, QUICK],
    ["for every version", { ...REVOKE, arguments: { ...REVOKE.arguments, version: 1 } }, REVOKE],
  ];

  it.each(elsewhere)("%s counts for nothing: it is asked again", async (_, asked, answered) => {
    const { scene, caller } = await makeScene();
    const { requestState } = await ask(caller, asked);
    const again = askedSchema.parse(await answer(caller, answered, requestState, YES));
    expect(again.requestState).not.toBe(requestState);
    expect([await stagesOf(scene, "one"), await stagesOf(scene, "two")]).toEqual(["1 current", "1 current"]);
  });

  it("to a question that was never asked counts for nothing", async () => {
    const { scene, caller } = await makeScene();
    const { requestState } = await ask(caller);
    const [until = "", signature = ""] = requestState.split(".");
    const later = `${Number(until) + MINUTE_MS}.${signature}`;
    for (const state of [undefined, "", "yes", `${until}.${"0".repeat(64)}`, later, `${until}.`])
      askedSchema.parse(await answer(caller, ROTATE, state, YES));
    expect(await stagesOf(scene, "one")).toBe("1 current");
  });

  it("of another access key's person counts for nothing", async () => {
    const { scene, caller } = await makeScene();
    const { requestState } = await ask(await scene.caller({}, ABLE));
    askedSchema.parse(await answer(caller, ROTATE, requestState, YES));
    expect(await stagesOf(scene, "one")).toBe("1 current");
  });

  it("after five minutes counts for nothing", async () => {
    const { scene, caller } = await makeScene();
    const { requestState } = await ask(caller);
    vi.useFakeTimers({ toFake: ["Date"], now: Number(requestState.split(".")[0]) });
    askedSchema.parse(await answer(caller, ROTATE, requestState, YES));
    expect(await stagesOf(scene, "one")).toBe("1 current");
    vi.setSystemTime(Date.now() - 1);
    await answer(caller, ROTATE, requestState, YES);
    expect(await stagesOf(scene, "one")).toBe("1 previous, 2 current");
  });

  it("counts for one rotation: once the key has another value it is asked again", async () => {
    const { scene, caller } = await makeScene();
    const { requestState } = await ask(caller);
    await answer(caller, ROTATE, requestState, YES);
    askedSchema.parse(await answer(caller, ROTATE, requestState, YES));
    expect(await stagesOf(scene, "one")).toBe("1 previous, 2 current");
  });

  it("of a client that cannot ask is not believed", async () => {
    const { scene, caller } = await makeScene();
    const { requestState } = await ask(caller);
    for (const capabilities of [{}, { elicitation: { url: {} } }]) {
      const silent = await scene.caller({}, { capabilities });
      const refused = await answer(silent, ROTATE, requestState, YES);
      expect(refused.structuredContent?.error?.code).toBe("confirmation-missing");
    }
    expect(await stagesOf(scene, "one")).toBe("1 current");
  });
});

it("a yes is bound to the tool, also where two take the same arguments", async () => {
  const ask = (work: (keyring: object) => Promise<{ value: string }>) =>
    work({
      signQuestion: async (_: unknown, text: string) => ({
        value: Buffer.from(sha256(text)).toString("hex"),
      }),
    }).then(({ value }) => value);
  const visitor = { ask } as unknown as Visitor;
  const asked: Asked = { tool: "one_tool", digest: "d", question: { text: "?", about: ["key_1"] } };
  const now = new Date();
  const state = await makeState(visitor, asked, now);
  expect(await isAnswerTo(visitor, asked, state, now)).toBe(true);
  expect(await isAnswerTo(visitor, { ...asked, tool: "other_tool" }, state, now)).toBe(false);
});
