/**
 * One request to a service, described in JSON: checked when it is saved, filled in when it is sent. Its host is written out, and no
 * secret is ever part of its address.
 */
import { z } from "zod";
import type { Result } from "../../result.ts";
import type { ApiRequest } from "../http-client.ts";
import { Filling, fieldOf, isMalformed, isSecret, type Lookup, namesIn, sampleOf } from "./template.ts";

/** Headers that belong to the connection and not to what is said over it (RFC 9110, RFC 9112). */
const NOT_OURS = /^(?:host|content-length|connection|transfer-encoding|expect|upgrade|te|trailer)$/;

const MAX_TEMPLATE = 4_096;
const templateSchema = z.string().max(MAX_TEMPLATE);

const urlSchema = z
  .string()
  .max(2_048)
  .refine((url) => /^[\x21-\x7e]*$/.test(url) && !/[\\#]/.test(url), {
    message: "must not hold spaces, backslashes, # or letters beyond ASCII",
    abort: true,
  })
  .refine((url) => /^https?:\/\/[^/?{}]+(?:[/?]|$)/.test(url) && URL.canParse(sampleOf(url)), {
    message: "must be an absolute address whose scheme, host and port hold no placeholder",
  });

const headersSchema = z
  .record(z.string().regex(/^[A-Za-z0-9-]{1,100}$/), templateSchema)
  .refine((headers) => Object.keys(headers).length <= 20, { message: "at most 20 headers" })
  .refine((headers) => !Object.keys(headers).some((name) => NOT_OURS.test(name.toLowerCase())), {
    message: "holds a header that is set by itself",
  });

export const statusesSchema = z.array(z.int().min(200).max(599)).min(1).max(50);

export const requestShape = {
  method: z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
  url: urlSchema.describe("Absolute; placeholders only after the host."),
  headers: headersSchema.optional(),
  basic: z
    .strictObject({ user: templateSchema, password: templateSchema })
    .optional()
    .describe("Authorization: Basic, made of these two."),
  json: z.json().optional().describe("The body; each text in it is a template."),
  form: z.record(z.string().max(200), templateSchema).optional().describe("The body instead, as a form."),
  ok: statusesSchema.optional().describe("Statuses of a success. Default 200 to 299."),
};

const requestSchema = z.strictObject(requestShape);
export type RequestDescription = z.output<typeof requestSchema>;

/** A text, and where it stands in the description. */
interface Spot {
  path: string[];
  template: string;
  /** A name inside a body, where no placeholder may stand. */
  isName?: true;
}

function spotsOf({ url, headers = {}, basic, json, form = {} }: RequestDescription): Spot[] {
  const ofRecord = (name: string, record: Record<string, string>) =>
    Object.entries(record).map(([key, template]) => ({ path: [name, key], template }));
  return [
    { path: ["url"], template: url },
    ...ofRecord("headers", headers),
    ...ofRecord("basic", basic ?? {}),
    ...spotsIn(json, ["json"]),
    ...ofRecord("form", form),
  ];
}

function spotsIn(value: unknown, path: string[]): Spot[] {
  if (typeof value === "string") return [{ path, template: value }];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, item]): Spot[] => [
    { path: [...path, name], template: name, isName: true },
    ...spotsIn(item, [...path, name]),
  ]);
}

/** The placeholders of a request by name. */
export function placeholdersOf(request: RequestDescription): string[] {
  return spotsOf(request).flatMap(({ template }) => namesIn(template));
}

/** Names of placeholders that stand in the middle of a text, where only a text can go. */
export function placeholdersInText(request: RequestDescription): string[] {
  return spotsOf(request).flatMap(({ path: [part], template }) => {
    const names = namesIn(template);
    return part === "json" && template === `{{${names[0]}}}` ? [] : names;
  });
}

/** One thing that is wrong with a description. */
export interface Flaw {
  path: string[];
  message: string;
}

/**
 * What is wrong with a request beyond the shape of its parts.
 * @param mayHold whether a placeholder of this name means something there
 */
export function findFlaws(request: RequestDescription, mayHold: (name: string) => boolean): Flaw[] {
  const { method, json, form, headers = {}, basic } = request;
  const hasBody = json !== undefined || form !== undefined;
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  const flaws: Flaw[] = spotsOf(request).flatMap(({ path, template, isName }) => {
    if (isMalformed(template)) return [{ path, message: "holds braces that are no placeholder" }];
    if (isName) return namesIn(template).map(() => ({ path, message: "holds a placeholder in a name" }));
    return namesIn(template).flatMap((name) => {
      if (!mayHold(name)) return [{ path, message: `holds {{${name}}}, which means nothing here` }];
      return path[0] === "url" && isSecret(name)
        ? [{ path, message: `holds {{${name}}}, and no secret may be part of an address` }]
        : [];
    });
  });
  if (hasUser(sampleOf(request.url)))
    flaws.push({ path: ["url"], message: "holds a user or a password, which go into `basic`" });
  if (json !== undefined && form !== undefined)
    flaws.push({ path: ["form"], message: "goes instead of json" });
  if (hasBody && (method === "GET" || method === "HEAD"))
    flaws.push({ path: [form ? "form" : "json"], message: `does not go with ${method}` });
  if (new Set(names).size < names.length) flaws.push({ path: ["headers"], message: "names a header twice" });
  if (basic && names.includes("authorization"))
    flaws.push({ path: ["basic"], message: "goes instead of the header authorization" });
  return flaws;
}

function hasUser(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { username, password } = new URL(address);
  return username !== "" || password !== "";
}

/** The scheme, host and port that a request goes to. */
export function originOf({ url }: RequestDescription): string {
  return `${new URL(sampleOf(url)).origin}/`;
}

/** The fields of a group that a request names. */
export function fieldsNamed(request: RequestDescription, group: string): string[] {
  return [...new Set(placeholdersOf(request).flatMap((name) => fieldOf(name, group) ?? []))];
}

/** The request as it goes out, or why it cannot: a placeholder has no value, or one that does not fit where it stands. */
export function fillIn(request: RequestDescription, lookUp: Lookup): Result<ApiRequest, string> {
  const { method, url, headers = {}, basic, json, form } = request;
  const filling = new Filling(lookUp);
  const texts = (record: Record<string, string>, fill: (template: string) => string) =>
    Object.fromEntries(Object.entries(record).map(([name, template]) => [name, fill(template)]));
  const filled: ApiRequest = {
    method,
    url: filling.url(url),
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, template]) => [name.toLowerCase(), filling.header(template)]),
    ),
    ...(json !== undefined && { json: filling.json(json) }),
    ...(form && { form: texts(form, (template) => filling.text(template)) }),
  };
  if (basic) {
    const pair = `${filling.text(basic.user)}:${filling.text(basic.password)}`;
    filled.headers = { ...filled.headers, authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
  }
  return filling.finish(filled);
}
