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
import { keyringOf } from "../keyring/stub.ts";
import { Gate } from "../outbound/gate.ts";
import { SIGNAL_SOURCES, type SignalSource } from "../store/signals.ts";
import { gitguardian } from "./gitguardian.ts";
import { githubAlert } from "./github-alert.ts";
import { findGithubKey } from "./github-keys.ts";
import { type FoundToken, feedbackOf, isSignedByKey, readBatch } from "./github-partner.ts";
import { takeReportOf } from "./limits.ts";
import { secretsOf } from "./secrets.ts";
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
    const incoming = await receive(c, "github");
    const tokens = await readPartner(c, incoming);
    return c.json(feedbackOf(tokens, await reportToAll(c, tokens, incoming)), 200);
  });

  app.post("/hooks/:code/:source{github|gitguardian|standard}", async (c) => {
    const { code, source } = c.req.param();
    const incoming = await receive(c, source);
    if (!isSource(source)) throw new Problem({ code: "route-unknown" });
    // An unknown keyring is answered like a wrong signature, and is not opened.
    const found = await findByCode(c.env, code);
    if (!found.ok) throw new Problem(found.error.code === "rate-limited" ? found.error : INVALID);
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

async function receive(c: AppContext, source: string): Promise<Incoming> {
  const now = Date.now();
  const address = c.req.header("cf-connecting-ip") ?? "";
  const waitSeconds = takeReportOf(address, source, now);
  if (waitSeconds > 0) throw new Problem({ code: "rate-limited", retryAfterSeconds: waitSeconds });
  return { headers: c.req.raw.headers, body: new Uint8Array(await c.req.arrayBuffer()), now };
}

/** The tokens of a report that GitHub signed. */
async function readPartner(c: AppContext, { headers, body }: Incoming): Promise<FoundToken[]> {
  const identifier = headers.get("github-public-key-identifier") ?? "";
  const pem = await findGithubKey(c.env, identifier);
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
  await Promise.all(reports);
  return matched;
}

async function reportSigned(
  c: AppContext,
  code: string,
  source: SignalSource,
  incoming: Incoming,
): Promise<void> {
  const kind = SIGNED[source];
  let keys = await secretsOf(c.env, code, source);
  let isSigned = kind.verify(incoming, keys.secrets);
  if (!isSigned) {
    keys = await secretsOf(c.env, code, source, { isFresh: true });
    isSigned = kind.verify(incoming, keys.secrets);
  }
  if (!isSigned) throw new Problem(INVALID);
  const read = kind.read(incoming);
  const { revision, connectionId } = keys;
  const body = textOf(incoming);
  switch (read.kind) {
    case "unreadable":
      throw new Problem({ code: "invalid", errors: [{ path: read.path, message: read.message }] });
    case "nothing":
      return;
    case "leaks":
      await report(c, code, { source, revision, body, items: read.items });
      return;
    case "alert": {
      const { repository, number } = read;
      const alert = { connectionId, repository, number };
      await report(c, code, { source: "github-alert", revision, body, items: [], alert });
    }
  }
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
