/**
 * AWS IAM's access keys, with STS beside it. Every request is signed; a user has at most two keys, active or not; answers are XML, but JSON to
 * who would take it.
 */
import { createHash, createHmac } from "node:crypto";
import { type FakeCredential, FakeService, type Incoming, type Route } from "./fake.ts";

const ACCOUNT = "123456789012";
const MAX_KEYS = 2;
const HOSTS: Record<string, string> = { iam: "iam.amazonaws.com", sts: "sts.us-east-1.amazonaws.com" };

const hash = (text: string) => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();

interface Refusal {
  status: number;
  code: string;
}

export class FakeAwsIam extends FakeService {
  readonly name = "aws-iam";
  readonly origin = "https://iam.amazonaws.com";
  override readonly others = ["https://sts.us-east-1.amazonaws.com"];
  readonly user = "deploy";
  readonly admin = {
    accessKeyId: "AKIAFAKEADMIN0000001",
    secret: "fake/admin+secret/of/the/account/0000001",
  };
  readonly inactive = new Set<string>();
  /** ISO 8601, by access key. */
  readonly usedOn = new Map<string, string>();
  /** How long a new key is refused, and a revoked one accepted. */
  lagMs = 0;

  protected route(request: Incoming): Route | undefined {
    const form = new URLSearchParams(request.text);
    const action = form.get("Action") ?? "";
    if (request.method !== "POST" || request.path !== "/") return undefined;
    const isJson = request.headers.get("accept")?.includes("application/json") ?? false;
    const answer = (body: string | Refusal) =>
      isJson ? Response.json({ [`${action}Response`]: {} }) : this.#xml(action, body);
    if (action === "GetCallerIdentity") {
      return { name: "test", effect: () => answer(this.#identify(request)) };
    }
    const names: Record<string, [string, () => string | Refusal]> = {
      ListAccessKeys: ["list", () => this.#list()],
      CreateAccessKey: ["mint", () => this.#create()],
      UpdateAccessKey: ["disable", () => this.#update(form)],
      DeleteAccessKey: ["revoke", () => this.#delete(form)],
      GetAccessKeyLastUsed: ["last-used", () => this.#lastUsed(form)],
    };
    const known = names[action];
    if (!known) return undefined;
    const [name, effect] = known;
    const isUser = form.get("UserName") === this.user || action === "GetAccessKeyLastUsed";
    return {
      name,
      effect: () => {
        const refusal = this.#refusalOf(request, "iam", [this.admin]);
        if (refusal) return answer(refusal);
        return answer(isUser ? effect() : { status: 404, code: "NoSuchEntity" });
      },
    };
  }

  /** Why a request is not let in: its signature, or who signed it. */
  #refusalOf(
    { text, headers }: Incoming,
    service: string,
    keys: readonly { accessKeyId: string; secret: string }[],
  ): Refusal | undefined {
    const given =
      /Credential=(\w+)\/(\d{8})\/([a-z0-9-]+)\/(\w+)\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})/;
    const found = given.exec(headers.get("authorization") ?? "");
    if (!found) return { status: 403, code: "MissingAuthenticationToken" };
    const [, id = "", day = "", region = "", of = "", signed = "", signature] = found;
    const key = keys.find(({ accessKeyId }) => accessKeyId === id);
    if (!key) return { status: 403, code: "InvalidClientTokenId" };
    const at = headers.get("x-amz-date") ?? "";
    const host = headers.get("host") ?? HOSTS[service] ?? "";
    const lines = signed.split(";").map((name) => `${name}:${name === "host" ? host : headers.get(name)}`);
    const canonical = ["POST", "/", "", ...lines, "", signed, hash(text)].join("\n");
    const scope = `${day}/${region}/${of}/aws4_request`;
    const toSign = ["AWS4-HMAC-SHA256", at, scope, hash(canonical)].join("\n");
    const signer = [day, region, of, "aws4_request"].reduce<string | Buffer>(hmac, `AWS4${key.secret}`);
    const isRight = hmac(signer, toSign).toString("hex") === signature && of === service;
    return isRight && at.startsWith(day) ? undefined : { status: 403, code: "SignatureDoesNotMatch" };
  }

  #identify(request: Incoming): string | Refusal {
    const now = Date.now();
    const active = this.credentials
      .filter((one) => now >= one.acceptedFrom && now < one.endsAt + this.lagMs)
      .filter((one) => now >= one.endsAt || !this.inactive.has(one.reference))
      .map(({ reference, secret }) => ({ accessKeyId: reference, secret }));
    const refusal = this.#refusalOf(request, "sts", [this.admin, ...active]);
    return (
      refusal ?? `<Arn>arn:aws:iam::${ACCOUNT}:user/x</Arn><UserId>x</UserId><Account>${ACCOUNT}</Account>`
    );
  }

  #list(): string {
    const members = this.#keys().map(
      ({ reference, madeAt }) =>
        `<member><UserName>${this.user}</UserName><AccessKeyId>${reference}</AccessKeyId>` +
        `<Status>${this.inactive.has(reference) ? "Inactive" : "Active"}</Status>` +
        `<CreateDate>${wholeSeconds(madeAt)}</CreateDate></member>`,
    );
    const all = members.join("\n");
    return `<UserName>${this.user}</UserName><AccessKeyMetadata>${all}</AccessKeyMetadata><IsTruncated>false</IsTruncated>`;
  }

  #create(): string | Refusal {
    if (this.#keys().length >= MAX_KEYS) return { status: 409, code: "LimitExceeded" };
    const { reference, secret, madeAt } = this.make(this.user, { propagationMs: this.lagMs });
    return (
      `<AccessKey><UserName>${this.user}</UserName><AccessKeyId>${reference}</AccessKeyId><Status>Active</Status>` +
      `<SecretAccessKey>${secret}</SecretAccessKey><CreateDate>${wholeSeconds(madeAt)}</CreateDate></AccessKey>`
    );
  }

  #update(form: URLSearchParams): string | Refusal {
    const one = this.#named(form);
    if (!one) return { status: 404, code: "NoSuchEntity" };
    if (one.byPerson) this.broken.push(`${one.reference}, made by a person, was changed`);
    if (form.get("Status") === "Inactive") this.inactive.add(one.reference);
    else this.inactive.delete(one.reference);
    return "";
  }

  #delete(form: URLSearchParams): string | Refusal {
    const one = this.#named(form);
    if (!one) return { status: 404, code: "NoSuchEntity" };
    this.end(one);
    return "";
  }

  #lastUsed(form: URLSearchParams): string | Refusal {
    const one = this.#named(form);
    if (!one) return { status: 403, code: "AccessDenied" };
    const on = this.usedOn.get(one.reference);
    const date = on === undefined ? "" : `<LastUsedDate>${on}</LastUsedDate>`;
    return `<UserName>${this.user}</UserName><AccessKeyLastUsed><Region>N/A</Region><ServiceName>N/A</ServiceName>${date}</AccessKeyLastUsed>`;
  }

  #keys(): FakeCredential[] {
    return this.credentials.filter((one) => this.isLive(one));
  }

  #named(form: URLSearchParams): FakeCredential | undefined {
    return this.#keys().find(({ reference }) => reference === form.get("AccessKeyId"));
  }

  #xml(action: string, body: string | Refusal): Response {
    const headers = { "content-type": "text/xml" };
    if (typeof body !== "string") {
      const { status, code } = body;
      const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>no</Message></Error>`;
      return new Response(`<ErrorResponse>${error}<RequestId>r</RequestId></ErrorResponse>`, {
        status,
        headers,
      });
    }
    const result = body === "" ? "" : `<${action}Result>${body}</${action}Result>`;
    return new Response(
      `<${action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">\n${result}<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></${action}Response>\n`,
      { headers },
    );
  }

  /** Throttling is a 400 there. */
  protected override rateLimited(): Response {
    return this.#xml("", { status: 400, code: "Throttling" });
  }

  protected override newSecret(count: number): string {
    return `fake/secret+${super.newSecret(count).slice(-24)}`;
  }

  protected override newReference(count: number): string {
    return `AKIAFAKE${String(count).padStart(12, "0")}`;
  }

  protected unauthorized(): Response {
    return this.#xml("", { status: 403, code: "InvalidClientTokenId" });
  }
}

function wholeSeconds(at: number): string {
  return new Date(at).toISOString().replace(/\.\d{3}Z$/, "Z");
}
