/** Settings that say where a service is. */
import { z } from "zod";

/**
 * An address below which paths go: kept without a slash at its end.
 * @param usual where the service is when nobody says otherwise
 */
export function addressSetting(usual: string, description = "Where the API is.") {
  return z
    .url()
    .refine((text) => !/[?#]/.test(text), { message: "must have no query and no fragment" })
    .overwrite((text) => text.replace(/\/+$/, ""))
    .default(usual)
    .describe(description);
}
