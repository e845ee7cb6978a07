/** DigitalOcean Spaces: a key is a pair, and the account's token says whether it is there. */
import { FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

const PERMISSIONS = ["read", "readwrite", "fullaccess"];

export class FakeSpaces extends FakeService {
  readonly name = "spaces";
  readonly origin = "https://api.digitalocean.com";
  /** Opens the account. */
  readonly admin = "dop_v1_fake_admin_of_the_account";

  protected route({ method, path, query, headers, text }: Incoming): Route | undefined {
    const isAdmin = headers.get("authorization") === `Bearer ${this.admin}`;
    const guarded = (effect: () => Response) => () => (isAdmin ? effect() : this.unauthorized());
    const one = /^\/v2\/spaces\/keys\/([^/]+)$/.exec(path)?.[1];
    if (one !== undefined) {
      if (method === "GET") return { name: "test", effect: guarded(() => this.#read(one)) };
      return method === "DELETE" ? { name: "revoke", effect: guarded(() => this.#remove(one)) } : undefined;
    }
    if (path !== "/v2/spaces/keys") return undefined;
    if (method === "POST") return { name: "mint", effect: guarded(() => this.#create(text)) };
    const name = query.get("name");
    return method === "GET"
      ? { name: name === null ? "preflight" : "find", effect: guarded(() => this.#list(name)) }
      : undefined;
  }

  #create(text: string): Response {
    const body = jsonOf(text) as { name?: unknown; grants?: unknown } | undefined;
    const isGranted =
      Array.isArray(body?.grants) &&
      body.grants.every(
        (grant) => typeof grant?.bucket === "string" && PERMISSIONS.includes(grant.permission),
      );
    if (typeof body?.name !== "string" || !isGranted)
      return Response.json({ id: "bad_request", message: "bad grants" }, { status: 400 });
    const { reference, secret, label } = this.make(body.name);
    const key = { name: label, grants: body.grants, access_key: reference, secret_key: secret };
    return Response.json({ key }, { status: 201 });
  }

  #list(name: string | null): Response {
    const keys = this.credentials
      .filter((one) => this.isLive(one) && (name === null || one.label === name))
      .map(({ reference, label }) => ({ name: label, access_key: reference, grants: [] }));
    return Response.json({ keys, links: {}, meta: { total: keys.length } });
  }

  #read(accessKey: string): Response {
    const one = this.byReference(decodeURIComponent(accessKey));
    return one && this.isLive(one)
      ? Response.json({ key: { name: one.label, access_key: one.reference, grants: [] } })
      : missing();
  }

  #remove(accessKey: string): Response {
    const one = this.byReference(decodeURIComponent(accessKey));
    if (!one || !this.isLive(one)) return missing();
    this.end(one);
    return new Response(null, { status: 204 });
  }

  protected override newReference(count: number): string {
    return `DO00FAKE${count.toString(36).toUpperCase().padStart(12, "0")}`;
  }

  protected unauthorized(): Response {
    return Response.json({ id: "unauthorized", message: "Unable to authenticate you" }, { status: 401 });
  }
}

function missing(): Response {
  return Response.json({ id: "not_found", message: "The resource was not found" }, { status: 404 });
}
