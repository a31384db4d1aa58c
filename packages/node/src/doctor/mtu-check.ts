import { ok, wrong, type Check } from "@quaymesh/protocol";
import { formatAddress } from "../state/address.ts";
import type { NodeDoctorContext } from "./context.ts";
import { PROBE_BYTES } from "./udp-check.ts";

/** UDP payloads by what they fit: IPv6's least, common tunnels, PPPoE, Ethernet, jumbo frames. */
const SIZES = [1232, 1252, 1280, 1350, 1392, 1452, 1472, 8972] as const;
const PROBE_MS = 2000;

/** The longest datagram that gets through to the gateway, unfragmented. Of the way back, the session's own losses tell. */
export const mtuCheck: Check<NodeDoctorContext> = {
  name: "mtu",
  needs: ["udp"],
  async run({ reachable = [], probe, datagramBytes, signal }) {
    const [address] = reachable;
    if (address === undefined) throw new TypeError("nothing answered");
    const sizes = [...new Set([...SIZES, datagramBytes])].toSorted((one, other) => one - other);
    const answers = await Promise.all(
      sizes.map(async (bytes) => ({ bytes, answer: await probe(address, { bytes, timeoutMs: PROBE_MS, signal }) })),
    );
    const lost = answers.filter(({ answer }) => answer.kind !== "answered").map(({ bytes }) => bytes);
    const least = Math.min(Infinity, ...lost);
    // Beyond the first that is lost, one that gets through came by another way or by chance.
    const longest = Math.max(PROBE_BYTES, ...sizes.filter((bytes) => bytes < least));
    const details = { address: formatAddress(address), longest, used: datagramBytes, lost };
    if (longest >= datagramBytes) {
      const more = least === Infinity ? " and more" : "";
      return ok(`${longest} bytes${more} get to ${formatAddress(address)}; ${datagramBytes} are used`, details);
    }
    return wrong("warning", `only ${longest} bytes get to ${formatAddress(address)}, and ${datagramBytes} are used`, {
      code: "PATH_MTU_SMALL",
      fix: `Give both sides  --datagram-bytes ${longest}\nWithout it each connection finds out by losing datagrams first.`,
      details,
    });
  },
};
