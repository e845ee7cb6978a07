/** One provider against the fake of its service, call by call, without an engine around it. */
import { env } from "cloudflare:workers";
import { http } from "msw";
import { createOutbound } from "../../src/outbound/port.ts";
import { CALL_TIMEOUT_MS, createTransport } from "../../src/outbound/transport.ts";
import type { MintIntent, MintResult, ProviderContext } from "../../src/providers/provider.ts";
import type { FakeService } from "../lab/services/fake.ts";
import { network } from "./network.ts";

/** A request as it went out. */
interface Went {
  method: string;
  url: string;
  headers: Headers;
  text: string;
}

export interface Bench {
  /** Every request, in order. */
  went: Went[];
  /** How long each may take, in the same order. Milliseconds. */
  waits: number[];
  /** What a provider sees. */
  context(more?: Partial<ProviderContext>): ProviderContext;
}

export const INTENT: MintIntent = {
  marker: "rekey-rot_01-1",
  idempotencyKey: "0b0f4a3e-0000-8000-8000-000000000000",
  graceMs: 3_600_000,
  again: false,
};

/** Puts a fake on the network. */
export function benchOf(fake: FakeService, given: Partial<ProviderContext>): Bench {
  const went: Went[] = [];
  const waits: number[] = [];
  for (const address of [fake.origin, ...fake.others]) {
    network.use(
      http.all(`${new URL(address).origin}/*`, async ({ request }) => {
        const { method, url, headers } = request;
        const text = new TextDecoder().decode(await request.clone().arrayBuffer());
        went.push({ method, url, headers, text });
        return fake.answer(request);
      }),
    );
  }
  const now = Date.now();
  const transport = createTransport(env.KEYS);
  const outbound = createOutbound({
    allowlist: undefined,
    transport: {
      ...transport,
      send(request) {
        waits.push(request.timeoutMs ?? CALL_TIMEOUT_MS);
        return transport.send(request);
      },
    },
    now: () => now,
  });
  const context = (more: Partial<ProviderContext> = {}): ProviderContext => ({
    name: "billing",
    prefix: "",
    config: {},
    issuer: { issue: noIssuer, accepts: noIssuer },
    connection: undefined,
    outbound,
    spend: () => 0,
    now,
    old: undefined,
    ...given,
    ...more,
  });
  return { went, waits, context };
}

function noIssuer(): never {
  throw new Error("a service outside needs no issuer");
}

/** What was minted. */
export function mintedOf(result: MintResult): Extract<MintResult, { kind: "minted" }> {
  if (result.kind !== "minted") throw new Error(`${result.kind}: ${result.problem}`);
  return result;
}
