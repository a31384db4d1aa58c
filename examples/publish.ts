import { Node } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";

const state = process.argv[2] ?? "./state"; // as `quaymesh node join` left it
await using node = await Node.open({ state, transport: createQuicTransport() });
const running = node.run();

const seq = await node.publish("sensor.reading", { celsius: 21.5 }, { flush: true }); // on this disk
await node.acknowledged(seq); // and committed by the gateway
console.log(`event ${seq} is in the log`);

await node.stop();
await running;
