import { promise } from "./outside.ts";

promise("what is described");
