/**
 * /hooks: leak reports from outside. In this order: how often an address may ask, the signature over the raw bytes, then what it says. A
 * match and no match are answered alike, and before anything is done about either; only GitHub is told, as it asks.
 */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { AppContext } from "../api/auth.ts";
import { findByCode, findCodes } from "../api/directory.ts";
import { Problem, unwrap } from "../api/problem.ts";
import { answer, problems } from "../api/schemas.ts";
import { parseToken } from "../issuer/token.ts";
import type { Signal } from "../keyring/methods/compromises.ts";
import type { SignalKeys } from "../keyring/operations/signals.ts";
import { FRESH_MS, KEPT_MS, secretsOf } from "../keyring/signal-cache.ts";
import { keyringOf } from "../keyring/stub.ts";
import { Gate } from "../outbound/gate.ts";
import { SIGNAL_SOURCES, type SignalSource } from "../store/signals.ts";
import { gitguardian } from "./gitguardian.ts";
import { githubAlert } from "./github-alert.ts";
import { findGithubKey, UNKNOWN_YET } from "./github-keys.ts";
import { type FoundToken, feedbackOf, isSignedByKey, readBatch } from "./github-partner.ts";
import { takeReportOf } from "./limits.ts";
import type { Incoming, SignedSource } from "./signal.ts";
import { standard } from "./standard.ts";

/** Reports of one kind, by the source of their secret. */
const SIGNED: Record<SignalSource, SignedSource> = { github: githubAlert, gitguardian, standard };

const feedbackSchema = z
  .array(
    z.object({
      token_hash: z.string(),
      token_type: z.string(),
      label: z.enum(["true_positive", "false_positive"]),
    }),
  )
  .openapi("SecretScanningFeedback");

const acceptedSchema = z.object({ accepted: z.literal(true) }).openapi("SignalAccepted");

const rawBody = {
  required: true,
  content: {
    "application/json": { schema: z.unknown().openapi({ description: "As its sender signs it." }) },
  },
};

const partner = createRoute({
  method: "post",
  path: "/hooks/github",
  operationId: "reportFromGithub",
  summary: "GitHub's secret scanning reports values of any keyring",
  description:
    "The one address that a partner of GitHub's programme registers. The values themselves say whose they are.",
  tags: ["signals"],
  security: [],
  request: { body: rawBody },
  responses: { 200: answer("What each was", feedbackSchema), ...problems },
});

const signed = createRoute({
  method: "post",
  path: "/hooks/{code}/{source}",
  operationId: "reportLeak",
  summary: "A signed report of a leak, for one keyring",
  description:
    "From GitHub (the partner programme, or a repository's webhook `secret_scanning_alert`), GitGuardian, or anything that signs by Standard Webhooks. The answer never says whether something matched, but to GitHub's partner programme.",
  tags: ["signals"],
  security: [],
  request: {
    params: z.object({
      code: z.string().max(64).openapi({ description: "The keyring's code." }),
      source: z.enum(SIGNAL_SOURCES),
    }),
    body: rawBody,
  },
  responses: {
    200: answer("What each was", feedbackSchema),
    202: answer("Believed, and acted on next", acceptedSchema),
    ...problems,
  },
});

const INVALID = { code: "signature-invalid" } as const;
const KEYRINGS_AT_ONCE = 6;

export function addSignals(app: OpenAPIHono<{ Bindings: Env }>): void {
  // What is signed are bytes: no schema may read them first.
  app.openAPIRegistry.registerPath(partner);
  app.openAPIRegistry.registerPath(signed);

  app.post("/hooks/github", async (c) => {
    const incoming = await receive(c, admit(c, "github"));
    const tokens = await readPartner(c, incoming);
    return c.json(feedbackOf(tokens, await reportToAll(c, tokens, incoming)), 200);
  });

  app.post("/hooks/:code/:source{github|gitguardian|standard}", async (c) => {
    const { code, source } = c.req.param();
    if (!isSource(source)) throw new Problem({ code: "route-unknown" });
    const now = admit(c, source);
    // An unknown keyring is answered like a wrong signature, and is not opened; its body is not even read.
    const found = await findByCode(c.env, code);
    if (!found.ok) throw new Problem(found.error.code === "rate-limited" ? found.error : INVALID);
    const incoming = await receive(c, now);
    if (source === "github" && incoming.headers.has("github-public-key-signature")) {
      const tokens = await readPartner(c, incoming);
      const items = tokens.map(itemOf);
      const { matched } = await report(c, code, { source, body: textOf(incoming), items });
      return c.json(feedbackOf(tokens, matched), 200);
    }
    await reportSigned(c, code, source, incoming);
    return c.json({ accepted: true as const }, 202);
  });
}

/** Counts a report of an address. Returns the time, milliseconds since the epoch. */
function admit(c: AppContext, source: string): number {
  const now = Date.now();
  const waitSeconds = takeReportOf(c.req.header("cf-connecting-ip") ?? "", source, now);
  if (waitSeconds > 0) throw new Problem({ code: "rate-limited", retryAfterSeconds: waitSeconds });
  return now;
}

async function receive(c: AppContext, now: number): Promise<Incoming> {
  return { headers: c.req.raw.headers, body: new Uint8Array(await c.req.arrayBuffer()), now };
}

/** The tokens of a report that GitHub signed. */
async function readPartner(c: AppContext, { headers, body }: Incoming): Promise<FoundToken[]> {
  const identifier = headers.get("github-public-key-identifier") ?? "";
  const pem = await findGithubKey(c.env, identifier);
  if (pem === UNKNOWN_YET) throw new Problem({ code: "keys-unknown", retryAfterSeconds: 60 });
  const signature = headers.get("github-public-key-signature") ?? "";
  if (pem === undefined || !isSignedByKey(pem, signature, body)) throw new Problem(INVALID);
  const tokens = readBatch(body);
  if (tokens) return tokens;
  const message = "must be a list of { token, type, url, source } as GitHub sends it";
  throw new Problem({ code: "invalid", errors: [{ path: "", message }] });
}

/** Sends each token to the keyring that it names. Returns which of them are, or were, somebody's. */
async function reportToAll(
  c: AppContext,
  tokens: readonly FoundToken[],
  incoming: Incoming,
): Promise<boolean[]> {
  const codes = tokens.map(({ token }) => {
    const parsed = parseToken(token);
    return parsed.kind === "token" ? parsed.code : undefined;
  });
  const keyrings = await findCodes(c.env, [...new Set(codes.flatMap((code) => code ?? []))]);
  const matched = tokens.map(() => false);
  const gate = new Gate(KEYRINGS_AT_ONCE);
  const body = textOf(incoming);
  const reports = [...keyrings.keys()].map((code) =>
    gate.run(async () => {
      const places = codes.flatMap((one, index) => (one === code ? [index] : []));
      const items = places.flatMap((index) => tokens[index] ?? []).map(itemOf);
      const told = await report(c, code, { source: "github", body, items });
      for (const [nth, index] of places.entries()) matched[index] = told.matched[nth] ?? false;
    }),
  );
  // Each is served whatever becomes of the others; what was taken in is known when the report comes again.
  const ended = await Promise.allSettled(reports);
  if (ended.some(({ status }) => status === "rejected")) throw new Problem({ code: "report-incomplete" });
  return matched;
}

/** The secrets are those that the Worker has kept; then fresh ones; then, if the keyring has others by now, its present ones. */
async function reportSigned(
  c: AppContext,
  code: string,
  source: SignalSource,
  incoming: Incoming,
): Promise<void> {
  const kind = SIGNED[source];
  const isSigned = ({ secrets }: SignalKeys) => kind.verify(incoming, secrets);
  let keys = await secretsOf(c.env, code, source, KEPT_MS);
  if (!isSigned(keys)) keys = await secretsOf(c.env, code, source, FRESH_MS);
  if (!isSigned(keys)) throw new Problem(INVALID);
  const read = kind.read(incoming);
  if (read.kind === "unreadable")
    throw new Problem({ code: "invalid", errors: [{ path: read.path, message: read.message }] });
  if (read.kind === "nothing") return;
  const send = ({ revision, connectionId }: SignalKeys) =>
    keyringOf(c.env, code).acceptSignal({
      revision,
      body: textOf(incoming),
      ...(read.kind === "alert"
        ? {
            source: "github-alert",
            items: [],
            alert: { connectionId, repository: read.repository, number: read.number },
          }
        : { source, items: read.items, ...(read.reports !== undefined && { reports: read.reports }) }),
    });
  const taken = await send(keys);
  if (taken.ok || taken.error.code !== INVALID.code) {
    unwrap(taken);
    return;
  }
  const present = await secretsOf(c.env, code, source, 0);
  if (!isSigned(present)) throw new Problem(INVALID);
  unwrap(await send(present));
}

async function report(c: AppContext, code: string, signal: Signal): Promise<{ matched: boolean[] }> {
  return unwrap(await keyringOf(c.env, code).acceptSignal(signal));
}

function itemOf({ token, url, source }: FoundToken): Signal["items"][number] {
  return { leaked: { secret: token }, source: source ?? undefined, url: url ?? undefined };
}

function textOf({ body }: Incoming): string {
  return Buffer.from(body).toString("latin1");
}

function isSource(text: string): text is SignalSource {
  return (SIGNAL_SOURCES as readonly string[]).includes(text);
}
