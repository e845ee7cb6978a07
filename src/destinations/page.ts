/** The page of a type of destination, made from what it says of itself, by `npm run docs`. */
import { z } from "zod";
import type { Destination, Route } from "./destination.ts";

const settingsSchema = z.object({
  properties: z.record(
    z.string(),
    z.object({ description: z.string().default(""), default: z.unknown().optional() }),
  ),
  required: z.array(z.string()).default([]),
});

export function renderDestinationPage(destination: Destination): string {
  const { type, title, about, through, confirms } = destination;
  const example = { name: type, type, config: about.example };
  const lines = [
    `# ${title}: \`${type}\``,
    "",
    about.summary,
    "",
    `Read on: ${about.page}`,
    "",
    "## Settings",
    "",
    "| setting | | what it is |",
    "| --- | --- | --- |",
    ...settingsOf(destination),
    "",
    "```http",
    "POST /v1/destinations",
    "",
    JSON.stringify(example, null, 2),
    "```",
    "",
    "## What it promises",
    "",
    confirms
      ? "- A value is `delivered` once the place itself has said that it holds it."
      : "- `delivered` says that the message came. Whether its consumer uses the value only the consumer can say.",
    `- Until all readers see a new value: ${readersOf(destination)}. No old version is revoked earlier, emergencies aside.`,
    "- It is safe to send a value twice; what was sent last is what it holds.",
    ...(through ? throughOf(through) : []),
    ...about.notes.map((note) => `- ${note}`),
    "",
    "## Calls",
    "",
    ...(about.leastScope
      ? [`The least that the connection's credential must be allowed to do: ${about.leastScope}.`, ""]
      : []),
    "| for | call |",
    "| --- | --- |",
    ...Object.entries(about.calls).map(([what, call]) => `| ${what} | ${call} |`),
    "",
    ...(about.unverified
      ? [
          "## Not verified",
          "",
          "What nobody has read in the service's own specification:",
          "",
          ...about.unverified.map((one) => `- ${one}`),
          "",
        ]
      : []),
    "This page is made from the code by `npm run docs`.",
    "",
  ];
  return lines.join("\n");
}

function settingsOf({ config }: Destination): string[] {
  const { properties, required } = settingsSchema.parse(z.toJSONSchema(config, { io: "input" }));
  return Object.entries(properties).map(([name, { description, default: usual }]) => {
    const kind = required.includes(name)
      ? "needed"
      : usual === undefined
        ? ""
        : `default \`${textOf(usual)}\``;
    return `| \`${name}\` | ${kind} | ${description} |`;
  });
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function readersOf({ propagationMs, about, config }: Destination): string {
  const seconds = propagationMs(config.parse(about.example)) / 1_000;
  return seconds === 0 ? "at once" : `${seconds} s, or what \`propagation\` says`;
}

function throughOf({ provider }: Route): string[] {
  return [
    `- It goes through a connection of the provider \`${provider}\` (docs/connections.md) and shares the calls that its service allows (docs/providers/${provider}.md) with everything else on it. What would be too much is sent later.`,
    "- The connection cannot be deleted or pointed at another account while a destination goes through it; another credential for the same account is used from the next call on.",
    "- Two keys that would write to the same name are refused with 409 `target-taken`, whichever destination of the keyring they go through.",
  ];
}
