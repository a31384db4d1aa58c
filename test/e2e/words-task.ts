import { defineTask } from "@quaymesh/node";
import { z } from "zod";

/** The definition of examples/node.ts, for `quaymesh node run --tasks`. */
export const countWords = defineTask({
  name: "text.words",
  input: z.object({ text: z.string() }),
  output: z.object({ words: z.int() }),
  run: ({ text }) => ({ words: text.split(/\s+/u).filter(Boolean).length }),
});
