export { hangs as target } from "./targets.ts";
