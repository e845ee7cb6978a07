/** Log10x: one key for a user. Who rotates gets a key that is refused at first; demo accounts may not, and get 403. */
import { FakeService, type Incoming, type Route } from "./fake.ts";

const PROPAGATION_MS = 4_000;

/** A key with this label is a demo account's. */
const DEMO = "demo";

export class FakeLog10x extends FakeService {
  readonly name = "log10x";
  readonly origin = "https://prometheus.log10x.com";
  readonly environments = ["env-1", "env-2"];
  isDemo = false;
  /** What callers showed, in order: the scope alone, `user` or the environment's id. */
  readonly scopes: string[] = [];

  protected route({ method, path, headers, text }: Incoming): Route | undefined {
    const [secret, envId] = (headers.get("x-10x-auth") ?? "").split("/");
    const isKnown = envId === undefined || this.environments.includes(envId);
    const holder = isKnown ? this.holderOf(secret) : undefined;
    this.scopes.push(envId ?? "user");
    switch (`${method} ${path}`) {
      case "GET /api/v1/user":
        return {
          name: "test",
          effect: () => (holder ? Response.json(this.#user()) : this.unauthorized()),
        };
      case "POST /api/v1/user/rotate-key":
        return {
          name: "mint",
          effect: () => {
            if (!holder) return this.unauthorized();
            if (this.isDemo || holder.label === DEMO)
              return Response.json({ error: "Demo accounts cannot rotate keys" }, { status: 403 });
            if (text !== "") return Response.json({ error: "unexpected body" }, { status: 400 });
            this.end(holder);
            const fresh = this.make(holder.label, { propagationMs: PROPAGATION_MS });
            return Response.json({ user: this.#user(), api_key: fresh.secret });
          },
        };
      default:
        return undefined;
    }
  }

  #user() {
    return { user_id: "user-1", username: "ops", environments: this.environments.map((id) => ({ id })) };
  }

  protected override newSecret(): string {
    return crypto.randomUUID();
  }

  protected unauthorized(): Response {
    return Response.json({ error: "Unauthorized" }, { status: 401 });
  }
}
