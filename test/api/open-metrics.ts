/** Reads the text of OpenMetrics 1.0, strictly, as far as gauges and summaries go. */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  type: string;
  help: string;
  unit: string;
  samples: Sample[];
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\n|\\")*)"(?:,|$)/;

/** @throws on anything that the format does not allow: a sample outside its family, one that is there twice, no end */
export function parseOpenMetrics(text: string): Map<string, Family> {
  if (!text.endsWith("# EOF\n")) throw new Error("no # EOF at the end");
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let present: { name: string; family: Family } | undefined;
  for (const line of text.slice(0, -"# EOF\n".length).split("\n").slice(0, -1)) {
    const [, kind, name = "", rest = ""] = /^# (TYPE|UNIT|HELP) (\S+) (.+)$/.exec(line) ?? [];
    if (kind) {
      if (present?.name !== name) {
        if (families.has(name)) throw new Error(`${name} comes twice`);
        present = { name, family: { type: "", help: "", unit: "", samples: [] } };
        families.set(name, present.family);
      }
      const field = kind.toLowerCase() as "type" | "unit" | "help";
      if (present.family[field] !== "") throw new Error(`${kind} of ${name} comes twice`);
      if (present.family.samples.length > 0) throw new Error(`${kind} of ${name} comes after its samples`);
      present.family[field] = rest;
      continue;
    }
    const [, sampleName, labelText = "", value] = SAMPLE.exec(line) ?? [];
    if (sampleName === undefined) throw new Error(`not a line of OpenMetrics: ${line}`);
    if (sampleName !== present?.name) throw new Error(`${sampleName} stands outside its family`);
    const labels = parseLabels(labelText);
    const identity = `${sampleName} ${JSON.stringify(Object.entries(labels).sort())}`;
    if (seen.has(identity)) throw new Error(`${identity} comes twice`);
    seen.add(identity);
    present.family.samples.push({ name: sampleName, labels, value: Number(value) });
  }
  for (const [name, family] of families) checkFamily(name, family);
  return families;
}

function checkFamily(name: string, { type, help, unit, samples }: Family): void {
  if (type !== "gauge" && type !== "summary") throw new Error(`${name} has the type ${type}`);
  if (help === "") throw new Error(`${name} has no help`);
  if (/_(?:total|created|bucket|count|sum|info)$/.test(name))
    throw new Error(`${name} has a suffix of another type`);
  if (unit !== "" && !name.endsWith(`_${unit}`)) throw new Error(`${name} does not end in its unit ${unit}`);
  for (const { labels } of samples) {
    if ("quantile" in labels !== (type === "summary")) throw new Error(`${name} and its label quantile`);
  }
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== ""; ) {
    const [whole, name = "", value = ""] = LABEL.exec(rest) ?? [];
    if (whole === undefined || name in labels) throw new Error(`not labels: ${text}`);
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
    rest = rest.slice(whole.length);
  }
  return labels;
}
