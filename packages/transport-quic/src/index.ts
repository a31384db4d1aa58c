export { createQuicTransport } from "./transport.ts";
export type { QuicTransportOptions } from "./options.ts";
export { probePath } from "./probe.ts";
export { FAULTS } from "./faults.ts";
export { CONNECTION_CLOSE, CONNECTION_MIGRATE, CONNECTION_OPEN, CONNECTION_REFUSE } from "./observe/channels.ts";
export type {
  ConnectionClosed,
  ConnectionMigrated,
  ConnectionOpened,
  ConnectionRefused,
  ConnectionRole,
} from "./observe/channels.ts";
export type { QuicTraceOptions } from "./observe/tracer.ts";
