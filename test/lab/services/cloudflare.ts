/**
 * Cloudflare's account-owned API tokens. A manager's token opens them; each has a name, policies, perhaps a condition and an end, and is
 * active or disabled. Answers come in an envelope.
 */
import { z } from "zod";
import { type FakeCredential, FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

export const ACCOUNT = "0123456789abcdef0123456789abcdef";

const policies = z
  .array(
    z.strictObject({
      effect: z.enum(["allow", "deny"]),
      resources: z.record(z.string(), z.unknown()),
      permission_groups: z.array(z.strictObject({ id: z.string() })).min(1),
    }),
  )
  .min(1);

/** RFC 3339 in whole seconds. */
const time = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

const bodySchema = z.strictObject({
  name: z.string().min(1).max(120),
  policies,
  condition: z.record(z.string(), z.record(z.string(), z.array(z.string()))).optional(),
  expires_on: time.optional(),
  not_before: time.optional(),
});

const changeSchema = bodySchema.extend({ status: z.enum(["active", "disabled"]) });

type Body = z.output<typeof bodySchema>;

/** What a first token may do. */
export const POLICIES: Body["policies"] = [
  {
    effect: "allow",
    resources: { [`com.cloudflare.api.account.${ACCOUNT}`]: "*" },
    permission_groups: [{ id: "c8fed203ed3043cba015a93ad1616f1f" }],
  },
];

interface Token extends Body {
  status: "active" | "disabled";
  lastUsedOn?: string;
}

export class FakeCloudflare extends FakeService {
  readonly name = "cloudflare";
  readonly origin = "https://api.cloudflare.com/client/v4";
  /** What opens the account's tokens. */
  readonly manager = "cfat_manager-of-all-tokens-of-the-account";
  readonly tokens = new Map<string, Token>();

  /** A token with a name of its own. */
  makeToken(name: string, more: Partial<Token> = {}, byPerson = false): FakeCredential {
    const made = this.make(name, { byPerson });
    this.tokens.set(made.reference, { name, policies: POLICIES, status: "active", ...more });
    return made;
  }

  /** A disabled token opens nothing, and neither does one that no address may use. */
  override holderOf(secret: string | null | undefined): FakeCredential | undefined {
    const found = super.holderOf(secret);
    const token = found && this.tokens.get(found.reference);
    const isShut = Object.values(token?.condition ?? {}).some((lists) => lists.in?.length === 0);
    return token?.status === "active" && !isShut ? found : undefined;
  }

  protected route({ method, path, query, headers, text }: Incoming): Route | undefined {
    const bearer = headers.get("authorization")?.replace(/^Bearer /, "");
    const [, , account, collection, id, more] = path.split("/");
    if (account !== ACCOUNT || collection !== "tokens" || more !== undefined) return undefined;
    if (method === "GET" && id === "verify") return { name: "test", effect: () => this.#verify(bearer) };
    const managed = (name: string, effect: () => Response): Route => ({
      name,
      effect: () => (bearer === this.manager ? effect() : this.unauthorized()),
    });
    if (id === undefined || id === "") {
      if (method === "GET") return managed("list", () => this.#list(query));
      return method === "POST" && id === undefined ? managed("mint", () => this.#create(text)) : undefined;
    }
    const one = this.byReference(id);
    const token = one && this.isLive(one) ? this.tokens.get(id) : undefined;
    switch (method) {
      case "GET":
        return managed("show", () => (token ? this.#shown(id, token) : this.#failed(404, 1003)));
      case "PUT":
        return managed("disable", () => (token ? this.#change(id, text) : this.#failed(404, 1003)));
      case "DELETE":
        return managed("revoke", () => {
          if (!one || !token) return this.#failed(404, 1003);
          this.end(one);
          return this.#ok({ id });
        });
      default:
        return undefined;
    }
  }

  #verify(bearer: string | undefined): Response {
    // The manager's is a token like any other.
    if (bearer === this.manager) return this.#ok({ id: "manager", status: "active" });
    const known = this.credentials.find((one) => one.secret === bearer && this.isLive(one));
    const token = known && this.tokens.get(known.reference);
    if (known && token?.status === "disabled") return this.#ok({ id: known.reference, status: "disabled" });
    const holder = this.holderOf(bearer);
    return holder ? this.#ok({ id: holder.reference, status: "active" }) : this.unauthorized();
  }

  #list(query: URLSearchParams): Response {
    const page = Number(query.get("page") ?? 1);
    const size = Math.min(50, Math.max(5, Number(query.get("per_page") ?? 20)));
    const all = this.credentials.filter((one) => this.isLive(one));
    const result = all
      .slice((page - 1) * size, page * size)
      .map(({ reference }) => this.#view(reference, this.tokens.get(reference)));
    return Response.json({ success: true, errors: [], messages: [], result });
  }

  #create(text: string): Response {
    const { success, data } = bodySchema.safeParse(jsonOf(text));
    if (!success) return this.#failed(400, 1001);
    const made = this.makeToken(data.name, data);
    return this.#ok({ ...this.#view(made.reference, this.tokens.get(made.reference)), value: made.secret });
  }

  #change(id: string, text: string): Response {
    const { success, data } = changeSchema.safeParse(jsonOf(text));
    if (!success) return this.#failed(400, 1001);
    if (this.byReference(id)?.byPerson) this.broken.push(`${id}, made by a person, was changed`);
    this.tokens.set(id, data);
    return this.#shown(id, data);
  }

  #shown(id: string, token: Token): Response {
    return this.#ok(this.#view(id, token));
  }

  /** A token as it is shown: with more about each policy than may be sent. */
  #view(id: string, token: Token | undefined) {
    const { lastUsedOn, ...rest } = token ?? {};
    return {
      id,
      ...rest,
      policies: token?.policies.map((policy, index) => ({
        ...policy,
        id: `policy-${index}`,
        permission_groups: policy.permission_groups.map((group) => ({ ...group, name: "a group", meta: {} })),
      })),
      issued_on: "2026-01-01T00:00:00Z",
      ...(lastUsedOn !== undefined && { last_used_on: lastUsedOn }),
    };
  }

  #ok(result: unknown): Response {
    return Response.json({ success: true, errors: [], messages: [], result });
  }

  #failed(status: number, code: number): Response {
    const errors = [{ code, message: "something is wrong" }];
    return Response.json({ success: false, errors, messages: [], result: null }, { status });
  }

  protected override newSecret(count: number): string {
    return `cfat_${super.newSecret(count)}`;
  }

  protected unauthorized(): Response {
    return this.#failed(401, 1000);
  }
}
