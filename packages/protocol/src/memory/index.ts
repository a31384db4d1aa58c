export { createMemoryNetwork, opaquePeer } from "./network.ts";
export type { MemoryNetwork, MemoryNetworkOptions } from "./network.ts";
