/** The pairing process of the tests. */
import { runPairingChild } from "../../src/pairing/child/run-child.ts";
import { tcpTransport } from "./tcp-transport.ts";

await runPairingChild(tcpTransport());
