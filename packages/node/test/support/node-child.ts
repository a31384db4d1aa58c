/** Runs a node and its gateway in one process, asks it for a task that never ends, and says so. Argument: the state directory. */
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { z } from "zod";
import { defineTask, Node } from "../../src/index.ts";
import { FakeGateway } from "./fake-gateway.ts";

const state = process.argv[2];
if (state === undefined) throw new Error("usage: node-child STATE");
const network = createMemoryNetwork();
const gateway = await FakeGateway.listen(network);
const endless = defineTask({
  name: "endless",
  input: z.null(),
  output: z.null(),
  run: () => {
    process.stdout.write("running\n");
    return new Promise<null>((resolve) => setTimeout(() => resolve(null), 60_000));
  },
});
const node = await Node.open({ state, transport: network, tasks: [endless] });
const running = node.run();
await gateway.until(() => gateway.sessions.length === 1);
await gateway.runTask({ definition: "endless", token: 7 }, null);
await running;
