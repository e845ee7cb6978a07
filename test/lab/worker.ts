/** Rekey with the lab's services among its providers, and otherwise the Worker as it is. The first import has to be the first. */
import "./register-by-env.ts";

export * from "../../src/index.ts";
export { default } from "../../src/index.ts";
