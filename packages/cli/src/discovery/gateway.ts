import { isIP } from "node:net";
import type { Gateway } from "@quaymesh/gateway";
import { parseAddress } from "../address.ts";
import { announce } from "./announce.ts";
import type { Announced } from "./service.ts";

const isLoopback = (host: string): boolean => host === "::1" || host.startsWith("127.");

/**
 * Announce a gateway on this network until disposed. Its loopback addresses are told only where loopback itself was named as the interface.
 * @param on the address of a network interface; `true`: the system's choice
 */
export function announceGateway(
  gateway: Pick<Gateway, "meshId" | "meshName" | "addresses" | "openPairing">,
  on: string | true,
  onTrouble: (error: Error) => void,
): AsyncDisposable {
  const wantsLoopback = on !== true && isLoopback(on);
  const current = (): Announced => {
    const told = gateway.addresses.map((address) => parseAddress(address));
    const ips = told.map(({ host }) => host).filter((host) => isIP(host) !== 0 && (wantsLoopback || !isLoopback(host)));
    const [pairing] = gateway.openPairing;
    return {
      meshId: gateway.meshId,
      mesh: gateway.meshName,
      ips,
      port: told[0]?.port ?? 0,
      ...(pairing !== undefined && { pairingPort: parseAddress(pairing).port }),
    };
  };
  return announce(current, { ...(on !== true && { interface: on }), onTrouble });
}
