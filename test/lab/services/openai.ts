/**
 * OpenAI's project service accounts. An admin key manages them; making one makes its key, deleting it ends its key, and the key of one cannot
 * be deleted by itself. Lists come in pages, newest first.
 */
import { z } from "zod";
import { type FakeCredential, FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

export const PROJECT = "proj_billing";

const bodySchema = z.strictObject({ name: z.string().min(1) });

export class FakeOpenai extends FakeService {
  readonly name = "openai";
  readonly origin = "https://api.openai.com/v1";
  readonly admin = "sk-admin-of-the-organization";
  /** Unix seconds, by service account. */
  readonly usedAt = new Map<string, number>();

  protected route({ method, path, query, headers, text }: Incoming): Route | undefined {
    const bearer = headers.get("authorization")?.replace(/^Bearer /, "");
    const managed = (name: string, effect: () => Response): Route => ({
      name,
      effect: () => (bearer === this.admin ? effect() : this.unauthorized()),
    });
    const project = `/organization/projects/${PROJECT}`;
    switch (`${method} ${path}`) {
      case "GET /models":
        return {
          name: "test",
          effect: () => (this.holderOf(bearer) ? this.#list([], query) : this.unauthorized()),
        };
      case "GET /organization/projects":
        return managed("projects", () => this.#list([{ id: PROJECT, name: "billing" }], query));
      case `GET ${project}/service_accounts`:
        return managed("list", () => this.#list(this.#accounts(), query));
      case `GET ${project}/api_keys`:
        return managed("keys", () => this.#list(this.#keys(), query));
      case `POST ${project}/service_accounts`:
        return managed("mint", () => this.#create(text));
    }
    const id = path.startsWith(`${project}/service_accounts/`) ? path.split("/").at(-1) : undefined;
    if (method === "DELETE" && id) return managed("revoke", () => this.#delete(id));
    const ofKey = path.startsWith(`${project}/api_keys/`);
    return method === "DELETE" && ofKey
      ? managed("delete-key", () => this.#failed(400, "is_owned"))
      : undefined;
  }

  #create(text: string): Response {
    const { success, data } = bodySchema.safeParse(jsonOf(text));
    if (!success) return this.#failed(400, "invalid_body");
    const { name } = data;
    if (this.#live().some(({ label }) => label === name)) return this.#failed(400, "duplicate_name");
    const { reference, secret } = this.make(name);
    const created_at = Math.floor(Date.now() / 1_000);
    return Response.json({
      object: "organization.project.service_account",
      id: reference,
      name,
      role: "member",
      created_at,
      api_key: {
        object: "organization.project.service_account.api_key",
        id: `key_${reference}`,
        value: secret,
        name: "Secret Key",
        created_at,
      },
    });
  }

  #delete(id: string): Response {
    const found = this.byReference(id);
    if (!found || !this.isLive(found)) return this.#failed(404, "not_found");
    this.end(found);
    return Response.json({ object: "organization.project.service_account.deleted", id, deleted: true });
  }

  #live(): FakeCredential[] {
    return this.credentials.filter((one) => this.isLive(one)).toReversed();
  }

  #accounts() {
    return this.#live().map(({ reference, label }) => ({ id: reference, name: label, role: "member" }));
  }

  #keys() {
    return this.#live().map(({ reference, label, byPerson }) => ({
      object: "organization.project.api_key",
      id: `key_${reference}`,
      name: label,
      last_used_at: this.usedAt.get(reference) ?? null,
      owner: byPerson
        ? { type: "user", user: { id: `user_${reference}` } }
        : { type: "service_account", service_account: { id: reference, name: label } },
    }));
  }

  #list(all: { id: string; name?: string }[], query: URLSearchParams): Response {
    const limit = Math.min(100, Number(query.get("limit") ?? 20));
    const after = query.get("after");
    const from = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
    const data = all.slice(from, from + limit);
    return Response.json({
      object: "list",
      data,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
      has_more: from + limit < all.length,
    });
  }

  #failed(status: number, code: string): Response {
    const error = { message: "something is wrong", type: "invalid_request_error", param: null, code };
    return Response.json({ error }, { status });
  }

  protected override newSecret(count: number): string {
    return `sk-svcacct-${super.newSecret(count)}`;
  }

  protected override newReference(count: number): string {
    return `user-${count}`;
  }

  protected unauthorized(): Response {
    return this.#failed(401, "invalid_api_key");
  }
}
