import dgram from "node:dgram";
import { once } from "node:events";
import { expect, test } from "vitest";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { openProxy } from "../../../test/network/proxy.ts";
import { SERVER_NAME } from "./support/certificates.ts";
import { PROTOCOL, accept, ask, openMesh, serveEchoOnAll } from "./support/mesh.ts";

const silentPort = async (): Promise<{ port: number } & AsyncDisposable> => {
  const socket = dgram.createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    port: socket.address().port,
    [Symbol.asyncDispose]: async () => {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
};

test("a port nobody listens on is unreachable at once, not after a timeout", async () => {
  await using mesh = await openMesh();
  const { port } = await (async () => {
    await using free = await silentPort();
    return { port: free.port };
  })();
  const started = performance.now();
  await expect(mesh.dial({ port, handshakeTimeoutMs: 20_000 })).rejects.toMatchObject({ code: "UNREACHABLE" });
  expect(performance.now() - started).toBeLessThan(10_000);
});

test("a name that does not exist is unreachable", async () => {
  await using mesh = await openMesh();
  const options = {
    protocol: PROTOCOL,
    serverName: SERVER_NAME,
    credentials: mesh.node,
    trust: { kind: "anchored", anchorsPem: mesh.authority.anchorsPem },
  } as const;
  const dialing = mesh.transport.dial({ host: "no-such-host.invalid", port: 1 }, options);
  await expect(dialing).rejects.toMatchObject({ code: "UNREACHABLE" });
});

test("a peer that says nothing is given up after the handshake timeout", async () => {
  await using mesh = await openMesh();
  await using silent = await silentPort();
  const dialing = mesh.dial({ port: silent.port, handshakeTimeoutMs: 100 });
  await expect(dialing).rejects.toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
});

test("an abort ends a dial with its reason", async () => {
  await using mesh = await openMesh();
  await using silent = await silentPort();
  const abort = new AbortController();
  const dialing = mesh.dial({ port: silent.port, signal: abort.signal });
  const reason = new Error("the operator changed their mind");
  abort.abort(reason);
  await expect(dialing).rejects.toBe(reason);
});

test("an address in use and one of another machine are told apart", async () => {
  await using mesh = await openMesh();
  const listen = (host: string, port: number): Promise<unknown> =>
    mesh.transport.listen({
      address: { host, port },
      protocol: PROTOCOL,
      credentials: mesh.node,
      trust: { kind: "anchored", anchorsPem: mesh.authority.anchorsPem },
    });
  await expect(listen("127.0.0.1", mesh.listener.address.port)).rejects.toMatchObject({ code: "ADDRESS_IN_USE" });
  await expect(listen("192.0.2.1", 0)).rejects.toMatchObject({ code: "ADDRESS_UNAVAILABLE" });
  await expect(listen("no-such-host.invalid", 0)).rejects.toMatchObject({ code: "ADDRESS_UNAVAILABLE" });
});

test("a listener is closed by its signal", async () => {
  await using mesh = await openMesh();
  const abort = new AbortController();
  const listener = await mesh.transport.listen({
    address: { host: "127.0.0.1", port: 0 },
    protocol: PROTOCOL,
    credentials: mesh.node,
    trust: { kind: "anchored", anchorsPem: mesh.authority.anchorsPem },
    signal: abort.signal,
  });
  const next = listener[Symbol.asyncIterator]().next();
  abort.abort();
  expect(await next).toEqual({ done: true, value: undefined });
  await listener.close();
});

test("a wildcard listener serves loopback over IPv4 and IPv6", async () => {
  await using mesh = await openMesh();
  const transport = createQuicTransport();
  const trust = { kind: "anchored", anchorsPem: mesh.authority.anchorsPem } as const;
  const gateway = await mesh.authority.issue("wild", { usage: "1.3.6.1.5.5.7.3.1" });
  const listener = await transport.listen({
    address: { host: "::", port: 0 },
    protocol: PROTOCOL,
    credentials: gateway,
    trust,
  });
  const serving = serveEchoOnAll(listener);
  for (const host of ["127.0.0.1", "::1"]) {
    const { port } = listener.address;
    const options = { protocol: PROTOCOL, serverName: SERVER_NAME, credentials: mesh.node, trust };
    await using node = await transport.dial({ host, port }, options);
    expect(await ask(node, Buffer.from("hi"))).toHaveLength(2);
    expect(node.remoteAddress.host).toBe(host);
  }
  await listener.close();
  await serving;
});

test("a peer whose port is refused and that stays silent is gone, long before the idle timeout", async () => {
  await using mesh = await openMesh();
  const accepted = accept(mesh.listener);
  const proxy = await openProxy({ upstreamPort: mesh.listener.address.port });
  const node = await mesh.dial({ port: proxy.port, idleTimeoutMs: 20_000 });
  await accepted;
  const stream = await node.openStream();
  await stream.write(Buffer.from("hello"));
  await proxy[Symbol.asyncDispose]();
  const started = performance.now();
  await stream.write(Buffer.from("anyone?"));
  expect(await node.closed).toEqual({ kind: "idle" });
  expect(performance.now() - started).toBeLessThan(10_000);
});

test("server names that TLS cannot ask for are told, and leave no socket behind", async () => {
  await using mesh = await openMesh();
  const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === "UDPWrap").length;
  const before = sockets();
  for (const serverName of ["", "a".repeat(300), "a\u0000b", "", ""]) {
    await expect(mesh.dial({ serverName })).rejects.toMatchObject({ code: "CREDENTIALS_INVALID" });
  }
  // A handle is counted until the turn after it was closed.
  await expect.poll(sockets).toBeLessThanOrEqual(before);
});
