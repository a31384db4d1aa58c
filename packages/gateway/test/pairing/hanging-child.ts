/** Opens its port, and then never says anything again: the event loop is stuck. */
import { runPairingChild } from "../../src/pairing/child/run-child.ts";
import { tcpTransport } from "./tcp-transport.ts";

setTimeout(() => {
  for (;;);
}, 300);
await runPairingChild(tcpTransport());
