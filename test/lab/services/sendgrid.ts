/**
 * SendGrid's API keys. An account has at most 100; a key that is asked for without scopes may do everything; a revoked key is accepted for
 * a moment more.
 */
import { z } from "zod";
import { type FakeCredential, FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

const bodySchema = z.strictObject({ name: z.string().min(1), scopes: z.array(z.string()).optional() });

/** What every key has by itself. */
const GIVEN = ["2fa_required", "sender_verification_eligible"];

const MAX_KEYS = 100;
const FORGOTTEN_AFTER_MS = 5_000;

export class FakeSendgrid extends FakeService {
  readonly name = "sendgrid";
  readonly origin: string;
  readonly admin = "SG.admin-of-the-account.may-make-and-delete-keys";
  readonly scopes = new Map<string, string[]>();

  /** @param host the EU has one of its own */
  constructor(host = "api.sendgrid.com") {
    super();
    this.origin = `https://${host}/v3`;
  }

  makeKey(name: string, scopes = ["mail.send"], byPerson = false): FakeCredential {
    const made = this.make(name, { byPerson });
    this.scopes.set(made.reference, [...scopes, ...GIVEN]);
    return made;
  }

  /** A revoked key is let in for a moment more. */
  override holderOf(secret: string | null | undefined): FakeCredential | undefined {
    return this.credentials.find(
      (one) => one.secret === secret && Date.now() < one.endsAt + FORGOTTEN_AFTER_MS,
    );
  }

  protected route({ method, path, headers, text }: Incoming): Route | undefined {
    const bearer = headers.get("authorization")?.replace(/^Bearer /, "");
    const managed = (name: string, effect: () => Response): Route => ({
      name,
      effect: () => (bearer === this.admin ? effect() : this.unauthorized()),
    });
    switch (`${method} ${path}`) {
      case "GET /scopes": {
        const holder = this.holderOf(bearer);
        const answer = () => Response.json({ scopes: this.scopes.get(holder?.reference ?? "") ?? [] });
        return { name: "test", effect: () => (holder ? answer() : this.unauthorized()) };
      }
      case "GET /api_keys":
        return managed("list", () => Response.json({ result: this.#all().map((one) => this.#view(one)) }));
      case "POST /api_keys":
        return managed("mint", () => this.#create(text));
    }
    const [, collection, id, more] = path.split("/");
    if (collection !== "api_keys" || !id || more !== undefined) return undefined;
    const one = this.#all().find(({ reference }) => reference === id);
    if (method === "GET") {
      return managed("show", () => {
        const view = one && { ...this.#view(one), scopes: this.scopes.get(id) };
        return view ? Response.json({ result: [view] }) : this.#failed(404, "unable to find API Key");
      });
    }
    if (method !== "DELETE") return undefined;
    return managed("revoke", () => {
      if (!one) return this.#failed(404, "unable to find API Key");
      this.end(one);
      return new Response(null, { status: 204 });
    });
  }

  #all(): FakeCredential[] {
    return this.credentials.filter((one) => this.isLive(one));
  }

  #view({ reference, label }: FakeCredential) {
    return { name: label, api_key_id: reference };
  }

  #create(text: string): Response {
    const { success, data } = bodySchema.safeParse(jsonOf(text));
    if (!success) return this.#failed(400, "bad body");
    if (this.#all().length >= MAX_KEYS) return this.#failed(403, "maximum number of API keys reached");
    const { name, scopes = [] } = data;
    const isFull = scopes.filter((scope) => !GIVEN.includes(scope)).length === 0;
    if (isFull) this.broken.push(`${name} was asked for without scopes, so it may do everything`);
    const made = this.makeKey(name, isFull ? ["everything"] : scopes);
    const body = { ...this.#view(made), api_key: made.secret, scopes: this.scopes.get(made.reference) };
    return Response.json(body, { status: 201 });
  }

  #failed(status: number, message: string): Response {
    return Response.json({ errors: [{ field: null, message }] }, { status });
  }

  protected override newSecret(count: number): string {
    return `SG.${super.newSecret(count)}`;
  }

  protected unauthorized(): Response {
    return this.#failed(401, "The provided authorization grant is invalid, expired, or revoked");
  }
}
