/**
 * A node of its own process, over QUIC: it stays linked and reports an event every so often. Argument: {@link NodeChildOptions} as JSON. Writes each state of its link as a line of
 * JSON. Ends with its standard input.
 */
import { Node } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import type { NodeChildOptions } from "./node-process.ts";

const options = JSON.parse(process.argv[2] ?? "") as NodeChildOptions;
const quic = createQuicTransport({ keepAliveMs: options.keepAliveMs, datagramBytes: 1350 });
const node = await Node.open({
  state: options.state,
  transport: {
    listen: (listening) => quic.listen(listening),
    // Where the test wants it to go, not where it paired.
    dial: (_address, dialing) => quic.dial(options.gateway, { ...dialing, idleTimeoutMs: options.idleTimeoutMs }),
  },
});
const abort = new AbortController();
// Whoever started it is gone.
process.stdout.on("error", () => process.exit(1));
process.stdin.resume().on("end", () => abort.abort());
const running = node.run({ signal: abort.signal });
const reporting = setInterval(() => void node.publish("test.tick", null, { durability: "buffered", flush: true }), 100);
for await (const state of node.states()) process.stdout.write(`${JSON.stringify({ kind: state.kind })}\n`);
clearInterval(reporting);
await running;
