/** Words from outside without the values of this keyring: in a text that is kept, whatever somebody pasted into it. */
import { TOKEN_PATTERN } from "../issuer/token.ts";
import type { EngineContext } from "./context.ts";

const HIDDEN = "[secret]";
/** A value that a service outside made is hardly shorter. */
const MIN_SECRET = 8;
/** What stands around a value in a sentence, an address or code; a value may have some of it inside, too. */
const AROUND = "\"'`.,;:=()\\[\\]{}<>?&#/\\\\|!";
const EDGES = new RegExp(`^[${AROUND}]+|[${AROUND}]+$`, "g");
const BETWEEN = new RegExp(`([${AROUND}]+)`);

/** The text with whatever is, or looks like, a value of this keyring taken out. */
export function withoutValues(context: EngineContext, text: string): string {
  return text
    .replace(new RegExp(TOKEN_PATTERN.source, "g"), HIDDEN)
    .replace(/\S+/g, (word) => withoutValue(context, word));
}

function withoutValue(context: EngineContext, word: string): string {
  const bare = word.replace(EDGES, "");
  for (const whole of [word, bare]) if (isKept(context, whole)) return word.replace(whole, HIDDEN);
  const parts = bare.split(BETWEEN);
  return parts.some((part) => isKept(context, part))
    ? word.replace(bare, parts.map((part) => (isKept(context, part) ? HIDDEN : part)).join(""))
    : word;
}

/** Whether a word is the value of a version, as it stands or percent-encoded. */
function isKept({ store, vault }: EngineContext, word: string): boolean {
  const spellings = new Set([word, decoded(word)]);
  return [...spellings].some(
    (one) => one.length >= MIN_SECRET && store.versions.byFingerprint(vault.fingerprint(one)).length > 0,
  );
}

function decoded(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}
