/** One provider at the fake of its service, call by call. */
import { createOutbound } from "../../src/outbound/port.ts";
import type { Credential, Provider, ProviderContext } from "../../src/providers/provider.ts";
import { providerOf } from "../../src/providers/registry.ts";
import { configuredBy } from "../../src/rotation/configured.ts";
import type { FakeService } from "../lab/services/fake.ts";
import type { Entry } from "../lab/services/registry.ts";
import { type Bench, benchOf, INTENT, mintedOf } from "../support/bench.ts";
import { pass } from "../support/clock.ts";

/** A key there, as a keyring would call its service. */
export class Booth {
  readonly provider: Provider;
  readonly fake: FakeService;
  readonly #bench: Bench;
  readonly #given: Partial<ProviderContext>;
  readonly #results: unknown[];
  /** What a person handed in, where the key begins with that. */
  readonly first: Credential | undefined;

  constructor(name: string, entry: Entry, results: unknown[]) {
    const base = providerOf(entry.provider ?? name);
    this.fake = entry.make();
    const { connection, key } = entry.begin(this.fake);
    const config = base.connection?.config.parse(connection?.config ?? {}) ?? {};
    this.provider = configuredBy(base, config);
    this.first =
      key.fields === undefined
        ? undefined
        : { fields: { secret: "", ...key.fields }, reference: key.reference ?? "" };
    this.#given = {
      config: base.config?.parse(key.config ?? {}) ?? key.config ?? {},
      connection: base.connection && { config, credential: connection?.credential ?? {} },
      old: this.first,
    };
    this.#bench = benchOf(this.fake, this.#given);
    this.#results = results;
  }

  context(more: Partial<ProviderContext> = {}): ProviderContext {
    return this.#bench.context({ now: Date.now(), ...more });
  }

  /** The same with a credential that opens nothing: of the account, or where there is none the key's own. */
  badly(): ProviderContext {
    const { connection } = this.#given;
    const credential = Object.fromEntries(
      Object.keys(connection?.credential ?? {}).map((field) => [field, "a-value-that-opens-nothing"]),
    );
    const old = this.first && {
      ...this.first,
      fields: { ...this.first.fields, secret: "a-value-that-opens-nothing" },
    };
    return this.context({ connection: connection && { ...connection, credential }, old });
  }

  /** A network that never answers. */
  unanswered(): ProviderContext {
    const transport = {
      send: async () => ({ code: "timeout" }),
      readValue: async () => ({ code: "timeout" }),
      writeValue: async () => ({ code: "timeout" }),
    };
    return this.context({
      outbound: createOutbound({ allowlist: undefined, transport, now: () => Date.now() }),
    });
  }

  /** How long the calls so far were waited for, and forgets them. Milliseconds. */
  takeWaits(): number[] {
    return this.#bench.waits.splice(0);
  }

  /** Keeps what a method answered, for a look at all answers in the end. */
  async seen<Result>(result: Promise<Result>): Promise<Result> {
    const found = await result;
    if (found !== undefined) this.#results.push(found);
    return found;
  }

  async mint(marker = "rekey-rot_00-1"): Promise<Credential> {
    const intent = { ...INTENT, marker, idempotencyKey: crypto.randomUUID() };
    const { fields, reference } = mintedOf(await this.provider.mint(this.context(), intent));
    await this.settle();
    return { fields, reference };
  }

  /** Whatever the service takes its time for has come to be. */
  async settle(): Promise<void> {
    pass(`${this.provider.propagationMs / 1_000 + 1}s`);
  }

  /** Of which name the last call was that a method makes. */
  async callOf(run: () => Promise<unknown> | undefined): Promise<string> {
    this.fake.journal.length = 0;
    await run();
    return this.fake.journal.at(-1)?.split(" ")[0] ?? "none";
  }

  /** Everything that is a secret there. */
  get secrets(): string[] {
    const { connection } = this.#given;
    return [
      ...this.fake.credentials.map(({ secret }) => secret),
      ...Object.values(connection?.credential ?? {}),
      ...Object.values(this.first?.fields ?? {}),
    ].filter((one) => one.length > 8);
  }
}
