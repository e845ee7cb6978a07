/**
 * A person's yes counts for the very question that was asked: this tool, this key and version, these arguments, this access key, for five
 * minutes. The question goes out with a state that only the keyring can make, and the answer has to bring it back.
 */
import { sameBytes } from "../crypto/hash.ts";
import type { Question, Visitor } from "./tool.ts";

const ANSWER_WITHIN_MS = 5 * 60_000;
const STATE = /^(\d{1,16})\.([0-9a-f]{64})$/;

/** What somebody is asked. */
export interface Asked {
  tool: string;
  /** Of the arguments. */
  digest: string;
  question: Question;
}

/** The state that goes with a question. */
export function makeState(visitor: Visitor, asked: Asked, now: Date): Promise<string> {
  return stateUntil(visitor, asked, now.getTime() + ANSWER_WITHIN_MS);
}

/** Whether an answer with this state is one to this question, and in time. */
export async function isAnswerTo(
  visitor: Visitor,
  asked: Asked,
  state: unknown,
  now: Date,
): Promise<boolean> {
  const [, until] = (typeof state === "string" && STATE.exec(state)) || [];
  if (typeof state !== "string" || until === undefined || Number(until) <= now.getTime()) return false;
  const expected = await stateUntil(visitor, asked, Number(until));
  return sameBytes(Buffer.from(state), Buffer.from(expected));
}

async function stateUntil(visitor: Visitor, asked: Asked, until: number): Promise<string> {
  const { tool, digest, question } = asked;
  const text = JSON.stringify([tool, digest, question.about, until]);
  return `${until}.${await visitor.ask((keyring, call) => keyring.signQuestion(call, text))}`;
}
