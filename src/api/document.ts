/**
 * The contract at /openapi.json. What its operations have in common is said here, once: their ids, the problems that each may
 * answer, what the tags are.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { CATALOGUE } from "../errors/catalogue.ts";
import { DEFAULT_KEYRING } from "./auth.ts";

type Document = ReturnType<OpenAPIHono["getOpenAPI31Document"]>;

const METHODS = ["get", "post", "put", "patch", "delete"] as const;
type Method = (typeof METHODS)[number];

/** Each tag that a route has stands here. */
const TAGS: Record<string, string> = {
  keyrings: "What belongs to one team or tenant. Root only.",
  keys: "Named credentials that are kept young.",
  versions: "The values of a key, on their way out.",
  rotations: "Attempts to replace a key's value, and the deliveries they made.",
  batches: "Rotations of many keys at once.",
  deliveries: "One version on its way to one destination.",
  claims: "Values that are fetched once, instead of sent.",
  connections: "Accounts at the services outside, and what opens them.",
  destinations: "Places that hold the current value of a key.",
  compromises: "What leaked, what was done about it, and how long that took.",
  signals: "Reports of leaks from outside, each signed.",
  policies: "When and how keys rotate, for several keys at once.",
  settings: "What holds for the keyring as a whole, the kill switch included.",
  verify: "Is this value good, and for what.",
  events: "The history: append-only, hash-chained.",
  subscriptions: "Who is told of events.",
  status: "How a keyring is: at a glance, and in numbers.",
};

/** Why a request is not served, by status. A component each: every operation refers to those that it may answer. */
const PROBLEMS = {
  400: { name: "MalformedJson", description: "The body is not JSON." },
  401: { name: "Unauthorized", description: "There is no credential, or one that opens nothing." },
  403: { name: "Forbidden", description: "The credential may not do this; `scope` names what it lacks." },
  404: { name: "NotFound", description: "What the request names does not exist in this keyring." },
  409: { name: "Conflict", description: "Something stands in the way; with `retryAt` it passes by itself." },
  413: { name: "BodyTooLarge", description: "The body is too large." },
  422: { name: "Invalid", description: "The request is not as documented; `errors` names every field." },
  429: { name: "TooManyRequests", description: "Too many requests; `Retry-After` says how long to wait." },
} as const;
type ProblemStatus = keyof typeof PROBLEMS;

const KEYRING_HEADER = {
  name: "Rekey-Keyring",
  in: "header",
  required: false,
  description:
    "With ROOT_TOKEN: name of the keyring that is meant. An access key names its own, whatever stands here.",
  schema: { type: "string", default: DEFAULT_KEYRING },
} as const;
const KEYRING_HEADER_REF = { $ref: "#/components/parameters/RekeyKeyring" };

/** The whole document of an application. A route that states an `operationId` of its own keeps it. */
export function describeApp(app: OpenAPIHono<{ Bindings: Env }>): Document {
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Rekey",
      version: "0.1.0",
      description: "Keeps API keys young: rotates, delivers, retires and verifies them.",
      license: { name: "MIT", url: "https://opensource.org/license/mit" },
    },
    servers: [{ url: "/" }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
  });
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of METHODS) {
      const operation = item[method];
      if (!operation) continue;
      operation.operationId ??= nameOperation(method, path);
      const hasBody = operation.requestBody !== undefined;
      // What asks for no credential says itself all that it answers; what is signed instead may be signed wrongly.
      if (operation.security?.length === 0) {
        if (hasBody) addProblems(operation, SIGNED_STATUSES);
        continue;
      }
      const statuses = findStatuses(method, hasBody, hasBody || (operation.parameters ?? []).length > 0);
      addProblems(operation, statuses);
      // Those that are about keyrings as such name one in their path, if any.
      if (!operation.tags?.includes("keyrings")) {
        operation.parameters = [...(operation.parameters ?? []), KEYRING_HEADER_REF];
      }
    }
  }
  document.components = {
    ...document.components,
    responses: makeResponses(),
    parameters: { RekeyKeyring: KEYRING_HEADER },
  };
  return document;
}

function findStatuses(method: Method, hasBody: boolean, takesInput: boolean): ProblemStatus[] {
  // Root names the keyring in a header: even a list may find nothing there.
  return [
    ...(hasBody ? ([400] as const) : []),
    ...([401, 403, 404] as const),
    ...(method === "get" ? [] : ([409] as const)),
    ...(hasBody ? ([413] as const) : []),
    ...(takesInput ? ([422] as const) : []),
    429,
  ];
}

/** Of a request that a signature stands for. */
const SIGNED_STATUSES: readonly ProblemStatus[] = [401, 404, 413, 422, 429];

function addProblems(operation: { responses?: object }, statuses: readonly ProblemStatus[]): void {
  const referred = Object.fromEntries(statuses.map((status) => [status, referTo(status)]));
  operation.responses = { ...referred, ...operation.responses };
}

function referTo(status: ProblemStatus) {
  return { $ref: `#/components/responses/${PROBLEMS[status].name}` };
}

function makeResponses() {
  const schema = { $ref: "#/components/schemas/Problem" };
  return Object.fromEntries(
    Object.entries(PROBLEMS).map(([status, { name, description }]) => [
      name,
      {
        description: `${description} Codes: ${codesOf(Number(status))}.`,
        ...(Number(status) === 429 && {
          headers: {
            "Retry-After": { description: "Seconds to wait.", schema: { type: "integer" as const } },
          },
        }),
        content: { "application/problem+json": { schema } },
      },
    ]),
  );
}

function codesOf(wanted: number): string {
  return Object.entries(CATALOGUE)
    .filter(([, { status }]) => status === wanted)
    .map(([code]) => `\`${code}\``)
    .join(", ");
}

const COLLECTION_VERBS = { get: "list", post: "create", put: "replace", patch: "update", delete: "delete" };
const ITEM_VERBS = { ...COLLECTION_VERBS, get: "get" };

/**
 * The id of an operation: `listKeys`, `createKey`, `getKey`, `rotateKey`, `extendVersion`, `replayDeliveries`. A word after an id, or
 * after the name of a collection, is what is done with it.
 */
function nameOperation(method: Method, path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== "v1");
  const isParameter = (part: string | undefined) => part?.startsWith("{") === true;
  const last = parts.at(-1);
  const lastParameter = parts.findLastIndex(isParameter);
  if (isParameter(last)) return joinWords(ITEM_VERBS[method], singularOf(parts[lastParameter - 1]));
  if (lastParameter < 0 && parts.length < 2) {
    return joinWords(COLLECTION_VERBS[method], method === "post" ? singularOf(last) : last);
  }
  const owner = lastParameter < 0 ? parts[0] : singularOf(parts[lastParameter - 1]);
  const rest = parts.slice(lastParameter < 0 ? 1 : lastParameter + 1);
  return method === "post"
    ? joinWords(rest.join("-"), owner)
    : joinWords(COLLECTION_VERBS[method], owner, ...rest);
}

function singularOf(word = ""): string {
  return word.replace(/ies$/, "y").replace(/s$/, "");
}

function joinWords(...words: (string | undefined)[]): string {
  return words
    .flatMap((word = "") => word.split(/[^A-Za-z0-9]+/))
    .filter((word) => word !== "")
    .map((word, i) => (i === 0 ? word : `${word.charAt(0).toUpperCase()}${word.slice(1)}`))
    .join("");
}
