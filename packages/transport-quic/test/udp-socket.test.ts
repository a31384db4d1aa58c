import { expect, test } from "vitest";
import { UdpSocket } from "../src/udp-socket.ts";

const loopback = { host: "127.0.0.1", port: 0, family: 4 } as const;

test("an error of a send is counted and told, never thrown", async () => {
  const socket = await UdpSocket.bind(loopback);
  const faults: string[] = [];
  const told = Promise.withResolvers<void>();
  socket.listen({
    datagram: () => {},
    fault: (code) => {
      faults.push(code);
      if (faults.length === 2) told.resolve();
    },
  });
  // The kernel refuses a datagram this long (EMSGSIZE), and a broadcast that was not asked for (EACCES).
  socket.send(Buffer.alloc(70_000), 70_000, { host: "127.0.0.1", port: 9 });
  socket.send(Buffer.alloc(10), 10, { host: "255.255.255.255", port: 9 });
  await told.promise;
  expect(faults.toSorted()).toEqual(["EACCES", "EMSGSIZE"]);
  expect(socket.sendErrors).toBe(2);
  await socket.close();
  socket.send(Buffer.alloc(10), 10, { host: "127.0.0.1", port: 9 });
  await socket.close();
});

test("a refused port is told on a connected socket", async () => {
  const gone = await UdpSocket.bind(loopback);
  const { port } = gone.local;
  await gone.close();
  const socket = await UdpSocket.connect({ ...loopback, port });
  const told = Promise.withResolvers<string>();
  socket.listen({ datagram: () => {}, fault: told.resolve });
  socket.send(Buffer.alloc(10), 10, { host: "127.0.0.1", port });
  expect(await told.promise).toBe("ECONNREFUSED");
  await socket.close();
});
