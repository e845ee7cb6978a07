/** Text of OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/). */

export const OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";

export interface Sample {
  labels?: Record<string, string>;
  value: number;
}

export interface Family {
  name: string;
  type: "gauge" | "summary";
  unit?: "seconds";
  help: string;
  samples: readonly Sample[];
}

/** @throws when a name does not end in its unit, which the format asks for */
export function renderFamilies(families: readonly Family[]): string {
  return `${families.map(renderFamily).join("")}# EOF\n`;
}

function renderFamily({ name, type, unit, help, samples }: Family): string {
  if (unit && !name.endsWith(`_${unit}`)) throw new Error(`${name} does not end in ${unit}`);
  const lines = [
    `# TYPE ${name} ${type}`,
    ...(unit ? [`# UNIT ${name} ${unit}`] : []),
    `# HELP ${name} ${escapeText(help)}`,
    ...samples.map(({ labels = {}, value }) => `${name}${renderLabels(labels)} ${value}`),
  ];
  return `${lines.join("\n")}\n`;
}

function renderLabels(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeText(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
