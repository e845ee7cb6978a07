/**
 * GitLab's access tokens. Rotating one ends it at once and makes the next of its family; rotating one that is revoked ends the family. A
 * token ends as its last day begins, which is a week away unless another was asked for.
 */
import { z } from "zod";
import { type FakeCredential, FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

const DAY_MS = 86_400_000;

const bodySchema = z.strictObject({ expires_at: z.iso.date().optional() });

export class FakeGitlab extends FakeService {
  readonly name = "gitlab";
  readonly origin: string;
  /** An administrator's token. */
  readonly admin = "glpat-admin-of-the-instance-000000";
  /** Which family each token is of. */
  readonly families = new Map<string, string>();
  /** Which project each token is of; absent for a person's own. */
  readonly projects = new Map<string, string>();

  constructor(origin = "https://gitlab.com/api/v4") {
    super();
    this.origin = origin;
  }

  /** The first of a family. */
  makeToken(project?: string): FakeCredential {
    const made = this.make("by hand");
    this.families.set(made.reference, made.reference);
    if (project !== undefined) this.projects.set(made.reference, project);
    return made;
  }

  protected route({ method, path, headers, text }: Incoming): Route | undefined {
    const shown = headers.get("private-token");
    if (method === "GET" && path === "/personal_access_tokens/self") {
      return { name: "test", effect: () => this.#self(shown) };
    }
    const own = /^\/personal_access_tokens\/(\d+)(\/rotate)?$/.exec(path);
    const ofProject = /^\/projects\/([^/]+)\/access_tokens\/(\d+)(\/rotate)?$/.exec(path);
    const [project, id, rotates] = own
      ? [undefined, own[1], own[2]]
      : [decodeURIComponent(ofProject?.[1] ?? ""), ofProject?.[2], ofProject?.[3]];
    if (id === undefined) return undefined;
    const found = this.byReference(id);
    const one = found && this.projects.get(id) === project ? found : undefined;
    switch (`${method} ${rotates ?? ""}`) {
      case "POST /rotate":
        return { name: "mint", effect: () => this.#rotate(shown, one, text) };
      case "GET ":
        return this.#managed("show", shown, () => Response.json(this.#view(one)), one);
      case "DELETE ":
        return this.#managed("revoke", shown, () => this.#revoke(one), one);
      default:
        return undefined;
    }
  }

  #managed(
    name: string,
    shown: string | null,
    effect: () => Response,
    one: FakeCredential | undefined,
  ): Route {
    const answer = () => (one ? effect() : this.#failed(404, "404 Not Found"));
    return { name, effect: () => (shown === this.admin ? answer() : this.unauthorized()) };
  }

  #self(shown: string | null): Response {
    if (shown === this.admin) return Response.json({ id: 1, user_id: 1, active: true, revoked: false });
    const holder = this.holderOf(shown);
    return holder ? Response.json(this.#view(holder)) : this.unauthorized();
  }

  #rotate(shown: string | null, one: FakeCredential | undefined, text: string): Response {
    const holder = this.credentials.find(({ secret }) => secret === shown);
    if (holder) this.broken.push(`${holder.reference} was shown to have a token rotated`);
    if (shown !== this.admin && !this.holderOf(shown)) return this.unauthorized();
    if (!one) return this.#failed(404, "404 Not Found");
    if (!this.isLive(one)) {
      this.broken.push(`${one.reference} is revoked and was rotated again`);
      const family = this.families.get(one.reference);
      for (const other of this.credentials) {
        if (this.families.get(other.reference) === family) this.end(other);
      }
      return this.unauthorized();
    }
    const { success, data } = bodySchema.safeParse(jsonOf(text) ?? {});
    const now = Date.now();
    const endsAt = data?.expires_at === undefined ? now + 7 * DAY_MS : Date.parse(data.expires_at);
    if (!success || endsAt <= now || endsAt > now + 365 * DAY_MS) return this.#failed(400, "bad expires_at");
    this.end(one);
    const made = this.make(one.label);
    made.endsAt = endsAt;
    this.families.set(made.reference, this.families.get(one.reference) ?? one.reference);
    const project = this.projects.get(one.reference);
    if (project !== undefined) this.projects.set(made.reference, project);
    const expires_at = new Date(endsAt).toISOString().slice(0, 10);
    return Response.json({ ...this.#view(made), expires_at, token: made.secret });
  }

  #revoke(one: FakeCredential | undefined): Response {
    if (one) this.end(one);
    return new Response(null, { status: 204 });
  }

  #view(one: FakeCredential | undefined) {
    const active = one !== undefined && this.isLive(one);
    return {
      id: Number(one?.reference),
      name: one?.label,
      user_id: 7,
      active,
      revoked: !active,
      scopes: ["api"],
    };
  }

  #failed(status: number, message: string): Response {
    return Response.json({ message }, { status });
  }

  protected override newSecret(count: number): string {
    return `glpat-${super.newSecret(count)}`;
  }

  protected override newReference(count: number): string {
    return String(1_000 + count);
  }

  protected unauthorized(): Response {
    const body = {
      error: "invalid_token",
      error_description: "Token was revoked. You have to re-authorize.",
    };
    return Response.json(body, { status: 401 });
  }
}
