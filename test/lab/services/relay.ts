/** A service of no name whose key asks for its own successor and dies of it, and whose owner can list and end keys. */
import { type Incoming, jsonOf, type Route } from "./fake.ts";
import { LabelledService } from "./labelled.ts";

export class FakeRelay extends LabelledService {
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
        return { name: "find", effect: owned(() => this.listed(query.get("label") ?? "")) };
      case "DELETE /keys/{id}":
        return { name: "revoke", effect: owned(() => this.removed(id ?? "")) };
      default:
        return undefined;
    }
  }
}
