/** What the documents state as fact, held against the code. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import errors from "../docs/errors.md?raw";
import storage from "../docs/storage.md?raw";
import readme from "../README.md?raw";
import { CATALOGUE } from "../src/errors/catalogue.ts";
import { renderErrorsPage } from "../src/errors/page.ts";
import { TOKEN_PATTERN } from "../src/issuer/token.ts";
import { makeKeyring } from "./support/api.ts";

describe("the README", () => {
  it("gives secret scanners the expression that the code uses", () => {
    const [, expression] = /## Finding leaked keys[\s\S]*?```\n(.*)\n```/.exec(readme) ?? [];
    expect(expression).toBe(TOKEN_PATTERN.source);
  });
});

describe("docs/storage.md", () => {
  it("names every table of a keyring and every column", async () => {
    const ring = await makeKeyring();
    const object = env.KEYRING.get(env.KEYRING.idFromName(ring.code));
    const names = await runInDurableObject(object, (_, { storage: { sql } }) => {
      const tables = sql
        .exec<{ name: string }>(
          "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
        )
        .toArray()
        .map(({ name }) => name);
      const columns = tables.flatMap((table) =>
        sql
          .exec<{ name: string }>("SELECT name FROM pragma_table_info(?)", table)
          .toArray()
          .map(({ name }) => name),
      );
      return [...new Set([...tables, ...columns])];
    });
    expect(names.length).toBeGreaterThan(50);
    // `name` and `value` of settings, `version` of schemaVersion: words of the text around them.
    const missing = names.filter((name) => !new RegExp(`\\b${name}\\b`).test(storage));
    expect(missing).toEqual([]);
  });
});

describe("docs/errors.md", () => {
  it("is what `npm run docs` makes of the catalogue", () => {
    expect(errors).toBe(renderErrorsPage());
  });

  it("has a line for every code with its status, and none for anything else", () => {
    const lines = [...errors.matchAll(/^\| <a id="([^"]+)"><\/a>`\1` \| (\d{3}) \| \S/gm)];
    const found = lines.map(([, code, status]) => [code, Number(status)]);
    const expected = Object.entries(CATALOGUE).map(([code, { status }]) => [code, status]);
    expect(found.toSorted()).toEqual(expected.toSorted());
  });
});

describe("the catalogue of errors", () => {
  const sources = import.meta.glob<string>("../src/**/*.ts", {
    query: "?raw",
    import: "default",
    eager: true,
  });

  it("has no code that nothing answers", () => {
    const served = Object.entries(sources).filter(([path]) => !/^\.\.\/src\/(errors|local)\//.test(path));
    const text = served.map(([, source]) => source).join("\n");
    expect(text.length).toBeGreaterThan(100_000);
    const unused = Object.keys(CATALOGUE).filter((code) => !text.includes(`"${code}"`));
    expect(unused).toEqual([]);
  });
});
