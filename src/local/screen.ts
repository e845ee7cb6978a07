/** What the demo prints: one line a step, with the time since the start. Colours only on a terminal. */
import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

const SUBJECT_WIDTH = 16;

export class Screen {
  readonly #startedAt = performance.now();

  /** Seconds since the start. */
  get elapsed(): number {
    return (performance.now() - this.#startedAt) / 1_000;
  }

  title(text: string, about: string): void {
    print(`\n  ${paint("bold", text)}  ${about}`);
  }

  section(text: string): void {
    print(`\n  ${paint(["bold", "cyan"], text)}`);
  }

  /** Something that was checked and is as it should be. */
  done(subject: string, text: string): void {
    this.#step(paint("green", "✓"), subject, text);
  }

  /** Something that goes on. */
  note(subject: string, text: string): void {
    this.#step(paint("yellow", "·"), subject, text);
  }

  failed(subject: string, lines: readonly string[]): void {
    this.#step(paint("red", "✗"), subject, lines.join(`\n${" ".repeat(13 + SUBJECT_WIDTH)}`));
  }

  table(rows: readonly (readonly string[])[]): void {
    const widths = (rows[0] ?? []).map((_, column) =>
      Math.max(...rows.map((row) => (row[column] ?? "").length)),
    );
    for (const [index, row] of rows.entries()) {
      const line = row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("   ")
        .trimEnd();
      print(`    ${index === 0 ? paint("dim", line) : line}`);
    }
  }

  lines(text: string): void {
    print(text);
  }

  #step(mark: string, subject: string, text: string): void {
    const time = `${this.elapsed.toFixed(1).padStart(6)}s`;
    print(`  ${paint("dim", time)}  ${mark} ${subject.padEnd(SUBJECT_WIDTH)} ${text}`);
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** `styleText` looks at the stream, NO_COLOR and FORCE_COLOR itself. */
function paint(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}
