/** The fields of a provider's settings and credentials, read from their schemas: what each is, and an example that shows its form. */
import { z } from "zod";

export interface Setting {
  name: string;
  /** `sometimes`: in one of several forms. */
  needed: "yes" | "no" | "sometimes";
  description: string | undefined;
  /** What it is when nobody says. */
  fallback: string | undefined;
  choices: string[];
  example: unknown;
}

const propertySchema = z.looseObject({
  description: z.string().optional(),
  default: z.unknown().optional(),
  type: z.union([z.string(), z.array(z.string())]).optional(),
  enum: z.array(z.unknown()).optional(),
  const: z.unknown().optional(),
  examples: z.array(z.unknown()).optional(),
});
const objectSchema = z.looseObject({
  properties: z.record(z.string(), propertySchema).default({}),
  required: z.array(z.string()).default([]),
});
const formsSchema = z.union([
  z.object({ anyOf: z.array(objectSchema) }).transform(({ anyOf }) => anyOf),
  z.object({ oneOf: z.array(objectSchema) }).transform(({ oneOf }) => oneOf),
  objectSchema.transform((form) => [form]),
]);

type Property = z.output<typeof propertySchema>;
type Form = z.output<typeof objectSchema>;

/** All fields, in their order; of a union those of every form. */
export function settingsOf(schema: z.ZodType | undefined): Setting[] {
  if (!schema) return [];
  const forms = formsOf(schema);
  const names = new Set(forms.flatMap(({ properties }) => Object.keys(properties)));
  return [...names].map((name) => {
    const among = forms.map(({ properties }) => properties[name]).filter((one) => one !== undefined);
    const times = forms.filter(({ required }) => required.includes(name)).length;
    return {
      name,
      needed: times === forms.length ? "yes" : times > 0 ? "sometimes" : "no",
      description: among.find(({ description }) => description !== undefined)?.description,
      fallback: among.flatMap((one) => (one.default === undefined ? [] : [textOf(one.default)]))[0],
      choices: [...new Set(among.flatMap(choicesOf))],
      example: among[0] && exampleOf(among[0]),
    };
  });
}

/** The shortest input that the first form takes. */
export function exampleFor(schema: z.ZodType | undefined): Record<string, unknown> {
  const [form] = schema ? formsOf(schema) : [];
  if (!form) return {};
  return Object.fromEntries(form.required.map((name) => [name, exampleOf(form.properties[name] ?? {})]));
}

function formsOf(schema: z.ZodType): Form[] {
  return formsSchema.parse(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }));
}

function choicesOf({ enum: values, const: only }: Property): string[] {
  return (values ?? (only === undefined ? [] : [only])).map(textOf);
}

function exampleOf(property: Property): unknown {
  const [shown] = property.examples ?? [];
  if (shown !== undefined) return shown;
  if (property.const !== undefined) return property.const;
  if (property.enum) return property.enum[0];
  switch (property.type) {
    case "integer":
    case "number":
      return 1;
    case "boolean":
      return true;
    case "array":
      return [];
    case "object":
      return {};
    default:
      return "…";
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
