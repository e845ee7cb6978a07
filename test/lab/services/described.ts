/** Services as docs/http.md describes them: what stands on the page is what is tried. */
import { requestsOf } from "../../docs/examples.ts";
import { FakeBitscale } from "./bitscale.ts";
import type { FakeService } from "./fake.ts";
import { FakeKeeper } from "./keeper.ts";
import { FakeNeon } from "./neon.ts";
import type { Beginning, Entry } from "./registry.ts";
import { FakeRelay } from "./relay.ts";
import { FakeResend } from "./resend.ts";
import { FakeSpaces } from "./spaces.ts";

interface Body {
  name: string;
  connection?: string;
  credential?: Record<string, string>;
  config?: Record<string, unknown>;
}

/**
 * The services that the provider `http` is tried with, by what they are for a reader.
 * @param page the text of docs/http.md
 */
export function describedFakes(page: string): Record<string, Entry> {
  // Its requests have the address in them: there is no setting for it.
  const shared = { provider: "http", pointAt: () => ({}) };
  return {
    "http, as for Resend": { ...shared, make: () => new FakeResend(), begin: beginAsIn(page, "resend") },
    "http, as for Neon": { ...shared, make: () => new FakeNeon(), begin: beginAsIn(page, "neon") },
    "http, as for Spaces": { ...shared, make: () => new FakeSpaces(), begin: beginAsIn(page, "spaces") },
    "http, as for BitScale": { ...shared, make: () => new FakeBitscale(), begin: beginAsForBitscale },
    "http, as for a keeper": { ...shared, make: () => new FakeKeeper(), begin: beginAsForKeeper },
    "http, as for a relay": { ...shared, make: () => new FakeRelay(), begin: beginAsForRelay },
  };
}

/** The page's requests for one service, by the name of its connection there. */
export function describedAs(page: string, name: string): { connection: Body; key: Body } {
  const bodies = requestsOf(page).map(({ body }) => body as Body);
  const connection = bodies.find((body) => body.name === name);
  const key = bodies.find((body) => body.connection === name);
  if (!connection || !key) throw new Error(`docs/http.md describes no ${name}`);
  return { connection, key };
}

/** The same with the credential that opens a fake's account. A person has made keys there before. */
function beginAsIn(page: string, name: string) {
  return (fake: FakeService & { admin?: string }): Beginning => {
    const { connection, key } = describedAs(page, name);
    for (let count = 1; count <= 12; count++) fake.make(`of a person ${count}`, { byPerson: true });
    const credential = Object.keys(connection.credential ?? {}).map((field) => [field, fake.admin ?? ""]);
    return {
      connection: { config: connection.config ?? {}, credential: Object.fromEntries(credential) },
      key: key.config ? { config: key.config } : {},
    };
  };
}

const OPENED_BY_OLD = { "x-api-key": "{{old.secret}}" };

/** A service whose key asks for its own successor and dies of it, described and not programmed. */
function beginAsForBitscale(fake: FakeService): Beginning {
  const workspace = { method: "GET", url: `${fake.origin}/workspace` };
  return {
    connection: {
      config: {
        overlap: { kind: "none" },
        timeout: "60s",
        preflight: { ...workspace, headers: OPENED_BY_OLD },
        mint: {
          method: "POST",
          url: `${fake.origin}/api-key/rotate`,
          headers: OPENED_BY_OLD,
          json: {},
          answer: { fields: { secret: "/api_key" } },
        },
        test: { ...workspace, headers: { "x-api-key": "{{value.secret}}" } },
      },
    },
    key: { fields: { secret: fake.make("by hand").secret } },
  };
}

/** How keys of the two services below are found by their label and ended by their id. */
function labelledCalls(url: string, headers: Record<string, string>) {
  return {
    find: {
      method: "GET",
      url: `${url}?label={{marker}}`,
      headers,
      answer: { items: "/keys", marker: "/label", reference: "/id" },
    },
    revoke: { method: "DELETE", url: `${url}/{{reference}}`, headers },
  };
}

/** A service whose key asks for its own successor and dies of it, although its owner could list and end keys. */
function beginAsForRelay(fake: FakeService & { admin?: string }): Beginning {
  const old = { "x-relay-key": "{{old.secret}}" };
  const owner = { "x-relay-owner": "{{credential.secret}}" };
  const url = `${fake.origin}/keys`;
  const { reference, secret } = fake.make("by hand");
  return {
    connection: {
      credential: { secret: fake.admin ?? "" },
      config: {
        overlap: { kind: "none" },
        preflight: { method: "GET", url: `${fake.origin}/me`, headers: old },
        mint: {
          method: "POST",
          url: `${url}/next`,
          headers: old,
          json: { label: "{{marker}}" },
          answer: { fields: { secret: "/secret" }, reference: "/id" },
        },
        test: { method: "GET", url: `${fake.origin}/me`, headers: { "x-relay-key": "{{value.secret}}" } },
        ...labelledCalls(url, owner),
      },
    },
    key: { fields: { secret }, reference },
  };
}

/** A service that ends the old key by itself, after as long as the mint asks for. */
function beginAsForKeeper(fake: FakeService & { admin?: string }): Beginning {
  const headers = { "x-keeper-key": "{{credential.secret}}" };
  const url = `${fake.origin}/keys`;
  const { reference, secret } = fake.make("by hand");
  return {
    connection: {
      credential: { secret: fake.admin ?? "" },
      config: {
        overlap: { kind: "provider" },
        preflight: { method: "GET", url: `${fake.origin}/account`, headers, account: "/account/id" },
        mint: {
          method: "POST",
          url,
          headers,
          json: {
            label: "{{marker}}",
            replaces: "{{oldReference}}",
            keepOldSeconds: "{{graceSeconds}}",
          },
          answer: { fields: { secret: "/secret" }, reference: "/id", oldEndsAt: "/oldEndsAt" },
        },
        test: { method: "GET", url: `${fake.origin}/me`, headers: { "x-keeper-key": "{{value.secret}}" } },
        ...labelledCalls(url, headers),
      },
    },
    key: { fields: { secret }, reference },
  };
}
