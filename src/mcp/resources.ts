/** What agents may read: a key as it stands, a rotation and what happened in it, the guide to policies. Read only, each by the caller's scopes. */
import {
  type McpServer,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  ResourceTemplate,
} from "@modelcontextprotocol/server";
import { Problem } from "../api/problem.ts";
import { CATALOGUE } from "../errors/catalogue.ts";
import { POLICY_GUIDE } from "./guide.ts";
import type { Visitor } from "./tool.ts";
import { keyDetail, rotationView } from "./views.ts";

const KEYS = "rekey://keys/{key}";
const JSON_TYPE = "application/json";
/** So many keys are listed; an agent finds others by list_api_keys. */
const MAX_LISTED = 50;
const MAX_EVENTS = 100;

/** @param report keeps the name of a bug and answers by what it is found */
export function addResources(
  server: McpServer,
  scopes: readonly string[],
  visitor: Visitor,
  report: (error: unknown) => string,
): void {
  const guide = {
    title: "How a key rotates",
    description: "What a policy says, what becomes of old values at each kind of service, who may do what.",
    mimeType: "text/markdown",
    cacheHint: { ttlMs: 3_600_000, cacheScope: "public" },
  } as const;
  server.registerResource("policy-guide", "rekey://guides/policy", guide, (uri) => ({
    contents: [{ uri: uri.href, mimeType: guide.mimeType, text: POLICY_GUIDE }],
  }));
  if (!scopes.includes("keys:read")) return;

  const orFail = async <T>(uri: string, load: () => Promise<T>): Promise<T> => {
    try {
      return await load();
    } catch (error) {
      throw asProtocolError(error, uri, report);
    }
  };
  const read = ({ href: uri }: URL, load: () => Promise<unknown>) =>
    orFail(uri, async () => ({
      contents: [{ uri, mimeType: JSON_TYPE, text: JSON.stringify(await load()) }],
    }));
  server.registerResource(
    "key",
    new ResourceTemplate(KEYS, { list: () => orFail(KEYS, () => listKeys(visitor)) }),
    {
      title: "A key as it stands",
      description: "State, policy, versions and deadlines; never a value.",
      mimeType: JSON_TYPE,
    },
    (uri, { key }) =>
      read(uri, async () =>
        keyDetail.parse(await visitor.ask((keyring, call) => keyring.getKey(call, textOf(key)))),
      ),
  );
  server.registerResource(
    "rotation",
    new ResourceTemplate("rekey://rotations/{rotation}", { list: undefined }),
    {
      title: "A rotation's timeline",
      description: "How it stands, its deliveries and, with events:read, what happened in it, oldest first.",
      mimeType: JSON_TYPE,
    },
    (uri, { rotation }) => read(uri, () => readTimeline(visitor, textOf(rotation))),
  );
}

async function listKeys(visitor: Visitor) {
  const { items } = await visitor.ask((keyring, call) =>
    keyring.listKeys(call, {}, { limit: MAX_LISTED, cursor: undefined }),
  );
  return {
    resources: items.map(({ id, name, provider, state }) => ({
      uri: `rekey://keys/${id}`,
      name,
      title: `${name} (${provider}, ${state})`,
    })),
  };
}

async function readTimeline(visitor: Visitor, id: string): Promise<unknown> {
  const rotation = await visitor.ask((keyring, call) => keyring.getRotation(call, id));
  if (!visitor.self.scopes.includes("events:read")) return rotationView.parse(rotation);
  const { items } = await visitor.ask((keyring, call) =>
    keyring.listEvents(call, { key: rotation.key }, { limit: MAX_EVENTS, cursor: undefined }),
  );
  const events = items
    .filter(({ data }) => data.rotationId === id)
    .map(({ type, at, actor, data }) => ({ at, type, actor, data }))
    .toReversed();
  return { ...rotationView.parse(rotation), events };
}

/** A variable of a URI, as it was meant. */
function textOf(value: string | string[] | undefined): string {
  const text = Array.isArray(value) ? value.join(",") : (value ?? "");
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What cannot be read, in the protocol's own words. */
function asProtocolError(error: unknown, uri: string, report: (error: unknown) => string): ProtocolError {
  if (!(error instanceof Problem))
    return new ProtocolError(ProtocolErrorCode.InternalError, `Internal error, instance ${report(error)}`);
  const { code, detail } = error.failure;
  if (code === "not-found") return new ResourceNotFoundError(uri);
  const { title, remedy } = CATALOGUE[code];
  return new ProtocolError(
    ProtocolErrorCode.InvalidParams,
    [title, detail, remedy].filter(Boolean).join(". "),
    {
      code,
    },
  );
}
