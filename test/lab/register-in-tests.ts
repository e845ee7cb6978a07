/** Registers the lab for tests inside workerd, by being imported, before anything of Rekey's API is. */
import { registerLab } from "./register.ts";

/** A public name, so that it may be called as any other service. */
export const LAB_URL = "https://lab.acme.dev";

registerLab(LAB_URL);
