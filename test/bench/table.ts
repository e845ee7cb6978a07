/** Findings as text. */
import { type Figure, isMet, ratioOf, type Table } from "./figure.ts";

/** The table of all figures: what was measured, what it should be, and whether it is. */
export function figuresTable(figures: readonly Figure[]): Table {
  return {
    title: "Figures",
    columns: ["", "measured", "compared with", "ratio", "target", "ok"],
    rows: figures.map((figure) => {
      const { name, value, unit, against } = figure;
      const ratio = ratioOf(figure);
      const met = isMet(figure);
      return [
        name,
        `${readable(value)} ${unit}`,
        against ? `${against.name}: ${readable(against.value)}` : "",
        ratio === undefined ? "" : readable(ratio),
        targetText(figure),
        met === undefined ? "" : met ? "yes" : "NO",
      ];
    }),
  };
}

/** A table in Markdown, with columns aligned for the terminal. */
export function renderTable({ title, columns, rows }: Table): string {
  const cells = [columns, ...rows].map((row) =>
    row.map((cell) => (typeof cell === "number" ? readable(cell) : cell)),
  );
  const widths = columns.map((_, column) => Math.max(3, ...cells.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) =>
    `| ${widths.map((width, column) => (row[column] ?? "").padEnd(width)).join(" | ")} |`;
  const [head = [], ...body] = cells;
  return [`${title}\n`, line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join(
    "\n",
  );
}

/** Few digits, grouped in thousands. */
export function readable(value: number): string {
  const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

function targetText({ target, unit }: Figure): string {
  if (!target) return "";
  const limit = "atMost" in target ? `<= ${readable(target.atMost)}` : `>= ${readable(target.atLeast)}`;
  return target.of === "ratio" ? `ratio ${limit}` : `${limit} ${unit}`;
}
