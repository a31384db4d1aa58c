import { describe, expect, test } from "vitest";
import { parseListen } from "../src/address.ts";
import { inheritedSockets, shareSockets, takeListenVariables } from "../src/inherited.ts";
import { runCommand } from "./support.ts";

const PID = 4711;
const said = (fds: string, names?: string) => ({ pid: String(PID), fds, names });

describe("what systemd says of sockets", () => {
  test("is read, and taken out of the environment", () => {
    const env = { LISTEN_PID: "4711", LISTEN_FDS: "2", LISTEN_FDNAMES: "mesh:pair", HOME: "/root" };
    const variables = takeListenVariables(env);
    expect(env).toEqual({ HOME: "/root" });
    expect(inheritedSockets(variables, PID)).toEqual([
      { fd: 3, name: "mesh" },
      { fd: 4, name: "pair" },
    ]);
    expect(inheritedSockets(takeListenVariables(env), PID)).toEqual([]);
  });

  test("counts for nothing where it was said to another process", () => {
    expect(inheritedSockets(said("2", "mesh:pair"), PID + 1)).toEqual([]);
    expect(inheritedSockets({ pid: undefined, fds: "1", names: undefined }, PID)).toEqual([]);
  });

  test("may leave out names", () => {
    expect(inheritedSockets(said("2"), PID).map(({ name }) => name)).toEqual(["unknown", "unknown"]);
    expect(inheritedSockets(said("0", ""), PID)).toEqual([]);
  });

  test.each([
    ["two", undefined],
    ["-1", undefined],
    ["100000", undefined],
    ["2", "mesh"],
    ["1", "mesh:pair"],
  ])("is refused where it makes no sense: %j sockets called %j", (fds, names) => {
    expect(() => inheritedSockets(said(fds, names), PID)).toThrow(expect.objectContaining({ code: "USAGE" }) as Error);
  });
});

describe("inherited sockets", () => {
  const inherited = ["mesh", "mesh", "pair", "admin", "spare"].map((name, index) => ({ fd: 3 + index, name }));

  test("go where their names say", () => {
    expect(shareSockets(inherited, {})).toEqual({
      listen: [{ fd: 3 }, { fd: 4 }],
      pairing: [{ fd: 5 }],
      admin: { fd: 6 },
      unused: [{ fd: 7, name: "spare" }],
    });
    expect(shareSockets([], {})).toEqual({ listen: undefined, pairing: undefined, admin: undefined, unused: [] });
  });

  test("go where the command line says instead, beside other addresses", () => {
    const shared = shareSockets(inherited, { listen: [{ fdName: "spare" }, { host: "::1", port: 1 }, { fd: 3 }] });
    expect(shared.listen).toEqual([{ fd: 7 }, { host: "::1", port: 1 }, { fd: 3 }]);
    expect(shared.unused).toEqual([{ fd: 4, name: "mesh" }]);
  });

  test("that are named for both endpoints are refused, whichever way they are named", () => {
    const message = expect.objectContaining({
      code: "USAGE",
      message: expect.stringContaining("fd 5") as string,
    }) as Error;
    expect(() => shareSockets(inherited, { listen: [{ fdName: "pair" }] })).toThrow(message);
    expect(() => shareSockets(inherited, { listen: [{ fd: 5 }], pairing: [{ fdName: "pair" }] })).toThrow(message);
    expect(() => shareSockets([], { listen: [{ fd: 3 }, { fd: 5 }], pairing: [{ fd: 5 }] })).toThrow(message);
  });

  test("that are named and not there, or called admin twice, are told of", () => {
    const message = expect.objectContaining({ code: "USAGE", seen: ["this process inherited no sockets"] }) as Error;
    expect(() => shareSockets([], { listen: [{ fdName: "mesh" }] })).toThrow(message);
    const twice = [...inherited, { fd: 9, name: "admin" }];
    expect(() => shareSockets(twice, {})).toThrow("several sockets are called admin");
  });
});

describe("--listen", () => {
  test.each([
    ["fd:mesh", { fdName: "mesh" }],
    ["fd:3", { fd: 3 }],
    ["192.0.2.10:7420", { host: "192.0.2.10", port: 7420 }],
    ["[fe80::1%eth0]:7420", { host: "fe80::1%eth0", port: 7420 }],
    ["gate.example:7420", { host: "gate.example", port: 7420 }],
  ])("takes %s", (text, spec) => {
    expect(parseListen(text, [{ fd: 9 }])).toEqual([{ fd: 9 }, spec]);
  });

  test.each(["fd:", "fd:2", "fd:0", "fd:99999", "fd:a b", "[nonsense]:1", "[fe80::1%]:1", "[1.2.3.4]:1"])(
    "does not take %j",
    (text) => expect(() => parseListen(text)).toThrow(/Give /u),
  );

  test("that names a socket nobody handed over ends with 2 and the way to name one", async () => {
    const { exit, stderr } = await runCommand(["gateway", "run", "--listen", "fd:mesh"]);
    expect(exit).toBe(2);
    expect(stderr).toContain('No inherited socket is called "mesh"');
    expect(stderr).toContain("FileDescriptorName=");
  });

  test("with the descriptor that pairing gets ends with 2", async () => {
    const { exit, stderr } = await runCommand(["gateway", "run", "--listen", "fd:4", "--pairing-listen", "fd:4"]);
    expect(exit).toBe(2);
    expect(stderr).toContain("fd 4");
  });

  test.each([["1199"], ["16385"], ["big"]])("--datagram-bytes does not take %s", async (bytes) => {
    const { exit, stderr } = await runCommand(["gateway", "run", "--datagram-bytes", bytes]);
    expect(exit).toBe(2);
    expect(stderr.replaceAll(/\s+/gu, " ")).toContain("Give a whole number from 1200 to 16384");
  });
});
