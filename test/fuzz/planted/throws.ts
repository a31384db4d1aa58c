export { throws as target } from "./targets.ts";
