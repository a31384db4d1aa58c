import type { BoundAddress, ListenAddress } from "@quaymesh/protocol";
import { networkInterfaces, type NetworkInterfaceInfo } from "node:os";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { advertisedAddresses, formatAddress, mayAnswerFromElsewhere } from "../../src/daemon/addresses.ts";

vi.mock("node:os", { spy: true });

const face = (address: string, internal = false): NetworkInterfaceInfo => ({
  address,
  internal,
  mac: "00:00:00:00:00:00",
  netmask: "",
  cidr: null,
  ...(address.includes(":") ? { family: "IPv6" as const, scopeid: 0 } : { family: "IPv4" as const }),
});
const bound = (host: string, asked: ListenAddress = { host, port: 7420 }): BoundAddress => ({
  host,
  port: 7420,
  asked,
});
const told = (...hosts: readonly (string | BoundAddress)[]): readonly string[] =>
  advertisedAddresses(hosts.map((each) => (typeof each === "string" ? bound(each) : each))).map(formatAddress);

function machineHas(...addresses: readonly NetworkInterfaceInfo[]): void {
  vi.mocked(networkInterfaces).mockReturnValue({ eth0: [...addresses] });
}

beforeEach(() =>
  machineHas(face("127.0.0.1", true), face("::1", true), face("192.0.2.10"), face("2001:db8::1"), face("fe80::1")),
);
afterEach(() => {
  vi.restoreAllMocks();
});

describe("nodes are told", () => {
  test("the addresses a gateway listens on, loopback last", () => {
    expect(told("127.0.0.1", "192.0.2.10", "2001:db8::1")).toEqual([
      "192.0.2.10:7420",
      "[2001:db8::1]:7420",
      "127.0.0.1:7420",
    ]);
  });

  test("the machine's own for one that listens on all, of the family it is of", () => {
    expect(told("0.0.0.0")).toEqual(["192.0.2.10:7420"]);
    expect(told("::")).toEqual(["192.0.2.10:7420", "[2001:db8::1]:7420"]);
    expect(told("::", "0.0.0.0", "192.0.2.10")).toEqual(["[2001:db8::1]:7420", "192.0.2.10:7420"]);
  });

  test("no IPv4 address of a socket on :: that leaves IPv4 to another", () => {
    expect(told("::", "127.0.0.1")).toEqual(["[2001:db8::1]:7420", "127.0.0.1:7420"]);
  });

  test("loopback of one that listens on all of a machine with nothing else", () => {
    machineHas(face("127.0.0.1", true));
    expect(told("0.0.0.0")).toEqual(["127.0.0.1:7420"]);
    expect(told("::")).toEqual(["[::1]:7420"]);
  });

  test("a name as it was given, once", () => {
    const asked = { host: "gate.example", port: 0 };
    expect(told(bound("192.0.2.10", asked), bound("2001:db8::1", asked))).toEqual(["gate.example:7420"]);
  });

  test("where an inherited socket is bound", () => {
    expect(told(bound("192.0.2.10", { fd: 3 }))).toEqual(["192.0.2.10:7420"]);
  });

  test("no link-local address, whose zone means nothing elsewhere, unless there is no other", () => {
    expect(told("fe80::1%eth0", "192.0.2.10")).toEqual(["192.0.2.10:7420"]);
    expect(told("fe80::1%eth0")).toEqual(["[fe80::1%eth0]:7420"]);
  });

  test("what the operator says instead, and eight at most", () => {
    expect(advertisedAddresses([bound("0.0.0.0")], ["gate.example"]).map(formatAddress)).toEqual(["gate.example:7420"]);
    expect(told(...Array.from({ length: 20 }, (_, at) => `192.0.2.${at}`))).toHaveLength(8);
  });
});

test("an answer may leave from another address where a socket is bound to all of several", () => {
  expect(mayAnswerFromElsewhere([bound("::")])).toBe(true);
  expect(mayAnswerFromElsewhere([bound("0.0.0.0")])).toBe(false);
  expect(mayAnswerFromElsewhere([bound("192.0.2.10"), bound("2001:db8::1")])).toBe(false);
  machineHas(face("192.0.2.10"), face("192.0.2.11"));
  expect(mayAnswerFromElsewhere([bound("0.0.0.0")])).toBe(true);
});
