/** What the documents state as fact, held against the code. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import errors from "../docs/errors.md?raw";
import storage from "../docs/storage.md?raw";
import readme from "../README.md?raw";
import { CATALOGUE } from "../src/errors/catalogue.ts";
import { renderErrorsPage } from "../src/errors/page.ts";
import { TOKEN_PATTERN } from "../src/issuer/token.ts";
import { findUnregistered, PAGES, PROVIDER_PAGES } from "../src/local/pages/all.ts";
import { findGaps, renderProviderPage } from "../src/local/pages/provider.ts";
import type { Provider } from "../src/providers/provider.ts";
import { PROVIDERS } from "../src/providers/registry.ts";
import { makeKeyring } from "./support/api.ts";

describe("the README", () => {
  it("gives secret scanners the expression that the code uses", () => {
    const [, expression] = /## Finding leaked keys[\s\S]*?```\n(.*)\n```/.exec(readme) ?? [];
    expect(expression).toBe(TOKEN_PATTERN.source);
  });
});

describe("the pages of providers", () => {
  const pages = import.meta.glob<string>("../docs/providers/*.md", {
    query: "?raw",
    import: "default",
    eager: true,
  });
  const modules = import.meta.glob<Record<string, unknown>>("../src/providers/*.ts", { eager: true });
  const all: Provider[] = Object.values(PROVIDERS);

  it("are what `npm run docs` makes of the code, one for each provider and none for anything else", () => {
    const expected = PAGES.filter(({ path }) => path.startsWith(PROVIDER_PAGES));
    expect(pages).toEqual(Object.fromEntries(expected.map(({ path, render }) => [`../${path}`, render("")])));
    expect(expected).toHaveLength(all.length);
  });

  it("are all named in the README's table, which is made, too", () => {
    const table = PAGES.find(({ path }) => path === "README.md");
    expect(table?.render(readme)).toBe(readme);
    for (const { name } of all) expect(readme).toContain(`(docs/providers/${name}.md)`);
  });

  it("know every provider that a file of src/providers exports", () => {
    expect(findUnregistered(modules)).toEqual([]);
    const stray = { ...PROVIDERS.bitscale, name: "stray" };
    expect(findUnregistered({ ...modules, "stray.ts": { stray } })).toEqual([
      "stray.ts: the provider stray is not in src/providers/registry.ts",
    ]);
  });

  it("want to be told what a provider needs and does", () => {
    expect(all.flatMap(findGaps)).toEqual([]);
    const { about: _, ...silent } = PROVIDERS.bitscale;
    expect(findGaps(silent)).toEqual(["bitscale: has no about"]);
    const vague: Provider = {
      ...PROVIDERS.log10x,
      about: {
        page: "somewhere",
        leastScope: " ",
        calls: { mint: "POST /" },
        notes: [],
        unverified: [],
      },
      config: z.strictObject({ region: z.string() }),
    };
    expect(findGaps(vague)).toEqual([
      "log10x: about.page is no https address",
      "log10x: about.leastScope is empty",
      "log10x: about.calls lacks preflight",
      "log10x: about.calls lacks test",
      "log10x: about.instead is missing",
      "log10x: key config.region has no description",
    ]);
  });

  it("show the fields of every form that a credential may have", () => {
    const credential = z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("token"), token: z.string().describe("The token.") }),
      z.strictObject({ kind: z.literal("user"), user: z.string().describe("Who it is.") }),
    ]);
    const { connection } = PROVIDERS.llmconveyors;
    if (!connection) throw new Error("it has one");
    const page = renderProviderPage({ ...PROVIDERS.llmconveyors, connection: { ...connection, credential } });
    expect(page).toContain("| `kind` | needed |  One of `token`, `user`. |");
    expect(page).toContain("| `token` | in one form | The token. |");
    expect(page).toContain("| `user` | in one form | Who it is. |");
  });

  it.each(all.map((provider) => [provider.name, provider] as const))(
    "%s shows calls whose bodies are JSON, and no undefined",
    (_, provider) => {
      const page = renderProviderPage(provider);
      expect(page).not.toMatch(/undefined|\[object/);
      const bodies = [...page.matchAll(/-d '([^']*)'/g)].map(([, body = ""]) => JSON.parse(body));
      // A service that is described has no calls but those of its description.
      if (provider.configured && provider.connection) return expect(page).toContain("](../http.md)");
      expect(bodies.at(-1)).toMatchObject({ provider: provider.name, name: `${provider.name}-key` });
    },
  );
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
