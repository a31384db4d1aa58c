/** A real node's working day during a flood: connect, an event, a task. */
import { Node, defineTask } from "@quaymesh/node";
import type { Device, Rig } from "./rig.ts";

const text = {
  "~standard": {
    version: 1,
    vendor: "test",
    types: undefined as { readonly input: string; readonly output: string } | undefined,
    validate: (value: unknown) => (typeof value === "string" ? { value } : { issues: [{ message: "not a text" }] }),
  },
} as const;

const shout = defineTask({ name: "text.shout", input: text, output: text, run: (input) => input.toUpperCase() });

/** Run a node from nothing until its event is committed and its task's result is back. @returns milliseconds of all of it */
export async function dayOf(rig: Rig, device: Device): Promise<number> {
  const startedAt = performance.now();
  await using node = await Node.open({ state: device.state, transport: rig.transport, tasks: [shout] });
  const running = node.run();
  running.catch(() => {});
  await node.publish("flood.tick", { n: 1 }, { flush: true });
  const task = await rig.client.tasks.submit(shout, "hello", { on: { device: device.id } });
  const result = await task.result();
  if (result !== "HELLO") throw new Error(`the task answered ${JSON.stringify(result)}`);
  return performance.now() - startedAt;
}
