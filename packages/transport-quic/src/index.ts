export { createQuicTransport } from "./transport.ts";
export type { QuicTransportOptions } from "./options.ts";
export { AUTHORIZE_FAULTS } from "./judge.ts";
