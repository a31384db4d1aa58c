import { defineTask, Node } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { z } from "zod";

const countWords = defineTask({
  name: "text.words",
  input: z.object({ text: z.string() }),
  output: z.object({ words: z.int() }),
  run: ({ text }) => ({ words: text.split(/\s+/u).filter(Boolean).length }),
});

const state = process.argv[2] ?? "./state"; // as `quaymesh node join` left it
await using node = await Node.open({ state, transport: createQuicTransport(), tasks: [countWords] });
await node.run(); // until stopped: reconnects, resumes, renews
