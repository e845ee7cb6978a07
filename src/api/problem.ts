/** The one place where failures become HTTP: problem details by RFC 9457. */
import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { CATALOGUE, type Failure } from "../errors/catalogue.ts";
import type { Result } from "../result.ts";

/** An expected failure on its way to the error boundary. */
export class Problem extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.code);
    this.failure = failure;
  }
}

/** The value of a result, or its failure on the way to the error boundary. */
export function unwrap<T>(result: Result<T, Failure>): T {
  if (result.ok) return result.value;
  throw new Problem(result.error);
}

export const problemSchema = z
  .object({
    type: z.string().openapi({ example: "urn:rekey:problem:scope-missing" }),
    title: z.string(),
    status: z.int(),
    code: z.string().openapi({ description: "Stable; what a program should look at." }),
    detail: z.string().optional(),
    remedy: z.string().openapi({ description: "What to do next." }),
    scope: z.string().optional(),
    scopes: z.array(z.string()).optional(),
    retryAt: z.string().optional(),
    usedBy: z.array(z.string()).optional(),
    holder: z.string().optional(),
    candidates: z.array(z.string()).optional(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    instance: z.string().optional(),
  })
  .openapi("Problem");

/** The response for a failure. */
export function respondWith(c: Context, failure: Failure, instance?: string): Response {
  const { status, title, remedy } = CATALOGUE[failure.code];
  const { retryAfterSeconds, ...shown } = failure;
  return c.body(
    JSON.stringify({
      type: `urn:rekey:problem:${failure.code}`,
      title,
      status,
      remedy,
      ...shown,
      ...(instance !== undefined && { instance }),
    }),
    status,
    {
      "content-type": "application/problem+json",
      ...(status === 401 && { "www-authenticate": "Bearer" }),
      ...(retryAfterSeconds !== undefined && { "retry-after": String(retryAfterSeconds) }),
    },
  );
}
