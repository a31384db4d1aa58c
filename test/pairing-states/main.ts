/** `npm run pairing-states`: writes the tables of `docs/pairing-states.md` anew. */
import { readFile, writeFile } from "node:fs/promises";
import { DOCUMENT, explore, renderTables, withTables } from "./document.ts";

const before = await readFile(DOCUMENT, "utf8");
const after = withTables(before, renderTables(explore()));
await writeFile(DOCUMENT, after);
process.stdout.write(before === after ? "nothing has changed\n" : "docs/pairing-states.md is written anew\n");
