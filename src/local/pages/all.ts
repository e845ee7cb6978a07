/** Every page, or part of one, that is made from the code, by its path in the repository. */
import { renderDestinationPage } from "../../destinations/page.ts";
import { DESTINATIONS } from "../../destinations/registry.ts";
import { renderErrorsPage } from "../../errors/page.ts";
import { TOOLS } from "../../mcp/tools/registry.ts";
import type { Provider } from "../../providers/provider.ts";
import { PROVIDERS } from "../../providers/registry.ts";
import { renderPrompts, renderTools } from "./mcp.ts";
import { renderProviderPage, renderProviderTable } from "./provider.ts";

export interface Page {
  path: string;
  /** The page as it should be, given what is there. */
  render(present: string): string;
}

export const PROVIDER_PAGES = "docs/providers/";

const ALL: readonly Provider[] = Object.values(PROVIDERS);

export const PAGES: readonly Page[] = [
  { path: "docs/errors.md", render: renderErrorsPage },
  ...Object.values(DESTINATIONS).map((destination) => ({
    path: `docs/destinations/${destination.type}.md`,
    render: () => renderDestinationPage(destination),
  })),
  ...ALL.map((provider) => ({
    path: `${PROVIDER_PAGES}${provider.name}.md`,
    render: () => renderProviderPage(provider),
  })),
  {
    path: "docs/mcp.md",
    render: (present) => between(between(present, "tools", renderTools(TOOLS)), "prompts", renderPrompts()),
  },
  {
    path: "README.md",
    render: (present) => between(present, "providers", renderProviderTable(ALL)),
  },
];

/**
 * Puts text between the markers of a name.
 * @throws when the markers are not there
 */
function between(present: string, name: string, text: string): string {
  const [begin, end] = [`<!-- ${name}: made by npm run docs -->`, `<!-- /${name} -->`];
  const [from, to] = [present.indexOf(begin), present.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the markers "${begin}" and "${end}" are missing`);
  return `${present.slice(0, from + begin.length)}\n\n${text}\n\n${present.slice(to)}`;
}

/** Providers that the modules of src/providers export and the registry does not have. */
export function findUnregistered(modules: Readonly<Record<string, unknown>>): string[] {
  const registered = new Set<unknown>(ALL);
  return Object.entries(modules).flatMap(([path, module]) =>
    Object.entries(module as object)
      .filter(([, value]) => isProvider(value) && !registered.has(value))
      .map(([name]) => `${path}: the provider ${name} is not in src/providers/registry.ts`),
  );
}

function isProvider(value: unknown): boolean {
  return typeof value === "object" && value !== null && "overlap" in value && "mint" in value;
}
