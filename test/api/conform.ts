/** Compares a value with a JSON schema of the contract, as far as the contract uses JSON schema. Undocumented fields do not fit. */
import { z } from "zod";

export type Schema = Record<string, unknown>;

const KNOWN = [
  ...["$ref", "allOf", "anyOf", "type", "properties", "required", "additionalProperties", "items", "enum"],
  ...[
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "description",
    "example",
    "default",
  ],
];

/** What is wrong with a value; empty when it fits. */
export function findMisfits(
  schemas: Record<string, Schema>,
  schema: Schema,
  value: unknown,
  at = "$",
): string[] {
  const unknown = Object.keys(schema).filter((keyword) => !KNOWN.includes(keyword));
  if (unknown.length > 0) throw new Error(`cannot judge ${unknown.join(", ")}`);
  const whole = flatten(schemas, schema);
  if (Array.isArray(whole.anyOf)) {
    const misfits = (whole.anyOf as Schema[]).map((choice) => findMisfits(schemas, choice, value, at));
    return misfits.some((list) => list.length === 0) ? [] : misfits.flat();
  }
  const types = whole.type === undefined ? [] : [whole.type].flat();
  if (types.length > 0 && !types.includes(typeOf(value, types))) {
    return [`${at} is ${typeOf(value, types)}, not ${types.join(" or ")}`];
  }
  if (Array.isArray(whole.enum) && !whole.enum.includes(value))
    return [`${at} is not one of ${whole.enum.join(", ")}`];
  if (typeof value === "string") return findTextMisfits(whole, value, at);
  if (typeof value === "number") {
    const { minimum = -Infinity, maximum = Infinity } = whole as { minimum?: number; maximum?: number };
    return minimum <= value && value <= maximum ? [] : [`${at} is out of bounds`];
  }
  if (Array.isArray(value)) {
    const { minItems = 0, maxItems = Infinity } = whole as { minItems?: number; maxItems?: number };
    if (value.length < minItems || value.length > maxItems) return [`${at} has too few or too many items`];
    return value.flatMap((item, i) =>
      findMisfits(schemas, (whole.items ?? {}) as Schema, item, `${at}[${i}]`),
    );
  }
  return isObject(value) ? findFieldMisfits(schemas, whole, value, at) : [];
}

function findTextMisfits(whole: Schema, value: string, at: string): string[] {
  const { minLength = 0, maxLength = Infinity } = whole as { minLength?: number; maxLength?: number };
  if (value.length < minLength || value.length > maxLength) return [`${at} is too short or too long`];
  if (whole.format === "date-time" && !z.iso.datetime({ offset: true }).safeParse(value).success) {
    return [`${at} is no time`];
  }
  const isOdd = typeof whole.pattern === "string" && !new RegExp(whole.pattern).test(value);
  return isOdd ? [`${at} does not match ${whole.pattern}`] : [];
}

function findFieldMisfits(
  schemas: Record<string, Schema>,
  whole: Schema,
  value: Schema,
  at: string,
): string[] {
  const properties = (whole.properties ?? {}) as Record<string, Schema>;
  const rest = whole.additionalProperties;
  const missing = ((whole.required ?? []) as string[]).filter((name) => !Object.hasOwn(value, name));
  const wrong = Object.entries(value).flatMap(([name, field]) => {
    // Own fields only: `__proto__` is one that a client may send, and every object seems to have it.
    const own = Object.hasOwn(properties, name) ? properties[name] : undefined;
    const schema = own ?? (isObject(rest) ? rest : undefined);
    return schema
      ? findMisfits(schemas, schema, field, `${at}.${name}`)
      : [`${at}.${name} is not documented`];
  });
  return [...missing.map((name) => `${at}.${name} is missing`), ...wrong];
}

/** A schema with its references and its parts put together. */
export function flatten(schemas: Record<string, Schema>, schema: Schema): Schema {
  const parts = Array.isArray(schema.allOf) ? (schema.allOf as Schema[]) : [];
  if (typeof schema.$ref === "string") {
    const target = schemas[schema.$ref.replace("#/components/schemas/", "")];
    if (!target) throw new Error(`${schema.$ref} leads nowhere`);
    parts.push(target);
  }
  return parts.map((part) => flatten(schemas, part)).reduce(merge, schema);
}

function merge(a: Schema, b: Schema): Schema {
  return {
    ...b,
    ...a,
    properties: { ...(b.properties as object), ...(a.properties as object) },
    required: [...((a.required ?? []) as string[]), ...((b.required ?? []) as string[])],
  };
}

function typeOf(value: unknown, wanted: unknown[]): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) && wanted.includes("integer") ? "integer" : typeof value;
}

function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
