/**
 * What a tool is: a name, words for an agent that has never seen Rekey, what goes in, what comes out, and one function. Everything else, such as
 * confirmation, errors and the envelope around the data, is the same for all and lives in serve.ts.
 */
import { z } from "zod";
import { sha256 } from "../crypto/hash.ts";
import type { Failure, FieldError } from "../errors/catalogue.ts";
import { fieldErrorsOf } from "../errors/fields.ts";
import type { Call } from "../keyring/call.ts";
import type { Scope } from "../keyring/scopes.ts";
import type { Self } from "../keyring/self.ts";
import { err, ok, type Result } from "../result.ts";
import { type Action, envelopeSchema, type Outcome } from "./envelope.ts";
import { toJsonSchema } from "./json-schema.ts";
import type { ToolKeyring } from "./tool-keyring.ts";

/** For whom a tool is run. */
export interface Visitor {
  self: Self;
  /** Names of the tools that it sees. */
  tools: ReadonlySet<string>;
  /**
   * One call to the caller's keyring, which looks at the access key again.
   * @param reason why, in the agent's words
   * @throws a Problem with the failure
   */
  ask<T>(
    work: (keyring: ToolKeyring, call: Call) => Promise<Result<T, Failure>>,
    reason?: string,
  ): Promise<T>;
}

/** What hosts are told of a tool beside its description; see the specification, "Tool annotations". */
export interface Hints {
  readOnly: boolean;
  destructive: boolean;
  idempotent: boolean;
  openWorld: boolean;
}

/** What somebody has to agree to. */
export interface Question {
  /** For a person: which key, and what dies. */
  text: string;
  /** What a yes is for, in the keyring's words, such as the key's id and the version that ends. */
  about: readonly unknown[];
  /** Arguments of the same call, in the keyring's words: what was given may hold a secret. Absent where nothing could stand for that. */
  args?: Record<string, unknown> | undefined;
}

interface Confirmation<Input> {
  /** What has to be passed as `confirm`. */
  word: string;
  question(visitor: Visitor, input: Input): Promise<Question>;
  /** Whether this input needs it. Default always. */
  isNeeded?(input: Input): boolean;
}

/** A call as it came. */
export interface Given<Input> {
  visitor: Visitor;
  input: Input;
  /** As they were passed, `confirm` among them. */
  args: Readonly<Record<string, unknown>>;
}

interface Definition<Input extends z.ZodObject, Data extends z.ZodObject> {
  name: string;
  title: string;
  description: string;
  /** The caller needs it to see the tool. */
  scope: Scope;
  hints: Hints;
  input: Input;
  data: Data;
  /** Arguments of a call that makes sense. */
  example: z.input<Input> & { confirm?: string };
  confirmation?: Confirmation<z.output<Input>>;
  /** What is wrong with arguments that fit one by one. */
  check?(input: z.output<Input>): FieldError[];
  run(visitor: Visitor, input: z.output<Input>): Promise<Outcome<z.input<Data>>>;
  /** What the keyring calls arguments that agents know by another name. */
  renamed?: Readonly<Record<string, string>>;
  /** What else could be tried when it is refused. */
  instead?(failure: Failure, given: Given<z.output<Input>>): Action[] | Promise<Action[]>;
}

/** A tool as all are handled, its types known to itself only. */
export interface Tool {
  name: string;
  title: string;
  description: string;
  scope: Scope;
  hints: Hints;
  example: Readonly<Record<string, unknown>>;
  confirmWord: string | undefined;
  /** JSON Schemas of the arguments and of the whole answer. */
  inputSchema: Readonly<Record<string, unknown>>;
  outputSchema: Readonly<Record<string, unknown>>;
  /** Looks at the arguments. Every one that does not fit is named. */
  read(args: unknown): Result<Prepared, FieldError[]>;
}

/** A call whose arguments fit. */
export interface Prepared {
  /** SHA-256 of what was given, in hex: the same for the same call, confirmed or not. */
  digest: string;
  /** What has to be agreed to; absent where that was done or is not needed. */
  question: ((visitor: Visitor) => Promise<Question>) | undefined;
  run(visitor: Visitor): Promise<Outcome<Record<string, unknown>>>;
  instead(failure: Failure, visitor: Visitor): Action[] | Promise<Action[]>;
  /** The same failure with arguments by the names that agents know. */
  inWords(failure: Failure): Failure;
}

/** A tool, as its file says. */
export function defineTool<Input extends z.ZodObject, Data extends z.ZodObject>(
  definition: Definition<Input, Data>,
): Tool {
  const { name, title, description, scope, hints, input, data, example, confirmation } = definition;
  const schema = confirmation ? input.extend({ confirm: confirmSchema(confirmation.word) }) : input;
  return {
    name,
    title,
    description,
    scope,
    hints,
    example,
    confirmWord: confirmation?.word,
    inputSchema: { ...toJsonSchema(z.strictObject(schema.shape), "input"), examples: [example] },
    outputSchema: toJsonSchema(envelopeSchema(name, data), "output"),
    read(args) {
      const { confirm, ...others } = isRecord(args) ? args : {};
      const given = confirmation || confirm === undefined ? others : { ...others, confirm };
      const parsed = z.strictObject(input.shape).safeParse(isRecord(args) ? given : args);
      if (!parsed.success) return err(fieldErrorsOf(parsed.error.issues));
      const value = parsed.data as z.output<Input>;
      const wrong = definition.check?.(value) ?? [];
      if (wrong.length > 0) return err(wrong);
      const isAsked =
        confirmation !== undefined &&
        (confirmation.isNeeded?.(value) ?? true) &&
        confirm !== confirmation.word;
      const prepared: Prepared = {
        digest: Buffer.from(sha256(JSON.stringify(value))).toString("hex"),
        question: isAsked ? (visitor) => confirmation.question(visitor, value) : undefined,
        run: async (visitor) => {
          const outcome = await definition.run(visitor, value);
          return { ...outcome, data: data.parse(outcome.data) };
        },
        instead: (failure, visitor) =>
          definition.instead?.(failure, { visitor, input: value, args: isRecord(args) ? args : {} }) ?? [],
        inWords: ({ errors, ...failure }) => ({
          ...failure,
          ...(errors && {
            errors: errors.map((error) => ({
              ...error,
              path: definition.renamed?.[error.path] ?? error.path,
            })),
          }),
        }),
      };
      return ok(prepared);
    },
  };
}

function confirmSchema(word: string) {
  return z.literal(word).optional().describe(`Pass "${word}" once you are sure; without it nothing happens.`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
