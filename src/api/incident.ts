/** A report of a leak as Markdown, for a postmortem. Words from outside stand in it as code, so that they format nothing. */
import type { CompromiseView, LeakView } from "../keyring/compromise-view.ts";

type Report = CompromiseView & { nextCursor: string | null };

/** The document. */
export function toMarkdown(report: Report): string {
  const { id, source, reporter, receivedAt, reports, leaks, open, secondsToDead, problem, items } = report;
  const more =
    report.nextCursor === null ? [] : ["", `${leaks - items.length} more leaks are on the next pages.`];
  return `${[
    `# Leak report ${id}`,
    "",
    `- received: ${receivedAt}`,
    `- from: ${source}, by ${reporter}`,
    `- named: ${reports}, of which ours: ${leaks}`,
    `- open: ${open}`,
    `- from the report until all were seen dead: ${secondsToDead === null ? "not yet" : duration(secondsToDead)}`,
    ...(problem === null ? [] : [`- problem: ${code(problem)}`]),
    ...items.flatMap(section),
    ...more,
  ].join("\n")}\n`;
}

function section(leak: LeakView): string[] {
  const { keyName, key, version, subject, kind, action, stageThen, stage, source, url } = leak;
  const title =
    kind === "version"
      ? `${code(keyName ?? key ?? subject)}, version ${version}`
      : `${kind} ${code(subject)}`;
  const rows = leak.timeline.map(
    ({ at, seconds, what }) => `| ${at} | ${duration(seconds)} | ${cell(what)} |`,
  );
  const deliveries = leak.deliveries.map(
    ({ destination, version: number, state, attempts }) =>
      `| ${destination} | ${number} | ${state} | ${attempts} |`,
  );
  return [
    "",
    `## ${title}`,
    "",
    ...(kind === "version" ? [`- stood: ${stageThen}; stands: ${stage}`] : []),
    `- done: ${action ?? "next"}`,
    ...(source === null ? [] : [`- seen: ${code(source)}`]),
    ...(url === null ? [] : [`- at: ${code(url)}`]),
    ...(leak.secondsToDead === null ? [] : [`- seen dead after: ${duration(leak.secondsToDead)}`]),
    "",
    "| time | after | what |",
    "| --- | --- | --- |",
    ...rows,
    ...(deliveries.length > 0
      ? [
          "",
          "| destination | version | delivery | failed tries |",
          "| --- | --- | --- | --- |",
          ...deliveries,
        ]
      : []),
    ...(leak.todo.length > 0 ? ["", "Open:", "", ...leak.todo.map((text) => `- ${text}`)] : []),
  ];
}

/** `40 ms`, `8.2 s`, `4 min 2 s`, `2 h 5 min`. */
function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
  if (seconds < 60) return `${Math.round(seconds * 10) / 10} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function code(text: string): string {
  return `\`${text.replaceAll("`", "'").replaceAll("\n", " ")}\``;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
