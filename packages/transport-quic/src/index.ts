export { createQuicTransport } from "./transport.ts";
export type { QuicTransportOptions } from "./options.ts";
export { FAULTS } from "./faults.ts";
