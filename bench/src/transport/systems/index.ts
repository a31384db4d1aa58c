import type { System } from "./system.ts";

/** Each loads one system and nothing of the others: a process measures one. */
const LOADERS = {
  ours: async () => (await import("./ours.ts")).ours,
  grpc: async () => (await import("./grpc.ts")).grpc,
  http2: async () => (await import("./http2.ts")).http2,
  ws: async () => (await import("./ws.ts")).ws,
  dgram: async () => (await import("./dgram.ts")).dgram,
  jsquic: async () => (await import("./jsquic.ts")).jsquic,
  gateway: async () => (await import("../../sessions/gateway.ts")).gateway,
} as const;

/** Load a system by name. @throws {RangeError} for an unknown one */
export async function loadSystem(name: string): Promise<System> {
  const load = Object.entries(LOADERS).find(([known]) => known === name)?.[1];
  if (load === undefined) throw new RangeError(`no such system: ${name}`);
  return await load();
}
