import { ok, wrong, type Check, type ProbeAnswer, type SocketAddress } from "@quaymesh/protocol";
import { formatAddress } from "../state/address.ts";
import type { NodeDoctorContext } from "./context.ts";

/** RFC 9000 section 14.1: what every path has to carry, and the least a gateway answers. */
export const PROBE_BYTES = 1200;
const PROBE_MS = 3000;

interface Probed {
  readonly address: SocketAddress;
  readonly answer: ProbeAnswer;
}

/** The gateway answers a datagram, without TLS: the network lets UDP through, both ways. */
export const udpCheck: Check<NodeDoctorContext> = {
  name: "udp",
  needs: ["names"],
  async run(context) {
    const { endpoints = [], probe, signal } = context;
    const addresses = endpoints.flatMap(({ endpoint, ips }) => ips.map((host) => ({ host, port: endpoint.port })));
    const probed = await Promise.all(
      addresses.map(async (address) => {
        const answer = await probe(address, { bytes: PROBE_BYTES, timeoutMs: PROBE_MS, signal });
        return { address, answer };
      }),
    );
    const answered = probed.filter(({ answer }) => answer.kind === "answered");
    context.reachable = answered.map(({ address }) => address);
    const details = { probes: probed.map(({ address, answer }) => ({ address: formatAddress(address), ...answer })) };
    const seen = probed.map(sentence).join("; ");
    const worst = probed.find(({ answer }) => answer.kind !== "answered");
    if (worst === undefined) return ok(seen, details);
    const code = worst.answer.kind === "foreign" ? "GATEWAY_PROTOCOL" : "GATEWAY_UNREACHABLE";
    const verdict = answered.length > 0 ? "warning" : "failed";
    return wrong(verdict, seen, { code, fix: fixFor(worst), details });
  },
};

function sentence({ address, answer }: Probed): string {
  const where = formatAddress(address);
  switch (answer.kind) {
    case "answered":
      return `${where} answers in ${answer.roundTripMs.toFixed(1)} ms`;
    case "foreign":
      return `${where} answers, and is not a gateway`;
    case "refused":
      return `nothing listens at ${where}: its machine says so`;
    case "unroutable":
      return `no way to ${where} from here (${answer.errno})`;
    case "forbidden":
      return `this machine's own rules keep datagrams to ${where} in (${answer.errno})`;
    case "too-long":
      return `the way to ${where} carries less than ${PROBE_BYTES} bytes`;
    case "silent":
      return `${where} gives no answer: lost or dropped on the way`;
    default:
      return answer satisfies never;
  }
}

function fixFor({ address, answer }: Probed): string {
  const { port } = address;
  switch (answer.kind) {
    case "refused":
      return `Start the gateway, or compare its port:  quaymesh gateway status`;
    case "foreign":
      return "Another service has that port: compare it with  quaymesh gateway status";
    case "unroutable":
      return "Look at this machine's network: is it connected, and in the right one (VPN)?";
    case "forbidden":
      return `Let this machine send UDP to port ${port}: nft list ruleset, or the firewall's own tool.`;
    case "too-long":
      return "QUIC needs 1200 bytes: raise the MTU of the tunnel or link on the way to 1228 at least.";
    default:
      return `Let UDP to port ${port} pass every firewall between the two, the gateway's own first, such as:\nsudo ufw allow ${port}/udp   or   sudo firewall-cmd --add-port=${port}/udp`;
  }
}
