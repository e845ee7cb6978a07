/** The HTTP API as a caller sees it: every answer is parsed, every problem is an error that says what to do next. */
import { z } from "zod";

const problemSchema = z.object({
  code: z.string(),
  title: z.string(),
  detail: z.string().optional(),
  remedy: z.string(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

const versionSchema = z.object({
  number: z.int(),
  stage: z.string(),
  hint: z.string(),
  graceEndsAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
  confirmed: z.boolean(),
});

export const keySchema = z.object({
  id: z.string(),
  name: z.string(),
  currentVersion: z.int().nullable(),
  cooldownUntil: z.string().nullable(),
  nextRotationAt: z.string().nullable(),
  rotation: z.string().nullable(),
  versions: z.array(versionSchema),
});

export const createdKeySchema = keySchema.extend({ secret: z.string().optional() });
export const destinationSchema = z.object({ id: z.string(), signingSecret: z.string().optional() });
export const verdictSchema = z.object({
  code: z.string(),
  version: z.int().nullable(),
  graceEndsAt: z.string().nullable(),
});
export const rotationSchema = z.object({
  id: z.string(),
  trigger: z.string(),
  requestedBy: z.string(),
  live: z.boolean(),
  state: z.string(),
  step: z.string(),
  problem: z.string().nullable(),
  fromVersion: z.int().nullable(),
  toVersion: z.int().nullable(),
  deliveries: z.array(z.object({ destination: z.string(), state: z.string() })),
});
const rotationPageSchema = z.object({ items: z.array(rotationSchema) });
export const keyringPageSchema = z.object({
  items: z.array(z.object({ nextRotationAt: z.string().nullable() })),
});
export const chainSchema = z.object({ ok: z.boolean(), count: z.int() });

export type Key = z.infer<typeof keySchema>;
export type Rotation = z.infer<typeof rotationSchema>;
export type Verdict = z.infer<typeof verdictSchema>;

/** Longer than any request may wait for a rotation. */
const ANSWER_WITHIN_MS = 40_000;

export class Client {
  readonly #origin: string;
  readonly #token: string;

  constructor(origin: string, token: string) {
    this.#origin = origin;
    this.#token = token;
  }

  /**
   * Sends one request and parses its answer.
   * @throws for a problem, with what it says; no value that was sent is named
   */
  async call<Schema extends z.ZodType>(
    answer: Schema,
    method: "GET" | "POST" | "PATCH" | "PUT",
    path: string,
    body?: unknown,
  ): Promise<z.output<Schema>> {
    const response = await fetch(`${this.#origin}${path}`, {
      method,
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.ok) return answer.parse(JSON.parse(text));
    const { success, data } = problemSchema.safeParse(readJson(text));
    const answered = `${method} ${path} answered ${response.status}`;
    if (!success) throw new Error(answered);
    const fields = data.errors?.map((error) => `${error.path} ${error.message}`) ?? [];
    const why = [data.title, data.detail, ...fields].filter((part) => part !== undefined).join("; ");
    throw new Error(`${answered} ${data.code}: ${why}. ${data.remedy}`);
  }

  key(name: string): Promise<Key> {
    return this.call(keySchema, "GET", `/v1/keys/${name}`);
  }

  verify(value: string): Promise<Verdict> {
    return this.call(verdictSchema, "POST", "/v1/verify", { key: value });
  }

  async rotationsOf(name: string): Promise<Rotation[]> {
    return (await this.call(rotationPageSchema, "GET", `/v1/rotations?key=${name}`)).items;
  }
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
