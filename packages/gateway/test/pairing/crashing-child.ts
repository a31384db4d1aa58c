/** Opens its port, and ends a moment later, every time. */
import { runPairingChild } from "../../src/pairing/child/run-child.ts";
import { tcpTransport } from "./tcp-transport.ts";

setTimeout(() => process.exit(1), 100);
await runPairingChild(tcpTransport());
