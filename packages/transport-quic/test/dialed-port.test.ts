import dgram from "node:dgram";
import { once } from "node:events";
import { expect, test } from "vitest";
import { loadBatching } from "../src/syscalls/batching.ts";
import { UdpSocket } from "../src/udp-socket.ts";

test.each([
  ["where the platform batches system calls", loadBatching],
  ["where it does not", () => Promise.resolve(undefined)],
])("no other socket can get the port of one that dials, %s: only one of the two would hear", async (_where, load) => {
  const dialed = await UdpSocket.connect({ host: "127.0.0.1", port: 9, family: 4 }, { batching: await load() });
  const other = dgram.createSocket({ type: "udp4", reuseAddr: true });
  try {
    const failed = once(other, "error");
    other.bind(dialed.local.port, "127.0.0.1", () => other.emit("error", new Error("got the port")));
    expect((await failed)[0]).toMatchObject({ code: "EADDRINUSE" });
  } finally {
    other.close();
    await dialed.close();
  }
});
