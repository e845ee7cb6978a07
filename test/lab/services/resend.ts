/** Resend: keys beside each other, listed in pages, one of which opens the account. */
import { FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

export class FakeResend extends FakeService {
  readonly name = "resend";
  readonly origin = "https://api.resend.com";
  /** Opens the account. */
  readonly admin = "re_fake_admin_of_the_account";

  protected route({ method, path, query, headers, text }: Incoming): Route | undefined {
    const token = /^Bearer (.+)$/.exec(headers.get("authorization") ?? "")?.[1];
    const isAdmin = token === this.admin;
    const guarded = (effect: () => Response) => () => {
      if (!headers.get("user-agent")) return Response.json({ statusCode: 403 }, { status: 403 });
      return isAdmin || this.holderOf(token) ? effect() : this.unauthorized();
    };
    const id = /^\/api-keys\/([^/]+)$/.exec(path)?.[1];
    if (method === "DELETE" && id !== undefined)
      return { name: "revoke", effect: guarded(() => this.#remove(id)) };
    if (path !== "/api-keys") return undefined;
    if (method === "POST") return { name: "mint", effect: guarded(() => this.#create(text)) };
    if (method !== "GET") return undefined;
    const limit = Number(query.get("limit") ?? 100);
    const name = isAdmin ? (limit === 1 ? "preflight" : "find") : "test";
    return { name, effect: guarded(() => this.#list(limit, query.get("after"))) };
  }

  #create(text: string): Response {
    const body = jsonOf(text) as { name?: unknown; permission?: unknown } | undefined;
    const isKnown = body?.permission === "full_access" || body?.permission === "sending_access";
    if (typeof body?.name !== "string" || !isKnown)
      return Response.json({ statusCode: 422, name: "missing_required_field" }, { status: 422 });
    const { reference, secret } = this.make(body.name);
    return Response.json({ object: "api_key", id: reference, token: secret }, { status: 201 });
  }

  /** Ten a page at most, newest last, so that a reader who stops early misses what it looks for. */
  #list(limit: number, after: string | null): Response {
    const live = this.credentials.filter((one) => this.isLive(one));
    const from = after === null ? 0 : live.findIndex(({ reference }) => reference === after) + 1;
    const size = Math.min(limit, 10);
    const data = live
      .slice(from, from + size)
      .map(({ reference, label }) => ({ id: reference, name: label, created_at: "2040-01-01" }));
    return Response.json({ object: "list", has_more: from + size < live.length, data });
  }

  #remove(id: string): Response {
    const one = this.byReference(decodeURIComponent(id));
    if (!one || !this.isLive(one))
      return Response.json({ statusCode: 404, name: "not_found" }, { status: 404 });
    this.end(one);
    return Response.json({ object: "api_key", id, deleted: true });
  }

  protected override newSecret(count: number): string {
    return `re_${super.newSecret(count)}`;
  }

  protected unauthorized(): Response {
    return Response.json(
      { statusCode: 400, name: "validation_error", message: "API key is invalid" },
      { status: 400 },
    );
  }
}
