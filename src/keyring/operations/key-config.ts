/** A key's own settings at its service: checked when it is made, and what of them may change. */
import { describeProblem } from "../../destinations/address.ts";
import type { FieldError } from "../../errors/catalogue.ts";
import { fieldErrorsOf } from "../../errors/fields.ts";
import type { Provider } from "../../providers/provider.ts";
import { err, ok, type Result } from "../../result.ts";
import type { EngineContext } from "../../rotation/context.ts";

/** A key's own settings, checked by its provider. */
export function parseKeyConfig(
  provider: Provider,
  config: Record<string, unknown> | undefined,
): Result<Record<string, unknown>, FieldError[]> {
  if (!provider.config) {
    const isEmpty = Object.keys(config ?? {}).length === 0;
    return isEmpty
      ? ok({})
      : err([{ path: "config", message: `a key of ${provider.title} has no settings of its own` }]);
  }
  const { success, data, error } = provider.config.safeParse(config ?? {});
  return success ? ok(data) : err(fieldErrorsOf(error.issues, ["config"]));
}

/** Other settings for a key: only in what says nothing of where and how its values go. */
export function changeKeyConfig(
  provider: Provider,
  present: Record<string, unknown>,
  wanted: Record<string, unknown>,
): Result<Record<string, unknown>, FieldError[]> {
  const config = parseKeyConfig(provider, wanted);
  if (!config.ok) return config;
  const names = new Set([...Object.keys(present), ...Object.keys(config.value)]);
  const isSame = (name: string) => JSON.stringify(present[name]) === JSON.stringify(config.value[name]);
  const fixed = [...names].filter((name) => !provider.changeable?.includes(name) && !isSame(name));
  const message = "cannot be changed, as it decides what becomes of its values; make another key";
  return fixed.length > 0 ? err(fixed.map((name) => ({ path: `config.${name}`, message }))) : config;
}

/** What is wrong with the addresses to which settings send values. */
export function findAddressErrors({ outbound }: EngineContext, addresses: readonly string[]): FieldError[] {
  return addresses
    .flatMap((url) => outbound.problemOf(url) ?? [])
    .map((problem) => ({ path: "config", message: `where it sends values ${describeProblem(problem)}` }));
}
