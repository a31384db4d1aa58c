import dgram from "node:dgram";
import { once } from "node:events";
import { isIP, isIPv6 } from "node:net";
import { ok, skipped, wrong, type Check, type CheckResult, type SocketAddress } from "@quaymesh/protocol";
import { formatAddress } from "../daemon/addresses.ts";
import type { GatewayDoctorContext } from "./context.ts";

const PROBE = { bytes: 1200, timeoutMs: 3000 } as const;

/** The mesh endpoint answers on this machine; of a gateway that does not run, its ports are free. */
export const portsCheck: Check<GatewayDoctorContext> = {
  name: "ports",
  needs: ["state"],
  async run({ running, listen, probe, signal }) {
    if (running === undefined) return await free(listen);
    const { listening } = running.diagnosis;
    const answers = await Promise.all(
      listening.map(async (address) => ({ address, answer: await probe(near(address), { ...PROBE, signal }) })),
    );
    const mute = answers.find(({ answer }) => answer.kind !== "answered");
    const seen = listening.join(", ");
    if (mute === undefined) return ok(`${seen} answers here; from outside  quaymesh node doctor  tells`, { listening });
    const fix = "Let this machine talk to itself over UDP: look at nft list ruleset, and at the gateway's log.";
    return wrong("failed", `${mute.address} does not answer on this machine (${mute.answer.kind})`, {
      code: "ADDRESS_UNAVAILABLE",
      fix,
      details: { answers },
    });
  },
};

/** The addresses that nodes are told to dial are known, and lead to this machine. */
export const addressesCheck: Check<GatewayDoctorContext> = {
  name: "addresses",
  needs: ["state"],
  async run({ running, lookup, ownAddresses }) {
    if (running === undefined) return skipped("only a running gateway tells where nodes are to dial");
    const own = new Set(ownAddresses());
    const told = running.status.meshAddresses;
    const found = await Promise.all(told.map((address) => whereIs(address, lookup)));
    const details = { told, found };
    const unknown = found.find(({ ips }) => ips.length === 0);
    if (unknown !== undefined) {
      const fix = "Give the name an address, or tell nodes others:  gateway run --advertise HOST";
      const seen = `nodes are told ${unknown.host}, which is not known here`;
      return wrong("failed", seen, { code: "ADDRESS_UNAVAILABLE", fix, details });
    }
    const ips = found.flatMap((each) => each.ips);
    if (ips.every(isLoopback)) {
      const fix = "Listen where they can reach it, such as:  gateway run --listen 0.0.0.0:7420";
      const seen = `nodes are told ${told.join(", ")}: no other machine can dial that`;
      return wrong("warning", seen, { code: "ADDRESS_UNAVAILABLE", fix, details });
    }
    const foreign = ips.filter((ip) => !own.has(ip) && !isLoopback(ip));
    if (foreign.length === 0) return ok(`${told.join(", ")}: this machine's`, details);
    const fix = "Right where a router forwards UDP to here. Else tell nodes others:  gateway run --advertise HOST";
    const seen = `nodes are told ${foreign.join(", ")}, which this machine does not have`;
    return wrong("warning", seen, { code: "ADDRESS_UNAVAILABLE", fix, details });
  },
};

async function free(listen: readonly SocketAddress[]): Promise<CheckResult> {
  for (const address of listen) {
    const socket = dgram.createSocket(isIPv6(address.host) ? "udp6" : "udp4");
    try {
      socket.bind({ port: address.port, address: address.host, exclusive: true });
      await once(socket, "listening");
    } catch (cause) {
      const errno = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
      const inUse = errno === "EADDRINUSE";
      const what = inUse ? "is taken by another process" : `cannot be bound (${errno})`;
      return wrong("failed", `UDP ${formatAddress(address)} ${what}`, {
        code: inUse ? "PORT_IN_USE" : "ADDRESS_UNAVAILABLE",
        fix: `See who has it:  ss -lunp   or choose another:  gateway run --listen HOST:PORT`,
      });
    } finally {
      socket.close();
    }
  }
  return ok(`UDP ${listen.map(formatAddress).join(" and ")} can be bound`);
}

interface Found {
  readonly host: string;
  readonly ips: readonly string[];
}

async function whereIs(address: string, lookup: GatewayDoctorContext["lookup"]): Promise<Found> {
  const { host } = split(address);
  if (isIP(host.split("%", 1)[0] ?? "") !== 0) return { host, ips: [host] };
  return { host, ips: await lookup(host).catch(() => []) };
}

/** What stands for all of this machine's addresses is asked on loopback. */
function near(address: string): SocketAddress {
  const { host, port } = split(address);
  if (host === "0.0.0.0") return { host: "127.0.0.1", port };
  return { host: host === "::" ? "::1" : host, port };
}

function split(address: string): SocketAddress {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at).replace(/^\[|\]$/gu, ""), port: Number(address.slice(at + 1)) };
}

const isLoopback = (ip: string): boolean => ip === "::1" || ip.startsWith("127.");
