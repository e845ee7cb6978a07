/** A service of no name whose key asks for its own successor and dies of it, and whose owner can list and end keys. */
import { FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

export class FakeRelay extends FakeService {
  readonly name = "relay";
  readonly origin = "https://keys.relay.dev";
  /** Lists and ends keys; makes none. */
  readonly admin = "relay-fake-token-of-the-owner";

  protected route({ method, path, query, headers, text }: Incoming): Route | undefined {
    const holder = this.holderOf(headers.get("x-relay-key"));
    const owned = (effect: () => Response) => () =>
      headers.get("x-relay-owner") === this.admin ? effect() : this.unauthorized();
    const id = /^\/keys\/([^/]+)$/.exec(path)?.[1];
    switch (`${method} ${id === undefined || id === "next" ? path : "/keys/{id}"}`) {
      case "GET /me":
        return { name: "test", effect: () => (holder ? Response.json({}) : this.unauthorized()) };
      case "POST /keys/next":
        return {
          name: "mint",
          effect: () => {
            if (!holder) return this.unauthorized();
            const { label = "" } = (jsonOf(text) ?? {}) as { label?: string };
            this.end(holder);
            const { reference, secret } = this.make(label);
            return Response.json({ id: reference, secret });
          },
        };
      case "GET /keys":
        return { name: "find", effect: owned(() => this.#list(query.get("label") ?? "")) };
      case "DELETE /keys/{id}":
        return { name: "revoke", effect: owned(() => this.#remove(id ?? "")) };
      default:
        return undefined;
    }
  }

  #list(label: string): Response {
    const found = this.credentials.filter((one) => this.isLive(one) && one.label === label);
    return Response.json({ keys: found.map(({ reference }) => ({ id: reference, label })) });
  }

  #remove(id: string): Response {
    const one = this.byReference(id);
    if (!one || !this.isLive(one)) return Response.json({ code: "unknown" }, { status: 404 });
    this.end(one);
    return new Response(null, { status: 204 });
  }

  protected unauthorized(): Response {
    return Response.json({ code: "unauthorized" }, { status: 401 });
  }
}
