/** A caller of the API, and a fresh keyring for each test: storage is shared between the tests of one file. */
import { exports } from "cloudflare:workers";

export const ROOT = "root-token-for-tests-only";

export interface Answer<Body> {
  status: number;
  body: Body;
  headers: Headers;
}

export interface RequestOptions {
  body?: unknown;
  /** Sent as it is, instead of `body`. */
  rawBody?: string;
  headers?: Record<string, string>;
}

/** Sends one request to the Worker, with a credential. `null` sends none. */
export async function request<Body = Record<string, unknown>>(
  token: string | null,
  method: string,
  path: string,
  { body, rawBody, headers }: RequestOptions = {},
): Promise<Answer<Body>> {
  const text = rawBody ?? (body === undefined ? undefined : JSON.stringify(body));
  const response = await exports.default.fetch(`https://rekey.test${path}`, {
    method,
    headers: {
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...(text !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(text !== undefined && { body: text }),
  });
  const answered = await response.text();
  return {
    status: response.status,
    body: (answered === "" ? null : isText(response) ? answered : JSON.parse(answered)) as Body,
    headers: response.headers,
  };
}

/** One JSON text a line, metrics, or Markdown: no JSON text as a whole. */
function isText(response: Response): boolean {
  const type = response.headers.get("content-type") ?? "";
  return /^(application\/x-ndjson|application\/openmetrics-text|text\/markdown)/.test(type);
}

export interface TestKeyring {
  name: string;
  code: string;
  /** As root. */
  call<Body = Record<string, unknown>>(
    method: string,
    path: string,
    options?: RequestOptions,
  ): Promise<Answer<Body>>;
}

let count = 0;

/** Makes a keyring of its own for one test. */
export async function makeKeyring(): Promise<TestKeyring> {
  count += 1;
  const name = `ring-${count}-${crypto.randomUUID().slice(0, 8)}`;
  const made = await request<{ code: string }>(ROOT, "POST", "/v1/keyrings", { body: { name } });
  return {
    name,
    code: made.body.code,
    call: (method, path, options = {}) =>
      request(ROOT, method, path, { ...options, headers: { "rekey-keyring": name, ...options.headers } }),
  };
}
