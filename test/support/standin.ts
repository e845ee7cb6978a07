/**
 * A service outside that stands in for any other, and the provider for it: an account that a credential opens, keys that it makes, tests
 * and revokes. Import this before anything of Rekey's API, which takes the names of providers when it is first evaluated.
 */
import { HttpResponse, http } from "msw";
import { z } from "zod";
import {
  callApi,
  readyBy,
  revokedBy,
  testedBy,
  unminted,
  VALUE_UNKNOWN,
} from "../../src/providers/http-client.ts";
import type { Provider, ProviderContext } from "../../src/providers/provider.ts";
import { PROVIDER_NAMES, PROVIDERS } from "../../src/providers/registry.ts";
import { network } from "./network.ts";

const USUAL_URL = "https://api.standin.acme.dev";

const settings = z.strictObject({ baseUrl: z.url().default(USUAL_URL), region: z.string().default("eu") });
const credential = z.strictObject({ secret: z.string().min(8), tenant: z.string().optional() });

function ask(context: ProviderContext, method: "GET" | "POST" | "DELETE", path: string, secret?: string) {
  const { config = {}, credential: admin } = context.connection ?? {};
  const { baseUrl } = settings.parse(config);
  const authorization = `Bearer ${secret ?? admin?.secret}`;
  const schema = z.object({ account: z.string().optional(), secret: z.string().optional() });
  return callApi(context, { method, url: `${baseUrl}${path}`, headers: { authorization } }, { schema });
}

const standin: Provider = {
  name: "standin",
  title: "The stand-in",
  overlap: "ours",
  local: false,
  timeoutMs: 15_000,
  propagationMs: 0,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: false,
    credential: credential as unknown as z.ZodType<Record<string, string>>,
    config: settings,
    addresses: (config) => [settings.parse(config).baseUrl],
  },
  config: z.strictObject({ plan: z.string().default("free") }),
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",

  async preflight(context) {
    const answer = await ask(context, "GET", "/account");
    return readyBy(answer, answer.kind === "ok" ? answer.value.account : undefined);
  },
  async mint(context, { marker }) {
    const answer = await ask(context, "POST", "/keys");
    if (answer.kind !== "ok") return unminted(answer);
    return { kind: "minted", fields: { secret: answer.value.secret ?? "" }, reference: marker };
  },
  async test(context, { fields }) {
    return fields ? testedBy(await ask(context, "GET", "/account", fields.secret)) : VALUE_UNKNOWN;
  },
  async revoke(context, { reference }) {
    return revokedBy(await ask(context, "DELETE", `/keys/${reference}`));
  },
};

const providers: Record<string, Provider> = PROVIDERS;
const names: string[] = PROVIDER_NAMES;
names.push(standin.name);
providers[standin.name] = standin;

/** The service: whoever shows one of `admits` is let in. */
export class Standin {
  /** `GET /account opened-by-this`, in order. */
  readonly journal: string[] = [];
  readonly admits: Set<string>;
  /** What it answers to everybody instead. */
  answers: (() => Response | Promise<Response>) | undefined;

  constructor(admits: readonly string[] = [], url = USUAL_URL, account: string | null = "acme") {
    this.admits = new Set(admits);
    network.use(
      http.all(`${url}/*`, ({ request }) => {
        const { pathname } = new URL(request.url);
        const shown = (request.headers.get("authorization") ?? "").replace("Bearer ", "");
        this.journal.push(`${request.method} ${pathname} ${shown}`);
        if (this.answers) return this.answers();
        if (!this.admits.has(shown)) return HttpResponse.json({ error: shown }, { status: 401 });
        if (request.method === "POST") {
          const secret = `standin-made-this-${this.journal.length}`;
          this.admits.add(secret);
          return HttpResponse.json({ secret });
        }
        return HttpResponse.json(account === null ? {} : { account });
      }),
    );
  }
}
