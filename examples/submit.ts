import { connect } from "@quaymesh/gateway/client";
import { z } from "zod";

const countWords = {
  name: "text.words",
  input: z.object({ text: z.string() }),
  output: z.object({ words: z.int() }),
};

const state = process.argv[2]; // the gateway's state directory; without it, the default one
await using gateway = await connect(state === undefined ? {} : { state });
const task = await gateway.tasks.submit(countWords, { text: "the sea is wide" });
for await (const { task: now } of task.updates()) console.log(now.state);
const { words } = await task.result(); // typed by the definition
console.log(`${words} words`);
