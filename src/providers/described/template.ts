/**
 * Text with placeholders, `Bearer {{credential.secret}}`, filled in for where it stands: what comes from a key, a service or a person
 * can neither leave its part of an address, begin a header, nor break out of a JSON string.
 */
import { err, ok, type Result } from "../../result.ts";

const PLACEHOLDER = /\{\{([A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)?)\}\}/g;

/** Groups whose values are secret: they go into no address. */
const SECRET_GROUPS = ["credential", "old", "value"];

/** What a placeholder stands for; undefined when there is nothing. */
export type Lookup = (name: string) => unknown;

/** A template's placeholders by name, in order. */
export function namesIn(template: string): string[] {
  return [...template.matchAll(PLACEHOLDER)].map(([, name = ""]) => name);
}

/** Whether braces are left that belong to no placeholder. */
export function isMalformed(template: string): boolean {
  return /\{\{|\}\}/.test(template.replace(PLACEHOLDER, ""));
}

/** The template with something harmless in place of each placeholder. */
export function sampleOf(template: string): string {
  return template.replace(PLACEHOLDER, "x");
}

/** The field that a name means in a group, or undefined: `secret` of `value.secret`. */
export function fieldOf(name: string, group: string): string | undefined {
  return name.startsWith(`${group}.`) ? name.slice(group.length + 1) : undefined;
}

export function isSecret(name: string): boolean {
  return SECRET_GROUPS.some((group) => fieldOf(name, group) !== undefined);
}

/** Fills in the templates of one request. What cannot be filled in is kept as the problem of all of it. */
export class Filling {
  readonly #lookUp: Lookup;
  #problem: string | undefined;

  constructor(lookUp: Lookup) {
    this.#lookUp = lookUp;
  }

  /** The request, or why there is none. */
  finish<T>(request: T): Result<T, string> {
    return this.#problem === undefined ? ok(request) : err(this.#problem);
  }

  url(template: string): string {
    const url = this.#fill(template, (text, name) => {
      if (text === "")
        this.#fail(`{{${name}}} is empty, and an address without it would mean something else`);
      return text.isWellFormed() ? encodeURIComponent(text) : this.#fail(`{{${name}}} is no text`);
    });
    const path = url.replace(/[?#].*$/, "");
    // Such a step would lead out of where the value was to stand.
    if (/\/\.{1,2}(?:\/|$)/.test(path)) this.#fail("a step of its address would be . or ..");
    return url;
  }

  header(template: string): string {
    const text = this.text(template);
    return /^[\x20-\x7e\x80-\xff]*$/.test(text)
      ? text
      : this.#fail("a header cannot carry one of its values");
  }

  text(template: string): string {
    return this.#fill(template, (text) => text);
  }

  /** Every text in it is a template; one that is nothing but a placeholder keeps its value's own type. */
  json(value: unknown): unknown {
    if (typeof value === "string") return this.#alone(value) ?? this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.json(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.json(item)]));
  }

  #alone(template: string): unknown {
    const [name] = namesIn(template);
    return name !== undefined && template === `{{${name}}}` ? this.#lookUp(name) : undefined;
  }

  #fill(template: string, place: (text: string, name: string) => string): string {
    return template.replace(PLACEHOLDER, (_, name: string) => {
      const value = this.#lookUp(name);
      if (typeof value === "object" || value === undefined) return this.#fail(`{{${name}}} has no value`);
      return place(String(value), name);
    });
  }

  #fail(problem: string): "" {
    this.#problem ??= problem;
    return "";
  }
}
