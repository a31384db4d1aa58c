export { hoards as target } from "./targets.ts";
