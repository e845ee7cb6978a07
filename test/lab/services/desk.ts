/**
 * All fakes behind one address, each below its own name, and `/control/{service}` beside them: to begin with an account, to set faults, and to
 * see what was called and what lives. Speaks `Request`-like objects and `Response`, on whichever server.
 */
import { z } from "zod";
import { type Asked, type FakeService, jsonOf, LAB_FAULTS, textOf } from "./fake.ts";
import { type Entry, FAKES, STORES } from "./registry.ts";

/** One service with how it was begun. */
interface Served {
  entry: Entry;
  provider: string;
  fake: FakeService;
}

/** What leads a Rekey to a service here. */
export interface Pointer {
  service: string;
  address: string;
  /** Body of `POST /v1/connections`. */
  connection: Record<string, unknown>;
  /** Body of `POST /v1/keys`, where the service issues keys. */
  key?: Record<string, unknown>;
}

const faultSchema = z.strictObject({
  /** Name of a call as the journal has it, or `*`. */
  call: z.string().min(1),
  fault: z.enum(LAB_FAULTS),
  times: z.int().min(1).max(1_000_000).default(1),
  /** After so many of that name went well. */
  skip: z.int().min(0).max(1_000_000).default(0),
  /** How late an answer is, or its second part. Milliseconds. */
  ms: z.int().min(1).max(600_000).default(1_000),
});

const credentialSchema = z.strictObject({
  label: z.string().default("by hand"),
  byPerson: z.boolean().default(true),
});

export class Desk {
  readonly #origin: string;
  readonly #served: Map<string, Served>;

  /**
   * @param origin where it is reached, without a slash at its end
   * @param described services that the provider `http` is told of; each goes by its fake's own name
   */
  constructor(origin: string, described: readonly Entry[]) {
    this.#origin = origin;
    const known = Object.entries({ ...FAKES, ...STORES }).map(([name, entry]) => serving(name, entry));
    const told = described.map((entry) => serving(entry.make().name, entry));
    const isNew = ([name]: [string, Served]) => !known.some(([other]) => other === name);
    this.#served = new Map([...known, ...told.filter(isNew)]);
  }

  get names(): string[] {
    return [...this.#served.keys()];
  }

  addressOf(service: string): string {
    return `${this.#origin}/${service}`;
  }

  /** Makes an account and a first key at a service, as a person would, and says how a Rekey comes to it. */
  begin(service: string): Pointer | undefined {
    const served = this.#served.get(service);
    if (!served) return undefined;
    const { entry, provider, fake } = served;
    const { connection, key } = entry.begin(fake);
    const address = this.addressOf(service);
    // A description has the service's address in each of its requests.
    const config = {
      ...(JSON.parse(JSON.stringify(connection?.config ?? {}).replaceAll(fake.origin, address)) as object),
      ...(entry.pointAt?.(address) ?? { baseUrl: address }),
    };
    const { credential } = connection ?? {};
    return {
      service,
      address,
      connection: { name: service, provider, config, ...(credential && { credential }) },
      ...(!(service in STORES) && { key: { name: `${service}-key`, provider, connection: service, ...key } }),
    };
  }

  /** Serves one request to any of them. */
  async handle(request: Asked): Promise<Response> {
    const { pathname } = new URL(request.url);
    const [, first = "", second = "", what] = pathname.split("/");
    if (first === "control") return this.#control(request, second, what);
    const fake = this.#served.get(first)?.fake;
    return fake ? fake.answer(request, this.addressOf(first)) : new Response(null, { status: 404 });
  }

  async #control(request: Asked, service: string, what: string | undefined): Promise<Response> {
    const served = this.#served.get(service);
    if (service === "" && request.method === "GET")
      return Response.json({ services: this.names, faults: LAB_FAULTS });
    if (!served) return problem(404, `there is no service ${service}`);
    const { fake } = served;
    switch (`${request.method} ${what ?? ""}`) {
      case "GET ":
        return Response.json(stateOf(fake));
      case "DELETE ":
        served.fake = served.entry.make();
        return Response.json(stateOf(served.fake));
      case "POST begin":
        return Response.json(this.begin(service));
      case "POST faults": {
        const fault = faultSchema.safeParse(jsonOf(await textOf(request)));
        if (!fault.success) return problem(422, z.prettifyError(fault.error));
        const { call, fault: kind, times, skip, ms } = fault.data;
        fake.fail(call, kind, times, skip, ms);
        return Response.json(fault.data);
      }
      case "POST credentials": {
        const wanted = credentialSchema.safeParse(jsonOf((await textOf(request)) || "{}"));
        if (!wanted.success) return problem(422, z.prettifyError(wanted.error));
        const { label, byPerson } = wanted.data;
        return Response.json(fake.make(label, { byPerson }));
      }
      default:
        return problem(404, "control knows no such thing");
    }
  }
}

function serving(name: string, entry: Entry): [string, Served] {
  return [name, { entry, provider: entry.provider ?? name, fake: entry.make() }];
}

/** What was called, and what lives. These are fakes of secrets: nothing that is worth hiding. */
function stateOf(fake: FakeService) {
  const { journal, broken, credentials } = fake;
  const isLive = (one: (typeof credentials)[number]) => fake.isLive(one);
  const shown = credentials.map(({ secret, reference, label, byPerson, ...times }) => ({
    reference,
    label,
    secret,
    byPerson,
    live: isLive({ secret, reference, label, byPerson, ...times }),
  }));
  return { journal, broken, credentials: shown };
}

function problem(status: number, detail: string): Response {
  return Response.json({ detail }, { status });
}
