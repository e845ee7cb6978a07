/** docs/providers: one page for each provider, made from its metadata and its schemas, and what is missing for that. */
import type { Provider } from "../../providers/provider.ts";
import { describeFailures, describeOverlap, oldValueBriefly } from "./conduct.ts";
import { inCell, inWords, list, table } from "./markdown.ts";
import { exampleFor, type Setting, settingsOf } from "./settings.ts";

const SECTION_ORDER = ["preflight", "mint", "find", "list", "test", "lastUsed", "disable", "revoke"];

/** The whole page as Markdown. */
export function renderProviderPage(provider: Provider): string {
  const { name, title, about } = provider;
  const page = about ? ` · [${new URL(about.page).host}](${about.page})` : "";
  return `${[
    `# ${title}`,
    `Made from the code of the provider \`${name}\` by \`npm run docs\`; do not edit.`,
    `\`"provider":"${name}"\`${page} · the old value: ${oldValueBriefly(provider)}`,
    ...needsOf(provider),
    "## Set it up",
    isDescribed(provider) ? DESCRIBED.setUp : setUp(provider),
    ...(about ? ["## Calls", calls(about.calls)] : []),
    "## The old value",
    isDescribed(provider) ? DESCRIBED.oldValue : describeOverlap(provider).join("\n\n"),
    ...(isDescribed(provider) ? [] : timesOf(provider)),
    "## When something goes wrong",
    ...(isDescribed(provider) ? [DESCRIBED.failures] : []),
    table([
      ["what", "what follows"],
      ...describeFailures(asDescribed(provider)).map(([what, follows]) => [inCell(what), inCell(follows)]),
    ]),
    ...(about && about.notes.length > 0 ? ["## To know", list(about.notes)] : []),
    ...(about && about.unverified.length > 0
      ? [
          "## Not verified",
          "What nobody has read in the service's own specification or client:",
          list(about.unverified),
        ]
      : []),
  ].join("\n\n")}\n`;
}

/** Whether what a provider does depends on the settings of each connection. */
function isDescribed({ configured, connection }: Provider): boolean {
  return configured !== undefined && connection !== undefined;
}

/** What is true of every description, and where the rest stands. */
const DESCRIBED = {
  setUp: "[http.md](../http.md) has three services with every request, and says what each part means.",
  oldValue:
    "As `overlap` says: with `ours` both values work until Rekey revokes the old one, with `provider` the service ends it by itself after a while, with `none` it is dead the moment that the new one is made. [http.md](../http.md#the-description) says what each of them needs.",
  failures:
    "With overlap `ours`, and `find`, `test` and `revoke` described. What follows without them stands in [http.md](../http.md#what-is-safe-and-what-is-refused).",
};

/** A described service with all that can be described. */
function asDescribed(provider: Provider): Provider {
  if (!isDescribed(provider)) return provider;
  const never = () => Promise.reject(new Error("a page calls nobody"));
  return { ...provider, find: never, test: never, revoke: never };
}

/** Every provider in one table, for the README. */
export function renderProviderTable(providers: readonly Provider[]): string {
  return table([
    ["provider", "service", "a rotation's old value", "begins with", "connection"],
    ...providers.map((provider) => [
      `[\`${provider.name}\`](docs/providers/${provider.name}.md)`,
      inCell(provider.title),
      oldValueBriefly(provider),
      beginning(provider),
      !provider.connection ? "none" : provider.connection.isOptional ? "optional" : "needed",
    ]),
  ]);
}

function beginning({ needsFirst, adopts }: Provider): string {
  if (needsFirst) return "a value that is handed in";
  return `a value made for it${adopts ? ", or one handed in" : ""}`;
}

/** What a provider does not say of itself, in words. */
export function findGaps(provider: Provider): string[] {
  const { name, local, about, overlap, connection, config, mint: _, ...rest } = provider;
  const gaps: string[] = [];
  const undescribed = (what: string, settings: Setting[]) =>
    settings
      .filter(({ description, choices }) => description === undefined && choices.length !== 1)
      .map((one) => `${what}.${one.name} has no description`);
  if (!local && !about) gaps.push("has no about");
  if (about) {
    if (!/^https:\/\//.test(about.page)) gaps.push("about.page is no https address");
    if (about.leastScope.trim() === "") gaps.push("about.leastScope is empty");
    for (const what of ["preflight", "mint"])
      if (about.calls[what] === undefined) gaps.push(`about.calls lacks ${what}`);
    for (const what of ["test", "revoke", "list", "find", "lastUsed", "disable"] as const)
      if (rest[what] && about.calls[what] === undefined) gaps.push(`about.calls lacks ${what}`);
    if (overlap === "none" && about.instead === undefined) gaps.push("about.instead is missing");
  }
  gaps.push(
    ...undescribed("credential", settingsOf(connection?.credential)),
    ...undescribed("connection config", settingsOf(connection?.config)),
    ...undescribed("key config", settingsOf(config)),
  );
  return gaps.map((gap) => `${name}: ${gap}`);
}

function needsOf(provider: Provider): string[] {
  const { connection, config, about } = provider;
  if (provider.local)
    return ["## What it needs", "Nothing: Rekey itself makes these values, verifies them and ends them."];
  const account = !connection
    ? "No connection."
    : connection.isOptional
      ? `A connection only for what is not as usual${connection.credential ? ", or for its credential" : ""}.`
      : "A connection: the account at the service and what opens it.";
  const first = provider.needsFirst
    ? "A first value, handed in as `fields`: only the present value can lead to the next one."
    : "No first value: the service makes one. One that exists is adopted with `fields`.";
  const named =
    provider.revoke && !provider.find
      ? " With `fields` goes `reference`: how the service names that value, by which it is revoked later."
      : "";
  return [
    "## What it needs",
    ...(about ? [`**Least scope.** ${about.leastScope}`] : []),
    `**Account.** ${account}`,
    ...settingsTable(
      "credential",
      "What opens the account (`credential` of the connection)",
      settingsOf(connection?.credential),
    ),
    ...settingsTable("setting", "Settings of the connection (`config`)", settingsOf(connection?.config)),
    `**Key.** ${first}${named}`,
    ...settingsTable("setting", "Settings of the key (`config`)", settingsOf(config)),
  ];
}

function settingsTable(head: string, caption: string, settings: readonly Setting[]): string[] {
  if (settings.length === 0) return [];
  const rows = settings.map(({ name, needed, description = "", fallback, choices }) => [
    `\`${name}\``,
    needed === "no" && fallback !== undefined
      ? `\`${fallback}\``
      : { yes: "needed", sometimes: "in one form", no: "–" }[needed],
    inCell(
      `${description}${choices.length > 0 ? ` One of ${choices.map((one) => `\`${one}\``).join(", ")}.` : ""}`,
    ),
  ]);
  return [`${caption}:`, table([[head, "default", "what"], ...rows])];
}

function setUp(provider: Provider): string {
  const { name, connection, config, needsFirst, revoke, find, overlap, local, opensApi } = provider;
  const credential = exampleFor(connection?.credential);
  const isConnected = connection !== undefined && !connection.isOptional;
  const account = {
    name: `${name}-account`,
    provider: name,
    ...(connection?.credential && Object.keys(credential).length > 0 && { credential }),
    ...withoutEmpty("config", exampleFor(connection?.config)),
  };
  const policy =
    overlap === "none" ? { maxAge: "90d", allowDowntime: true } : { maxAge: "30d", grace: "24h" };
  const key = {
    name: `${name}-key`,
    provider: name,
    ...(isConnected && { connection: account.name }),
    ...withoutEmpty("config", exampleFor(config)),
    ...(opensApi && { scopes: ["keys:read"] }),
    ...(needsFirst && { fields: { secret: "…" } }),
    ...(needsFirst && revoke && !find && { reference: "…" }),
    policy,
    destinations: [{ id: "ops" }],
  };
  const yours = local ? "" : " What is `…` is yours.";
  const words = `\`$REKEY\` is where Rekey runs, \`$ROOT_TOKEN\` opens it (or an access key does), \`ops\` is a destination that exists.${yours}`;
  return [
    words,
    "",
    "```sh",
    ...(isConnected ? [curl("/v1/connections", account), ""] : []),
    curl("/v1/keys", key),
    "```",
  ].join("\n");
}

function withoutEmpty(name: string, fields: Record<string, unknown>): Record<string, unknown> {
  return Object.keys(fields).length > 0 ? { [name]: fields } : {};
}

function curl(path: string, body: object): string {
  // A quote in it would end the shell's string.
  const json = JSON.stringify(body, undefined, 2).replaceAll("'", "'\\''");
  return `curl -sS -X POST "$REKEY${path}" -H "authorization: Bearer $ROOT_TOKEN" -H 'content-type: application/json' -d '${json}'`;
}

function calls(made: Readonly<Record<string, string>>): string {
  const rank = (what: string) =>
    (SECTION_ORDER.indexOf(what) + SECTION_ORDER.length + 1) % (SECTION_ORDER.length + 1);
  return table([
    ["for", "call"],
    ...Object.entries(made)
      .toSorted(([a], [b]) => rank(a) - rank(b))
      .map(([what, call]) => [what, inCell(call)]),
  ]);
}

function timesOf({ local, timeoutMs, propagationMs, rateLimit, repeatsMint }: Provider): string[] {
  if (local) return [];
  const rows = [
    ["what", "how long"],
    ["The call that makes a new value is waited for", inWords(timeoutMs)],
    [
      "The service may refuse a new value, or still take a revoked one, for",
      propagationMs > 0 ? inWords(propagationMs) : "no time: its first word counts",
    ],
    ["The same call twice, with one idempotency key, makes one value", repeatsMint ? "yes" : "no"],
    ...(rateLimit
      ? [
          [
            "Calls that Rekey makes for one account, at most",
            `${rateLimit.calls} in ${inWords(rateLimit.perMs)}`,
          ],
        ]
      : []),
  ];
  return ["## Times and limits", table(rows)];
}
