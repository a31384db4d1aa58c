/** Opens its port, and then takes more memory than it may have. */
import { runPairingChild } from "../../src/pairing/child/run-child.ts";
import { tcpTransport } from "./tcp-transport.ts";

const kept: string[][] = [];
setTimeout(() => {
  for (;;) kept.push(Array.from({ length: 10_000 }, (_, at) => `${String(kept.length)} ${String(at)}`));
}, 300);
await runPairingChild(tcpTransport());
