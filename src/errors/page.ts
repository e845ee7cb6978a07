/** docs/errors.md, made from the catalogue: what a program may meet, and what a person does about it. */
import { CATALOGUE, type CatalogueEntry } from "./catalogue.ts";

const INTRODUCTION = `# Errors

Made from \`src/errors/catalogue.ts\` by \`npm run docs\`; do not edit.

Every error is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457), \`application/problem+json\`). A program looks at
\`code\`, which never changes; \`remedy\` is the sentence of the last column, for people; \`type\` is \`urn:rekey:problem:\` and the code. \`detail\`
says more of this occurrence where there is more to say. When an error is returned, nothing was half-done.
`;

/** The whole page as Markdown, codes in order of status. */
export function renderErrorsPage(): string {
  const entries = Object.entries(CATALOGUE).map(([code, entry]: [string, CatalogueEntry]) => ({
    code,
    ...entry,
  }));
  const rows = entries
    .toSorted((a, b) => a.status - b.status)
    .map(
      ({ code, status, title, remedy }) =>
        `| <a id="${code}"></a>\`${code}\` | ${status} | ${inCell(title)} | ${inCell(remedy)} |`,
    );
  return [
    INTRODUCTION,
    "| code | HTTP status | what happened | what to do |",
    "| --- | --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

/** What is between angle brackets or bars would be markup. */
function inCell(text: string): string {
  return text.replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("|", "\\|");
}
