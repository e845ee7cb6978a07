/** Looks for a text that must be nowhere, in every spelling that it could have been written in. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** The text itself, as UTF-16, as hex, and as base64 at each of the three places where it may begin. */
export function spellingsOf(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].map((shift) => {
    const whole = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    // The characters at both ends depend on what stands beside it.
    return whole.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + bytes.length) * 8) / 6));
  });
  const hex = bytes.toString("hex");
  const plain = [bytes, Buffer.from(text, "utf16le")];
  const url = base64.map((part) => part.replaceAll("+", "-").replaceAll("/", "_"));
  return [...plain, ...[hex, hex.toUpperCase(), ...base64, ...url].map((spelled) => Buffer.from(spelled))];
}

/** True when a text is somewhere in it. */
export function holds(content: Buffer | string, spellings: readonly Buffer[]): boolean {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  return spellings.some((spelled) => bytes.includes(spelled));
}

/** Files below a folder that hold it, by their paths there. A file that vanishes meanwhile held nothing for long. */
export function filesThatHold(
  folder: string,
  spellings: readonly Buffer[],
  isExempt: (path: string) => boolean = () => false,
): string[] {
  return filesOf(folder)
    .map((file) => ({ file, path: relative(folder, file) }))
    .filter(({ path }) => !isExempt(path))
    .filter(({ file }) => existsSync(file) && holds(readFileSync(file), spellings))
    .map(({ path }) => path);
}

/** How many files were there to be looked at, so that an empty result is known to mean something. */
export function filesOf(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
