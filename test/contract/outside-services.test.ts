import { promise, promiseAll } from "./outside.ts";

promise("the five services");
promiseAll();
