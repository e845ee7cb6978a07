/** Values made from a JSON schema of the contract: such as fit it, and such as have one thing wrong with them. */
import * as fc from "fast-check";
import { findMisfits, flatten, type Schema } from "./conform.ts";

/** What a generator knows: the schemas that others refer to, and texts that mean something where they are sent. */
export interface Lore {
  schemas: Record<string, Schema>;
  names(): readonly string[];
  /** The same for a field of this name alone, such as a token. */
  valuesOf(field: string): readonly unknown[];
}

type Values = fc.Arbitrary<unknown>;

const text = (minLength: number, maxLength: number) =>
  fc.string({ unit: "binary", minLength, maxLength: Math.min(maxLength, minLength + 40) });

/** Texts and numbers that programs stumble over. */
const odd = fc.constantFrom<unknown>(
  ...[
    "",
    " ",
    "\u0000",
    "\ud800",
    "𝕏".repeat(20),
    "__proto__",
    "constructor",
    "soon",
    "30M",
    "-1s",
    "../..",
    "%00",
  ],
  ...["2026-13-45T99:00:00Z", "0001-01-01", "'; DROP TABLE key; --", "x".repeat(70_000)],
  ...[null, true, 0, -1, 1.5, 1e300, -1e300, Number.MAX_SAFE_INTEGER, [], {}, [[]], { toString: 1 }],
  JSON.parse('{"__proto__":{"a":1}}'),
);

const anything = fc.oneof(odd, fc.jsonValue({ maxDepth: 4, stringUnit: "binary" }));

/** Values that fit a schema. */
export function makeFitting(lore: Lore, schema: Schema): Values {
  const whole = flatten(lore.schemas, schema);
  const made = makeByType(lore, whole);
  const shown = [whole.example, whole.default].filter((value) => value !== undefined);
  return shown.length === 0 ? made : fc.oneof(made, fc.constantFrom(...shown));
}

function makeByType(lore: Lore, whole: Schema): Values {
  if (Array.isArray(whole.anyOf)) {
    return fc.oneof(...(whole.anyOf as Schema[]).map((choice) => makeFitting(lore, choice)));
  }
  if (Array.isArray(whole.enum)) return fc.constantFrom(...whole.enum);
  if (Array.isArray(whole.type)) {
    return fc.oneof(...whole.type.map((type) => makeByType(lore, { ...whole, type })));
  }
  switch (whole.type) {
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "integer":
    case "number": {
      const { minimum = -1_000, maximum = 1_000_000 } = whole as { minimum?: number; maximum?: number };
      return fc.oneof(
        fc.constant(minimum),
        fc.integer({ min: minimum, max: Math.min(maximum, minimum + 3) }),
        fc.integer({ min: minimum, max: maximum }),
      );
    }
    case "string":
      return makeText(lore, whole);
    case "array": {
      const { items = {}, minItems = 0, maxItems = 4 } = whole as ListSchema;
      const maxLength = Math.max(minItems, Math.min(maxItems, 4));
      return fc.array(makeFitting(lore, items), { minLength: minItems, maxLength });
    }
    case "object":
      return makeObject(lore, whole);
    default:
      return anything;
  }
}

interface ListSchema {
  items?: Schema;
  minItems?: number;
  maxItems?: number;
}

function makeText(lore: Lore, whole: Schema): Values {
  const { minLength = 0, maxLength = 60 } = whole as { minLength?: number; maxLength?: number };
  if (whole.format === "date-time") {
    const max = new Date("9999-01-01T00:00:00Z");
    return fc
      .oneof(
        fc.date({ noInvalidDate: true, min: new Date("1970-01-01T00:00:00Z"), max }),
        fc.date({ noInvalidDate: true, min: new Date(), max: new Date(Date.now() + 30 * 86_400_000) }),
      )
      .map((at) => at.toISOString());
  }
  if (typeof whole.pattern === "string") {
    const pattern = new RegExp(whole.pattern);
    // No generator looks ahead: what a pattern rules out in that way is thrown away afterwards.
    const loose = new RegExp(whole.pattern.replace(/^\^\(\?!.*?\)_\)/, "^"));
    return fc.oneof(fc.stringMatching(loose), known(lore)).filter((value) => pattern.test(String(value)));
  }
  const fits = (value: unknown) => String(value).length >= minLength && String(value).length <= maxLength;
  return fc.oneof(
    text(minLength, maxLength),
    fc.oneof(known(lore), fc.constant("0".repeat(minLength))).filter(fits),
  );
}

/** Something that exists: which, is looked up when the value is made. */
function known({ names }: Lore): fc.Arbitrary<string> {
  return fc.nat().map((n) => {
    const all = names();
    return all[n % all.length] ?? "nobody";
  });
}

function makeObject(lore: Lore, whole: Schema): Values {
  const { properties = {}, required = [], additionalProperties } = whole as ObjectSchema;
  const fields = Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, makeField(lore, name, schema)]),
  );
  // Few at a time: fields that fit by themselves rule each other out.
  const optional = Object.keys(properties).filter((name) => !required.includes(name));
  const chosen = fc.oneof(
    { weight: 3, arbitrary: fc.subarray(optional, { maxLength: Math.min(2, optional.length) }) },
    fc.subarray(optional),
  );
  const record = fc
    .tuple(fc.record(fields, { noNullPrototype: true }), chosen)
    .map(([all, kept]) => Object.fromEntries([...required, ...kept].map((name) => [name, all[name]])));
  if (typeof additionalProperties !== "object") return record;
  const name = fc.constantFrom("team", "url", "secretMode", "a/b", "x");
  const more = fc.dictionary(name, makeFitting(lore, additionalProperties), {
    maxKeys: 3,
    noNullPrototype: true,
  });
  return fc.tuple(more, record).map(([extra, own]) => ({ ...extra, ...own }));
}

/** A field, mostly with something that it can hold to an end, where there is any when the value is made. */
function makeField(lore: Lore, name: string, schema: Schema): Values {
  const fitting = makeFitting(lore, schema);
  const meant = fc.tuple(fitting, fc.nat()).map(([other, n]) => {
    const values = lore.valuesOf(name);
    return values.length === 0 ? other : values[n % values.length];
  });
  return fc.oneof(fitting, meant);
}

interface ObjectSchema {
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
}

/** Values that do not fit a schema, by one thing only. Undefined for a schema that everything fits. */
export function makeBroken(lore: Lore, schema: Schema): Values | undefined {
  const whole = flatten(lore.schemas, schema);
  const isWrong = (value: unknown) => findMisfits(lore.schemas, whole, value).length > 0;
  if (Object.keys(whole).every((keyword) => ["description", "example", "default"].includes(keyword))) return;
  const ways = waysToBreak(lore, whole);
  const weighed = ways.map((arbitrary) => ({ weight: 3, arbitrary }));
  return fc.oneof({ weight: 2, arbitrary: odd }, ...weighed).filter(isWrong);
}

function waysToBreak(lore: Lore, whole: Schema): Values[] {
  if (Array.isArray(whole.anyOf)) {
    return (whole.anyOf as Schema[]).flatMap((choice) => makeBroken(lore, choice) ?? []);
  }
  const types = [whole.type].flat();
  return [
    ...(types.includes("string") ? breakText(whole) : []),
    ...(types.includes("integer") ? [fc.constantFrom(...beyond(whole))] : []),
    ...(types.includes("array") ? breakArray(lore, whole) : []),
    ...(types.includes("object") ? breakObject(lore, whole) : []),
  ];
}

/** The numbers next to the bounds, and one that is none. */
function beyond({ minimum, maximum }: Schema): number[] {
  return [
    0.5,
    ...(typeof minimum === "number" ? [minimum - 1] : []),
    ...(typeof maximum === "number" ? [maximum + 1] : []),
  ];
}

function breakText({ maxLength, enum: choices }: Schema): Values[] {
  const longer = (length: number) =>
    fc.string({ unit: "binary", minLength: length + 1, maxLength: length + 9 });
  return [
    ...(typeof maxLength === "number" ? [longer(maxLength)] : []),
    ...(Array.isArray(choices) ? [fc.constantFrom(...choices).map((choice) => `${choice}\u0000`)] : []),
  ];
}

function breakArray(lore: Lore, { items = {}, maxItems }: Schema): Values[] {
  const item = items as Schema;
  const broken = makeBroken(lore, item);
  const fitting = makeFitting(lore, item);
  return [
    ...(broken
      ? [fc.tuple(fc.array(fitting, { maxLength: 2 }), broken).map(([list, odd]) => [...list, odd])]
      : []),
    ...(typeof maxItems === "number"
      ? [fitting.map((value) => Array.from({ length: maxItems + 1 }, () => value))]
      : []),
  ];
}

function breakObject(lore: Lore, whole: Schema): Values[] {
  const { properties = {}, required = [], additionalProperties } = whole as ObjectSchema;
  const fitting = makeObject(lore, whole) as fc.Arbitrary<Record<string, unknown>>;
  const set = (name: string, values: Values) =>
    fc.tuple(fitting, values).map(([value, odd]) => ({ ...value, [name]: odd }));
  const wrong = Object.entries(properties).flatMap(([name, schema]) => {
    const broken = makeBroken(lore, schema);
    return broken ? [set(name, broken)] : [];
  });
  const missing = required.map((name) => fitting.map(({ [name]: _, ...rest }) => rest));
  if (typeof additionalProperties !== "object")
    return [...wrong, ...missing, set("nobodyKnowsThis", anything)];
  const broken = makeBroken(lore, additionalProperties);
  return [...wrong, ...missing, ...(broken ? [set("team", broken)] : [])];
}
