/** Neon: keys beside each other, named by numbers too large for a double. */
import { FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

const MAX_NAME = 64;
/** Beyond 2^53: read as a double, it and its neighbour are one. */
const FIRST_ID = 9_007_199_254_740_993n;

export class FakeNeon extends FakeService {
  readonly name = "neon";
  readonly origin = "https://console.neon.tech/api/v2";
  /** Opens the account. */
  readonly admin = "napi_fake_admin_of_the_account";

  protected route({ method, path, headers, text }: Incoming): Route | undefined {
    const token = /^Bearer (.+)$/.exec(headers.get("authorization") ?? "")?.[1];
    const isAdmin = token === this.admin;
    const guarded = (effect: () => Response) => () =>
      isAdmin || this.holderOf(token) ? effect() : this.unauthorized();
    const id = /^\/api_keys\/(\d+)$/.exec(path)?.[1];
    if (method === "DELETE" && id !== undefined)
      return { name: "revoke", effect: guarded(() => this.#revoke(id)) };
    if (method === "GET" && path === "/projects")
      return { name: "test", effect: guarded(() => Response.json({ projects: [] })) };
    if (method === "POST" && path === "/api_keys")
      return { name: "mint", effect: guarded(() => this.#create(text)) };
    if (method !== "GET" || path !== "/api_keys") return undefined;
    return { name: "list", effect: guarded(() => this.#list()) };
  }

  #create(text: string): Response {
    const name = (jsonOf(text) as { key_name?: unknown } | undefined)?.key_name;
    if (typeof name !== "string" || name === "" || name.length > MAX_NAME)
      return Response.json({ code: "", message: "bad key_name" }, { status: 400 });
    const { reference, secret } = this.make(name);
    return json(`{"id":${reference},"key":${JSON.stringify(secret)},"name":${JSON.stringify(name)}}`);
  }

  #list(): Response {
    const rows = this.credentials
      .filter((one) => this.isLive(one))
      .map(({ reference, label }) => `{"id":${reference},"name":${JSON.stringify(label)}}`);
    return json(`[${rows.join(",")}]`);
  }

  #revoke(id: string): Response {
    const one = this.byReference(id);
    if (!one || !this.isLive(one)) return Response.json({ code: "", message: "not found" }, { status: 404 });
    this.end(one);
    return json(`{"id":${id},"revoked":true}`);
  }

  protected override newSecret(count: number): string {
    return `napi_${super.newSecret(count)}`;
  }

  protected override newReference(count: number): string {
    return String(FIRST_ID + BigInt(count));
  }

  protected unauthorized(): Response {
    return Response.json({ code: "", message: "authorization failed" }, { status: 401 });
  }
}

function json(text: string): Response {
  return new Response(text, { headers: { "content-type": "application/json" } });
}
