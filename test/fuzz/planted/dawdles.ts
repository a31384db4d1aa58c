export { dawdles as target } from "./targets.ts";
