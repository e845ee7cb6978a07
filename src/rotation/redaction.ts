/** Words from outside about where something leaked, without what leaked: an address may hold the very value in its query. */
import { TOKEN_PATTERN } from "../issuer/token.ts";
import type { Leaked } from "./matching.ts";

const MAX_LENGTH = 2_048;
const STAND_IN = "[value]";
const EVERY_TOKEN = new RegExp(TOKEN_PATTERN.source, "g");
/** Control characters, and what turns the direction of text around. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}]/gu;

/** The text as it may be kept, or null when there is none or it cannot be had without the value. */
export function redact(text: string | undefined, leaked: Leaked): string | null {
  if (text === undefined || text === "") return null;
  const values = "secret" in leaked ? spellings(leaked.secret) : [];
  let kept = text.replace(UNPRINTABLE, "");
  for (const value of values) kept = kept.replaceAll(value, STAND_IN);
  kept = kept.replace(EVERY_TOKEN, STAND_IN).slice(0, MAX_LENGTH);
  const plain = decode(kept);
  const isClean = values.every((value) => !plain.includes(value)) && plain.replace(EVERY_TOKEN, "") === plain;
  return isClean ? kept : null;
}

function spellings(secret: string): string[] {
  const encoded = [encodeURIComponent(secret), encodeURI(secret), Buffer.from(secret).toString("base64")];
  return [...new Set([secret, ...encoded, Buffer.from(secret).toString("base64url")])];
}

/** Percent-encoding undone, as often as it was done. */
function decode(text: string): string {
  let plain = text;
  for (let round = 0; round < 3; round++) {
    const next = plain.replace(/(?:%[0-9a-f]{2})+/gi, (bytes) =>
      Buffer.from(bytes.replaceAll("%", ""), "hex").toString("utf8"),
    );
    if (next === plain) break;
    plain = next;
  }
  return plain;
}
