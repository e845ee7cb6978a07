/** A service of no name that keeps the old key alive for as long as the mint asks, and then ends it by itself. */
import { type Incoming, jsonOf, type Route } from "./fake.ts";
import { LabelledService } from "./labelled.ts";

interface Wanted {
  label: string;
  replaces: string;
  keepOldSeconds: number;
}

export class FakeKeeper extends LabelledService {
  readonly name = "keeper";
  readonly origin = "https://keys.keeper.dev";
  /** Opens the account. */
  readonly admin = "keeper-fake-admin-of-the-account";

  protected route({ method, path, query, headers, text }: Incoming): Route | undefined {
    const token = headers.get("x-keeper-key");
    const guarded = (effect: () => Response) => () => (token === this.admin ? effect() : this.unauthorized());
    const id = /^\/keys\/([^/]+)$/.exec(path)?.[1];
    switch (`${method} ${id === undefined ? path : "/keys/{id}"}`) {
      case "GET /account":
        return { name: "preflight", effect: guarded(() => Response.json({ account: { id: "acc_1" } })) };
      case "GET /me":
        return {
          name: "test",
          effect: () => (this.holderOf(token) ? Response.json({}) : this.unauthorized()),
        };
      case "POST /keys":
        return { name: "mint", effect: guarded(() => this.#create(jsonOf(text) as Wanted)) };
      case "GET /keys":
        return { name: "find", effect: guarded(() => this.listed(query.get("label") ?? "")) };
      case "DELETE /keys/{id}":
        return { name: "revoke", effect: guarded(() => this.removed(id ?? "")) };
      default:
        return undefined;
    }
  }

  #create({ label, replaces, keepOldSeconds }: Wanted): Response {
    const old = this.byReference(replaces);
    if (typeof label !== "string" || !old || !Number.isInteger(keepOldSeconds))
      return Response.json({ code: "invalid" }, { status: 422 });
    this.end(old, Date.now() + keepOldSeconds * 1_000);
    const { reference, secret } = this.make(label);
    return Response.json({ id: reference, secret, oldEndsAt: new Date(old.endsAt).toISOString() });
  }
}
