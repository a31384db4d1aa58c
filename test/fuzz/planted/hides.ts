export { hides as target } from "./targets.ts";
