/**
 * The places in a Cloudflare account that hold values: Secrets Store, secrets of Workers, Workers KV. A secret of the store is pending for
 * as many looks as are set, and only then holds what was written; no value of it is ever shown.
 */
import { z } from "zod";
import { ACCOUNT } from "./cloudflare.ts";
import { FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

export const STORE = "8f7a1cdced6342c18d223ece462fd88d";
export const SCRIPT = "shop";
export const NAMESPACE = "0f2ac74b498b48028cb68387c421e279";

const MAX_SECRET_BYTES = 65_536;

interface StoredSecret {
  id: string;
  name: string;
  comment: string;
  /** What readers get; undefined before the first was active. */
  value: string | undefined;
  /** Active after as many more looks. */
  next: { value: string; looks: number } | undefined;
}

const newSecrets = z.array(
  z.strictObject({
    name: z.string().regex(/^\w+$/),
    value: z.string().min(1),
    scopes: z.array(z.string()).min(1),
    comment: z.string().max(255).optional(),
  }),
);
const changedSecret = z.strictObject({
  value: z.string().min(1).optional(),
  scopes: z.array(z.string()).optional(),
  comment: z.string().max(255).optional(),
});
const bulkSecrets = z.strictObject({
  secrets: z.record(
    z.string().regex(/^\w+$/),
    z.strictObject({ name: z.string(), text: z.string(), type: z.literal("secret_text") }).nullable(),
  ),
});
const bulkPairs = z.array(z.strictObject({ key: z.string().min(1), value: z.string() })).max(10_000);

const pageSchema = z.coerce.number().int().min(1).default(1);
const listSchema = z.coerce.number().int().min(1).max(100).default(20);

export class FakeCloudflareStores extends FakeService {
  readonly name = "cloudflare-stores";
  readonly origin = "https://api.cloudflare.com/client/v4";
  readonly secrets: StoredSecret[] = [];
  /** Of the Worker `SCRIPT`, by name. */
  readonly bindings = new Map<string, string>();
  readonly pairs = new Map<string, string>();
  /** How often the Worker was deployed. */
  deployments = 0;
  /** Looks after which what was written to the store is active. */
  pendingLooks = 1;
  /** Secrets of others in the account. */
  othersSecrets = 0;
  quota = 100;
  /** Names that KV does not write. */
  readonly unwritable = new Set<string>();
  #ids = 0;

  /** What a consumer reads there, wherever that is. */
  held(name: string): string | undefined {
    return (
      this.bindings.get(name) ?? this.pairs.get(name) ?? this.secrets.find((one) => one.name === name)?.value
    );
  }

  protected route(request: Incoming): Route | undefined {
    const { method, path } = request;
    const below = path.replace(`/accounts/${ACCOUNT}`, "");
    const known = this.#routes(request);
    const name = `${method} ${below.replace(/\/secret-\d+$/, "/{id}")}`;
    const found = known[name];
    if (path.endsWith("/tokens/verify"))
      return this.#guarded(request, "verify", () => success({ id: "token-1", status: "active" }));
    if (below !== path && found) return this.#guarded(request, ...found);
    const isElsewhere = /^\/accounts\/[^/]+\/(secrets_store|workers|storage)\//.test(path);
    return isElsewhere ? this.#guarded(request, "elsewhere", () => failure(404, 10007)) : undefined;
  }

  #routes(request: Incoming): Record<string, [name: string, effect: () => Response]> {
    const { path, query, text } = request;
    const store = `/secrets_store/stores/${STORE}/secrets`;
    const script = `/workers/scripts/${SCRIPT}`;
    const namespace = `/storage/kv/namespaces/${NAMESPACE}`;
    return {
      [`GET ${store}`]: [
        "list",
        () =>
          this.#list(
            pageSchema.parse(query.get("page") ?? undefined),
            listSchema.parse(query.get("per_page") ?? undefined),
          ),
      ],
      [`POST ${store}`]: ["create", () => this.#create(text)],
      [`PATCH ${store}/{id}`]: ["change", () => this.#change(path.split("/").at(-1) ?? "", text)],
      "GET /secrets_store/quota": [
        "quota",
        () => success({ secrets: { quota: this.quota, usage: this.othersSecrets + this.secrets.length } }),
      ],
      [`GET ${script}/secrets`]: [
        "bindings",
        () => success([...this.bindings.keys()].map((name) => ({ name, type: "secret_text" }))),
      ],
      [`PATCH ${script}/secrets-bulk`]: ["bind", () => this.#bind(request)],
      [`GET ${namespace}`]: ["namespace", () => success({ id: NAMESPACE, title: "values" })],
      [`PUT ${namespace}/bulk`]: ["write", () => this.#write(text)],
    };
  }

  #guarded({ headers }: Incoming, name: string, effect: () => Response): Route {
    const holder = this.holderOf(headers.get("authorization")?.replace(/^Bearer /, ""));
    return { name, effect: () => (holder ? effect() : this.unauthorized()) };
  }

  #list(page: number, perPage: number): Response {
    for (const secret of this.secrets) {
      if (!secret.next) continue;
      if (secret.next.looks === 0) Object.assign(secret, { value: secret.next.value, next: undefined });
      else secret.next.looks -= 1;
    }
    return success(this.secrets.slice((page - 1) * perPage, page * perPage).map(shown));
  }

  #create(text: string): Response {
    const wanted = newSecrets.safeParse(jsonOf(text)).data;
    if (!wanted || wanted.some(({ value }) => Buffer.byteLength(value) > MAX_SECRET_BYTES))
      return failure(400, 1001);
    if (wanted.some(({ name }) => this.secrets.some((one) => one.name === name))) return failure(400, 1002);
    if (this.othersSecrets + this.secrets.length + wanted.length > this.quota) return failure(400, 1003);
    const made = wanted.map(({ name, value, comment = "" }) => {
      this.#ids += 1;
      const next = { value, looks: this.pendingLooks };
      const secret: StoredSecret = { id: `secret-${this.#ids}`, name, comment, value: undefined, next };
      this.secrets.push(secret);
      return shown(secret);
    });
    return success(made);
  }

  #change(id: string, text: string): Response {
    const secret = this.secrets.find((one) => one.id === id);
    const change = changedSecret.safeParse(jsonOf(text)).data;
    if (!secret || !change) return failure(secret ? 400 : 404, 1001);
    if (change.comment !== undefined) secret.comment = change.comment;
    if (change.value !== undefined) secret.next = { value: change.value, looks: this.pendingLooks };
    return success(shown(secret));
  }

  #bind({ headers, text }: Incoming): Response {
    const patch = bulkSecrets.safeParse(jsonOf(text)).data;
    if (!patch || headers.get("content-type") !== "application/merge-patch+json") return failure(400, 10021);
    for (const [name, binding] of Object.entries(patch.secrets)) {
      if (binding) this.bindings.set(name, binding.text);
      else this.bindings.delete(name);
    }
    this.deployments += 1;
    return success({});
  }

  #write(text: string): Response {
    const pairs = bulkPairs.safeParse(jsonOf(text)).data;
    if (!pairs) return failure(400, 10012);
    const written = pairs.filter(({ key }) => !this.unwritable.has(key));
    for (const { key, value } of written) this.pairs.set(key, value);
    const unsuccessful = pairs.filter((pair) => !written.includes(pair)).map(({ key }) => key);
    return success({ successful_key_count: written.length, unsuccessful_keys: unsuccessful });
  }

  protected unauthorized(): Response {
    return failure(401, 10000);
  }
}

function shown({ id, name, comment, next }: StoredSecret) {
  return {
    id,
    name,
    comment,
    store_id: STORE,
    status: next ? "pending" : "active",
    created: "",
    modified: "",
  };
}

function success(result: unknown): Response {
  return Response.json({ success: true, errors: [], messages: [], result });
}

function failure(status: number, code: number): Response {
  const errors = [{ code, message: "no" }];
  return Response.json({ success: false, errors, messages: [], result: null }, { status });
}
