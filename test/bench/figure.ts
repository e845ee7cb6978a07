/** What a benchmark finds: figures with their targets, and tables to read them by. */

export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** What it is compared with, measured in the same run. */
  against?: { name: string; value: number };
  /** What must hold of the value, or of its ratio to what it is compared with. */
  target?: { of: "value" | "ratio" } & ({ atMost: number } | { atLeast: number });
}

export interface Table {
  title: string;
  columns: string[];
  rows: (string | number)[][];
}

export interface Findings {
  figures: Figure[];
  tables: Table[];
}

/** The value over what it is compared with. */
export function ratioOf({ value, against }: Figure): number | undefined {
  return against && value / against.value;
}

/** Whether a figure meets its target; undefined when it has none. */
export function isMet(figure: Figure): boolean | undefined {
  const { target } = figure;
  if (!target) return undefined;
  const measured = target.of === "ratio" ? ratioOf(figure) : figure.value;
  if (measured === undefined)
    throw new Error(`${figure.name} has a target for a ratio and nothing to compare with`);
  return "atMost" in target ? measured <= target.atMost : measured >= target.atLeast;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value that this share of all lies below. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const found = sorted[Math.floor(sorted.length * share)];
  if (found === undefined) throw new Error("a quantile of nothing");
  return found;
}
