import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, rename, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { parseTicket } from "@quaymesh/identity";
import { bindForChild, serverFd } from "../../packages/transport-quic/test/support/inherit.ts";
import { openWindow, pairNode, quaymesh, Running, temporaryDirectory } from "./support.ts";

test("a gateway runs on sockets that systemd opened: nodes, pairing and operators reach it through them, over IPv6", async () => {
  await using directory = await temporaryDirectory();
  const [state, nodeState] = [directory.path("gateway"), directory.path("node")];
  await mkdir(state, { mode: 0o700 });
  const admin = createServer();
  admin.listen(`${state}/made-here`);
  await once(admin, "listening");
  await rename(`${state}/made-here`, `${state}/admin.sock`);
  await using mesh = await bindForChild("::1");
  await using pair = await bindForChild("::1");
  const sockets = [
    { name: "mesh", fd: mesh.fd },
    { name: "pair", fd: pair.fd },
    { name: "admin", fd: serverFd(admin) },
  ];
  const gateway = new Running(["gateway", "run", "--state", state], { sockets });
  await using _stopped = gateway;
  const ready = await gateway.line((line) => line["ready"] === true);
  // Both processes would accept; it is the gateway's now.
  admin.close();
  expect(ready).toMatchObject({ addresses: [`[::1]:${mesh.port}`], adminSocket: `${state}/made-here` });
  // What was said of the sockets is gone from its environment; a pairing process is started with none of it.
  await using window = await openWindow(state, "--name", "looked at");
  expect(window.addresses).toEqual([`[::1]:${pair.port}`]);
  expect(parseTicket(window.link, { now: Date.now() }).addresses).toEqual([{ host: "::1", port: pair.port }]);
  await window.pair.end();
  const device = await pairNode(state, nodeState, "build-box");
  const node = new Running(["node", "run", "--state", nodeState]);
  await using _nodeStopped = node;
  await node.line((line) => line["state"] === "online");
  const shown = await quaymesh(["device", "show", device, "--state", state, "--json"]);
  expect(JSON.parse(shown.stdout)).toMatchObject({ name: "build-box", state: "online" });
  const ended = await gateway.end();
  expect(ended.exit).toBe(0);
  // The socket is systemd's: the next start, which it causes, finds it in place.
  expect((await stat(`${state}/admin.sock`)).isSocket()).toBe(true);
}, 120_000);

test("a gateway listens on several addresses, and its tickets name both families", async () => {
  await using directory = await temporaryDirectory();
  const state = directory.path("gateway");
  const addresses = ["[::1]:0", "127.0.0.1:0"];
  const flags = addresses.flatMap((each) => ["--listen", each, "--pairing-listen", each]);
  const gateway = new Running(["gateway", "run", "--state", state, ...flags]);
  await using _stopped = gateway;
  const ready = await gateway.line((line) => line["ready"] === true);
  expect(ready["addresses"]).toEqual([
    expect.stringMatching(/^\[::1\]:\d+$/u),
    expect.stringMatching(/^127\.0\.0\.1:\d+$/u),
  ]);
  await using window = await openWindow(state, "--name", "looked at");
  const ticket = parseTicket(window.link, { now: Date.now() });
  expect(ticket.addresses.map(({ host }) => host)).toEqual(["::1", "127.0.0.1"]);
}, 120_000);

const activate = "/usr/bin/systemd-socket-activate";
const hasActivate = spawnSync(activate, ["--version"]).status === 0;

// systemd's own hand, where it is installed: the test above is what holds everywhere.
test.skipIf(!hasActivate)(
  "systemd-socket-activate says what we read",
  async () => {
    const print = `const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = process.env;
    console.log(JSON.stringify({ own: Number(LISTEN_PID) === process.pid, LISTEN_FDS, LISTEN_FDNAMES }));`;
    const { spawn } = await import("node:child_process");
    const { createSocket } = await import("node:dgram");
    const free = createSocket("udp4").bind(0, "127.0.0.1");
    await once(free, "listening");
    const { port } = free.address();
    free.close();
    await once(free, "close");
    const args = ["--datagram", "-l", `127.0.0.1:${port}`, "--fdname=mesh", process.execPath, "-e", print];
    const child = spawn(activate, args, { stdio: ["ignore", "pipe", "pipe"] });
    const exited = once(child, "close");
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    const knock = createSocket("udp4");
    knock.on("error", () => {});
    // It starts the program with the first datagram, and says nothing once it listens.
    const knocking = setInterval(() => knock.send("x", port, "127.0.0.1"), 20);
    await exited;
    clearInterval(knocking);
    knock.close();
    expect(JSON.parse(out)).toEqual({ own: true, LISTEN_FDS: "1", LISTEN_FDNAMES: "mesh" });
  },
  30_000,
);
