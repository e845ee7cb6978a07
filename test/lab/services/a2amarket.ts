/** A2A Market: one key for an agent, asked for with headers of the protocol; a repeated idempotency key is a conflict. */
import { createHmac } from "node:crypto";
import { type FakeCredential, FakeService, type Incoming, type Route } from "./fake.ts";

export const AGENT_ID = "agent_7f3";
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Where the new key stands in the answer: `elsewhere` is none of the places that are known. */
export type Shape = "payload" | "new" | "data" | "top" | "elsewhere" | "two";

export class FakeA2aMarket extends FakeService {
  readonly name = "a2amarket";
  readonly origin = "https://agent.a2amarket.md";
  shape: Shape = "payload";
  /** Shared with the agent: what has a body must be signed with it. */
  hmacSecret: string | undefined;
  /** Refuses a rotation without a signature. */
  insistsOnSignature = false;
  /** Answers 401 to a dead key before it looks at the idempotency key. */
  looksAtKeyFirst = false;
  isSuspended = false;
  /** Asks to come back after this long, once. */
  retryAfterSeconds: number | undefined;
  /** Errors come as `{error}`, or by themselves. */
  errorsAreBare = false;
  /** Idempotency keys of rotations, in order. */
  readonly idempotencyKeys: string[] = [];

  protected route({ method, path, headers, text }: Incoming): Route | undefined {
    const holder = this.holderOf(headers.get("x-agent-key"));
    const isOwn = path.startsWith(`/acap/v1/agents/${AGENT_ID}`);
    if (method === "GET" && /^\/acap\/v1\/agents\/[^/]+$/.test(path)) {
      const effect = () =>
        this.#refusal(headers, text, holder) ??
        (isOwn ? this.#envelope({ agent: { id: AGENT_ID } }) : this.problem("AGENT_NOT_FOUND", 404));
      return { name: "test", effect };
    }
    if (method === "POST" && path === `/acap/v1/agents/${AGENT_ID}/rotate-key`)
      return { name: "mint", effect: () => this.#rotate(headers, text, holder) };
    return undefined;
  }

  #rotate(headers: Headers, text: string, holder: FakeCredential | undefined): Response {
    const idempotencyKey = headers.get("x-idempotency-key") ?? "";
    const isKnown = this.idempotencyKeys.includes(idempotencyKey);
    this.idempotencyKeys.push(idempotencyKey);
    if (isKnown && !this.looksAtKeyFirst) return this.problem("IDEMPOTENCY_CONFLICT", 409);
    const refusal = this.#refusal(headers, text, holder);
    if (refusal) return this.#forget(refusal);
    if (!holder) return this.unauthorized();
    if (this.insistsOnSignature && text === "") return this.#forget(this.problem("INVALID_SIGNATURE", 401));
    if (text !== "" && text !== "{}") return this.#forget(this.problem("INVALID_REQUEST", 400));
    if (this.retryAfterSeconds !== undefined) {
      const response = this.problem("RATE_LIMITED", 429, this.retryAfterSeconds);
      this.retryAfterSeconds = undefined;
      return this.#forget(response);
    }
    this.end(holder);
    return this.#answer(holder, this.make(holder.label));
  }

  /** What was refused had no effect, so its idempotency key is free. */
  #forget(response: Response): Response {
    this.idempotencyKeys.pop();
    return response;
  }

  #refusal(headers: Headers, text: string, holder: FakeCredential | undefined): Response | undefined {
    if (!UUID.test(headers.get("x-idempotency-key") ?? "")) return this.problem("INVALID_REQUEST", 400);
    if (Number.isNaN(Date.parse(headers.get("x-acap-timestamp") ?? "")))
      return this.problem("INVALID_REQUEST", 400);
    if (!holder) return this.unauthorized();
    if (this.isSuspended) return this.problem("AGENT_SUSPENDED", 403);
    return this.#isSigned(headers, text) ? undefined : this.problem("INVALID_SIGNATURE", 401);
  }

  #isSigned(headers: Headers, text: string): boolean {
    const shown = headers.get("x-acap-signature");
    if (this.hmacSecret === undefined) return shown === null;
    if (text === "") return shown === null;
    const right = createHmac("sha256", this.hmacSecret).update(text, "utf8").digest("base64");
    return shown === `hmac-sha256:${right}`;
  }

  #answer(old: FakeCredential, { secret }: FakeCredential): Response {
    switch (this.shape) {
      case "payload":
        return this.#envelope({ api_key: secret });
      case "new":
        return this.#envelope({ new_api_key: secret });
      case "data":
        return this.#envelope({ data: { api_key: secret } });
      case "top":
        return this.#envelope(undefined, { api_key: secret });
      case "elsewhere":
        return this.#envelope({ credentials: { key: secret }, api_key: old.secret });
      case "two":
        return this.#envelope({ api_key: secret }, { api_key: "another-key-of-somebody" });
    }
  }

  #envelope(payload: unknown, more: object = {}): Response {
    return Response.json({
      acap_version: "1.0",
      message_id: crypto.randomUUID(),
      sub_protocol: "identity",
      timestamp: new Date().toISOString(),
      ...(payload !== undefined && { payload }),
      ...more,
    });
  }

  protected problem(code: string, status: number, retryAfter?: number): Response {
    const error = {
      code,
      message: "no",
      http_status: status,
      ...(retryAfter !== undefined && { retry_after: retryAfter }),
    };
    return Response.json(this.errorsAreBare ? error : { error }, { status });
  }

  protected override rateLimited(seconds: number): Response {
    return this.problem("RATE_LIMITED", 429, seconds);
  }

  protected unauthorized(): Response {
    return this.problem("UNAUTHORIZED", 401);
  }
}
