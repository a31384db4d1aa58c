import { expect, test } from "vitest";
import { UdpSocket } from "../src/udp-socket.ts";
import { loadBatching } from "../src/syscalls/batching.ts";

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

test("however much waits, a turn takes some hundred datagrams, so that timers and streams get their time", async () => {
  const batching = await loadBatching();
  const receiver = await UdpSocket.bind(loopback, { batching });
  const sender = await UdpSocket.bind(loopback);
  const total = 3000;
  let taken = 0;
  let before = 0;
  let most = 0;
  const all = Promise.withResolvers<void>();
  receiver.listen({
    datagram: () => {
      taken += 1;
      if (taken === total) all.resolve();
    },
    fault: () => {},
  });
  const onTurn = (): void => {
    most = Math.max(most, taken - before);
    before = taken;
    if (taken < total) setImmediate(onTurn);
  };
  setImmediate(onTurn);
  // Nothing is received before this turn is over, so all of them wait.
  for (let sent = 0; sent < total; sent += 1) sender.send(Buffer.alloc(10), 10, receiver.local);
  await all.promise;
  await new Promise(setImmediate);
  onTurn();
  expect(most).toBeLessThanOrEqual(320);
  await Promise.all([receiver.close(), sender.close()]);
});
