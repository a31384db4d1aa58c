import { isIP } from "node:net";
import { ok, wrong, type Check, type SocketAddress } from "@quaymesh/protocol";
import { dialAddresses } from "../mesh/moves.ts";
import { formatAddress } from "../state/address.ts";
import type { NodeDoctorContext, ResolvedEndpoint } from "./context.ts";

/** A resolver that does not answer must not hold everything up. */
const LOOKUP_MS = 5000;

/** The names of the gateway's addresses are known here. */
export const namesCheck: Check<NodeDoctorContext> = {
  name: "names",
  needs: ["identity"],
  async run(context) {
    const { identity } = context;
    const endpoints = await Promise.all(
      (identity === undefined ? [] : dialAddresses(identity)).map((endpoint) => resolve(endpoint, context)),
    );
    context.endpoints = endpoints;
    const names = endpoints.filter(({ endpoint }) => isIP(bare(endpoint.host)) === 0);
    const unknown = names.filter(({ ips }) => ips.length === 0);
    const details = { endpoints: endpoints.map(({ endpoint, ips }) => ({ address: formatAddress(endpoint), ips })) };
    if (names.length === 0) return ok(`none to look up: ${listed(endpoints)}`, details);
    const found = names.filter(({ ips }) => ips.length > 0);
    const known = found.map(({ endpoint, ips }) => `${endpoint.host} is ${ips.join(", ")}`).join("; ");
    if (unknown.length === 0) return ok(known, details);
    const lost = unknown.map(({ endpoint, error }) => `${endpoint.host} is not known (${error})`).join("; ");
    const fix = "Look at this machine's resolver, or have the gateway told by addresses: gateway run --advertise HOST";
    const isHopeless = endpoints.every(({ ips }) => ips.length === 0);
    const seen = known === "" ? lost : `${lost}; ${known}`;
    return wrong(isHopeless ? "failed" : "warning", seen, { code: "GATEWAY_UNREACHABLE", fix, details });
  },
};

async function resolve(endpoint: SocketAddress, { lookup, clock }: NodeDoctorContext): Promise<ResolvedEndpoint> {
  if (isIP(bare(endpoint.host)) !== 0) return { endpoint, ips: [endpoint.host] };
  const over = new AbortController();
  try {
    const late = clock.sleep(LOOKUP_MS, over.signal).then(() => {
      throw Object.assign(new Error("no answer"), { code: "no answer" });
    });
    // One of the two is left behind.
    late.catch(() => undefined);
    return { endpoint, ips: await Promise.race([lookup(endpoint.host), late]) };
  } catch (cause) {
    return { endpoint, ips: [], error: cause instanceof Error && "code" in cause ? String(cause.code) : String(cause) };
  } finally {
    over.abort();
  }
}

const bare = (host: string): string => host.split("%", 1)[0] ?? host;
const listed = (endpoints: readonly ResolvedEndpoint[]): string =>
  endpoints.map(({ endpoint }) => formatAddress(endpoint)).join(", ");
