export { GatewayCore } from "./core.ts";
export type { GatewayCoreOptions, GatewayLimits, GatewayStatus } from "./core.ts";
export { GATEWAY_ERRORS, GatewayError, isGatewayErrorCode } from "./errors.ts";
export type { ConnectCode, ErrorFacts, GatewayErrorCode } from "./errors.ts";
export { systemClock } from "./clock.ts";
export type { Clock } from "./clock.ts";
export type { Logger } from "./logger.ts";
export type { Store } from "./store/port.ts";
