/**
 * `npm run bench -- [NAME…] [--json FILE] [--doc]`: measures cost and speed on real workerd and compares them with their targets.
 * It ends with 1 when one is missed. `--doc` writes what was measured into docs/performance.md.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { benchCompromise } from "./compromise.ts";
import { writePage } from "./doc.ts";
import { type Findings, isMet } from "./figure.ts";
import { describeMachine } from "./machine.ts";
import { benchRotations } from "./rotations.ts";
import { benchRows } from "./rows.ts";
import { benchSlow } from "./slow.ts";
import { Stage } from "./stage.ts";
import { benchStore } from "./store.ts";
import { figuresTable, renderTable } from "./table.ts";
import { benchVerify } from "./verify.ts";

const BENCHES: Record<string, (stage: Stage) => Promise<Findings>> = {
  rows: benchRows,
  rotations: benchRotations,
  slow: benchSlow,
  store: benchStore,
  verify: benchVerify,
  compromise: benchCompromise,
};
/** Long over by then, unless something hangs. */
const DEADLINE_MS = 35 * 60_000;

const { names, json, doc } = readArguments();
const stage = new Stage();
let stopping: Promise<never> | undefined;
const stop = (why: string, code: number): void => {
  console.error(why);
  stopping ??= stage.end().then(() => process.exit(code));
};
process.on("SIGINT", () => stop("stopped", 130));
process.on("SIGTERM", () => stop("stopped", 143));
setTimeout(() => stop("the benchmarks took too long", 1), DEADLINE_MS).unref();

const found: Findings = { figures: [], tables: [] };
try {
  for (const name of names) {
    const begun = performance.now();
    const findings = await BENCHES[name]?.(stage);
    await stage.close();
    found.figures.push(...(findings?.figures ?? []));
    found.tables.push(...(findings?.tables ?? []));
    console.error(`${name}: ${((performance.now() - begun) / 1_000).toFixed(0)} s`);
  }
} catch (error) {
  // What runs while all is being ended breaks.
  await stopping;
  throw error;
} finally {
  await stage.end();
}

const machine = describeMachine();
const text = [
  Object.entries(machine)
    .map(([name, value]) => `${name} ${value}`)
    .join(", "),
  ...[figuresTable(found.figures), ...found.tables].map(renderTable),
].join("\n\n");
console.log(text);
if (doc) writePage(text);
if (json !== undefined) {
  const figures = found.figures.map((figure) => ({ ...figure, ok: isMet(figure) ?? null }));
  writeFileSync(json, `${JSON.stringify({ machine, figures, tables: found.tables }, null, 2)}\n`);
}
if (found.figures.some((figure) => isMet(figure) === false)) process.exitCode = 1;

function readArguments(): { names: string[]; json: string | undefined; doc: boolean } {
  try {
    const { values, positionals } = parseArgs({
      options: { json: { type: "string" }, doc: { type: "boolean", default: false } },
      allowPositionals: true,
    });
    const all = Object.keys(BENCHES);
    const unknown = positionals.filter((name) => !all.includes(name));
    if (unknown.length > 0) throw new Error(`there is no ${unknown.join(", ")}, only ${all.join(", ")}`);
    if (values.doc && positionals.length > 0) throw new Error("--doc takes all of them");
    return { names: positionals.length > 0 ? positionals : all, ...values, json: values.json };
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(2);
  }
}
