/**
 * LLM Conveyors: platform keys, listed by hash, made by an admin's key, of which each answer tells the value once. The service's own
 * client works against it, which test/local/llmconveyors.test.ts shows.
 */
import { z } from "zod";
import { type FakeCredential, FakeService, type Incoming, jsonOf, type Route } from "./fake.ts";

const HOUR_MS = 3_600_000;
const PATH = "/settings/platform-api-keys";
const ADMIN_SCOPES = ["settings:read", "settings:write"];

interface Details {
  scopes: string[];
  expiresAt: string | null;
  monthlyCreditsLimit: number | null;
  lastUsedAt: string | null;
  isRotated: boolean;
}

const createSchema = z.strictObject({
  label: z.string().min(1),
  scopes: z.array(z.string()).optional(),
  expiresAt: z.iso.datetime().optional(),
  monthlyCreditsLimit: z.number().positive().optional(),
});
const rotateSchema = z.strictObject({ gracePeriodHours: z.number().min(0).optional() });

export class FakeLlmConveyors extends FakeService {
  readonly name = "llmconveyors";
  readonly origin = "https://api.llmconveyors.com/api/v1";
  /** Answers come in an envelope. */
  wraps = false;
  /** Keys that are dead leave the list, instead of staying as inactive. */
  forgetsDead = false;
  /** Hours of grace that were asked for, in order. */
  readonly graces: (number | undefined)[] = [];
  readonly #details = new Map<FakeCredential, Details>();

  /** A key with scopes. */
  makeKey(label: string, { byPerson = false, ...details }: Partial<Details> & { byPerson?: boolean } = {}) {
    const made = this.make(label, { byPerson });
    this.#details.set(made, {
      scopes: ["jobs:write", "jobs:read"],
      expiresAt: null,
      monthlyCreditsLimit: null,
      lastUsedAt: null,
      isRotated: false,
      ...details,
    });
    return made;
  }

  /** One that may make and end others. */
  makeAdmin(): FakeCredential {
    return this.makeKey("admin", { byPerson: true, scopes: ADMIN_SCOPES });
  }

  detailsOf(one: FakeCredential): Details {
    const details = this.#details.get(one);
    if (!details) throw new Error(`${one.reference} has no details`);
    return details;
  }

  protected route({ method, path, headers, text }: Incoming): Route | undefined {
    const asker = this.holderOf(headers.get("x-api-key"));
    const [, hash = "", action] = path.startsWith(`${PATH}/`) ? path.slice(PATH.length).split("/") : [];
    const asAdmin = (scope: string, effect: () => Response) => () => {
      if (!asker) return this.unauthorized();
      this.detailsOf(asker).lastUsedAt = new Date().toISOString();
      return this.detailsOf(asker).scopes.includes(scope)
        ? effect()
        : this.problem("INSUFFICIENT_SCOPE", 403);
    };
    if (method === "GET" && path === PATH) {
      const isAdmin = asker !== undefined && this.detailsOf(asker).scopes.includes("settings:read");
      return { name: isAdmin ? "list" : "test", effect: asAdmin("settings:read", () => this.#list()) };
    }
    if (method === "POST" && path === PATH)
      return { name: "create", effect: asAdmin("settings:write", () => this.#create(text)) };
    if (method === "POST" && action === "rotate")
      return { name: "mint", effect: asAdmin("settings:write", () => this.#rotate(hash, text)) };
    if (method === "DELETE" && hash !== "" && action === undefined)
      return { name: "revoke", effect: asAdmin("settings:write", () => this.#revoke(hash)) };
    return undefined;
  }

  #list(): Response {
    const shown = this.credentials.filter((one) => !this.forgetsDead || this.isLive(one));
    return this.#answer(
      shown.map((one) => {
        const { isRotated: _, ...details } = this.detailsOf(one);
        return {
          ...this.#describe(one),
          ...details,
          keyHash: one.reference,
          isActive: this.isLive(one),
          currentMonthUsage: { creditsUsed: 0, requestCount: 0 },
        };
      }),
    );
  }

  #create(text: string): Response {
    const { success, data } = createSchema.safeParse(jsonOf(text));
    if (!success) return this.problem("VALIDATION_ERROR", 400);
    const { label, scopes = ["jobs:read"], expiresAt = null, monthlyCreditsLimit = null } = data;
    return this.#tell(this.makeKey(label, { scopes, expiresAt, monthlyCreditsLimit }));
  }

  #rotate(hash: string, text: string): Response {
    const old = this.byReference(hash);
    const { success, data } = rotateSchema.safeParse(text === "" ? {} : jsonOf(text));
    if (!old || !this.isLive(old)) return this.problem("NOT_FOUND", 404);
    if (!success) return this.problem("VALIDATION_ERROR", 400);
    const details = this.detailsOf(old);
    if (details.isRotated) return this.problem("CONFLICT", 409);
    details.isRotated = true;
    this.graces.push(data.gracePeriodHours);
    this.end(old, Date.now() + (data.gracePeriodHours ?? 24) * HOUR_MS);
    return this.#tell(this.makeKey(old.label, { ...details, lastUsedAt: null, isRotated: false }));
  }

  #revoke(hash: string): Response {
    const one = this.byReference(hash);
    if (!one) return this.problem("NOT_FOUND", 404);
    this.end(one);
    return this.wraps ? this.#answer({ success: true }) : Response.json({ success: true });
  }

  /** The only time that a value is shown. */
  #tell(one: FakeCredential): Response {
    const { expiresAt, monthlyCreditsLimit } = this.detailsOf(one);
    return this.#answer({ ...this.#describe(one), fullKey: one.secret, expiresAt, monthlyCreditsLimit });
  }

  #describe(one: FakeCredential) {
    return {
      keyPrefix: one.secret.slice(0, 13),
      label: one.label,
      scopes: this.detailsOf(one).scopes,
      createdAt: new Date(one.madeAt).toISOString(),
    };
  }

  #answer(data: unknown): Response {
    const timestamp = new Date().toISOString();
    return Response.json(this.wraps ? { success: true, data, requestId: "req_1", timestamp } : data);
  }

  protected problem(code: string, status: number): Response {
    const timestamp = new Date().toISOString();
    const error = { code, message: "no" };
    return Response.json({ success: false, error, requestId: "req_1", timestamp, path: PATH }, { status });
  }

  protected override rateLimited(seconds: number): Response {
    const error = { code: "RATE_LIMITED", message: "slow down", retryAfterMs: seconds * 1_000 };
    return Response.json({ success: false, error }, { status: 429 });
  }

  protected override newSecret(count: number): string {
    return `llmc_${super.newSecret(count).slice(-20)}`;
  }

  protected override newReference(count: number): string {
    return `hash${count}`;
  }

  protected unauthorized(): Response {
    return this.problem("UNAUTHORIZED", 401);
  }
}
