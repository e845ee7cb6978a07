import { promise } from "./outside.ts";

promise("the platforms");
