/** The document of the API passes its linter, and the linter is one that would say so if it did not. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { makeFolder, REPOSITORY, start } from "./support.ts";

const operationSchema = z.looseObject({
  operationId: z.string(),
  tags: z.array(z.string()),
  responses: z.record(z.string(), z.unknown()),
});
const documentSchema = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), operationSchema)),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});
type Document = z.infer<typeof documentSchema>;

async function judge(...file: string[]) {
  const program = start(process.execPath, [join(REPOSITORY, "test/openapi/run.ts"), ...file]);
  return { code: await program.ended, output: program.output() };
}

describe("npm run contract", () => {
  let clean: Awaited<ReturnType<typeof judge>>;
  let document: Document;
  beforeAll(async () => {
    clean = await judge();
    document = documentSchema.parse(JSON.parse(readFileSync(join(REPOSITORY, "dist/openapi.json"), "utf8")));
  });

  it("writes the document, in which the linter finds neither an error nor a warning", () => {
    expect(clean.output).not.toMatch(/warning|error was generated/i);
    expect(clean.code).toBe(0);
    expect(Object.keys(document.paths).length).toBeGreaterThan(30);
  });

  it("says nothing to anybody about its use", () => {
    expect(clean.output).not.toMatch(/telemetry|new version|update/i);
  });

  it.each<[rule: string, spoil: (key: z.infer<typeof operationSchema>, all: Document) => void]>([
    ["operation-operationId", (key) => Reflect.deleteProperty(key, "operationId")],
    ["operation-operationId-unique", (key) => Object.assign(key, { operationId: "listKeys" })],
    ["operation-4xx-response", (key) => Object.assign(key, { responses: { 200: key.responses["200"] } })],
    ["operation-summary", (key) => Reflect.deleteProperty(key, "summary")],
    ["operation-tag-defined", (key) => Object.assign(key, { tags: ["nobody-knows"] })],
    ["security-defined", (key) => Reflect.deleteProperty(key, "security")],
    ["no-unresolved-refs", (_, all) => Reflect.deleteProperty(all.components.schemas, "Key")],
    [
      "no-unused-components",
      (_, all) => Object.assign(all.components.schemas, { Unused: { type: "string" } }),
    ],
    [
      "no-invalid-schema-examples",
      (_, all) => Object.assign(all.components.schemas, { Rotate: { type: "object", example: "none" } }),
    ],
  ])("fails on a document that breaks %s", async (rule, spoil) => {
    const spoilt = structuredClone(document);
    const key = spoilt.paths["/v1/keys/{key}"]?.get;
    if (!key) throw new Error("no such operation");
    spoil(key, spoilt);
    const file = join(makeFolder(), "openapi.json");
    writeFileSync(file, JSON.stringify(spoilt));
    const { code, output } = await judge(file);
    expect(output).toContain(rule);
    expect(code).not.toBe(0);
  });
});
