import type { TrustSnapshot } from "@quaymesh/identity";
import type { Credentials, PeerIdentity } from "@quaymesh/protocol";
import type { GatewayTrust } from "../../src/trust.ts";

/** Credentials whose "certificate" is text: the memory network's opaque peers carry it as it is. */
export function fakeCredentials(deviceId: string, serial = `serial-${deviceId}`): Credentials {
  return { keyPem: `key of ${deviceId}`, chainPem: `${deviceId}/${serial}` };
}

/** The rules of the trust index, over certificates that are text. */
export class FakeTrust implements GatewayTrust {
  /** Called after each lookup: the place to let something happen between a handshake and what follows it. */
  afterLookup: () => void = () => undefined;
  readonly #serials = new Map<string, Set<string>>();
  readonly #revoked = new Set<string>();
  readonly #frozen = new Set<string>();

  readonly authorize = (peer: PeerIdentity): ReturnType<GatewayTrust["authorize"]> => {
    const [deviceId = "", serial = ""] = new TextDecoder().decode(peer.chain[0]).split("/");
    const verdict = this.#judge(deviceId, serial, peer.spkiSha256);
    this.afterLookup();
    return verdict;
  };

  statusOf(deviceId: string): ReturnType<GatewayTrust["statusOf"]> {
    if (this.#revoked.has(deviceId)) return "revoked";
    return this.#serials.has(deviceId) ? "enrolled" : "unknown";
  }

  load(snapshot: TrustSnapshot): void {
    for (const device of snapshot.devices) {
      if (device.kind === "revoked") this.#revoked.add(device.deviceId);
      else this.#serials.set(device.deviceId, new Set(device.certificates.map(({ serial }) => serial)));
      if (device.kind === "enrolled" && device.frozen === true) this.#frozen.add(device.deviceId);
    }
  }

  enrol(deviceId: string, certificate: { readonly serial: string }): void {
    this.#serials.set(deviceId, (this.#serials.get(deviceId) ?? new Set()).add(certificate.serial));
  }

  markUsed(deviceId: string, serial: string): string[] {
    const known = [...(this.#serials.get(deviceId) ?? [])];
    const older = known.slice(0, Math.max(0, known.indexOf(serial)));
    this.#serials.set(deviceId, new Set(known.slice(older.length)));
    return older;
  }

  freeze(deviceId: string): void {
    this.#frozen.add(deviceId);
  }

  unfreeze(deviceId: string): void {
    this.#frozen.delete(deviceId);
  }

  revoke(deviceId: string): void {
    this.#revoked.add(deviceId);
  }

  #judge(deviceId: string, serial: string, spkiSha256: Uint8Array): ReturnType<GatewayTrust["authorize"]> {
    if (this.#revoked.has(deviceId)) return { kind: "refuse", reason: "revoked", detail: "revoked", deviceId };
    if (this.#frozen.has(deviceId)) return { kind: "refuse", reason: "frozen", detail: "frozen", deviceId };
    if (this.#serials.get(deviceId)?.has(serial) === true) return { kind: "accept", deviceId, serial, spkiSha256 };
    return { kind: "refuse", reason: "unknown", detail: "not enrolled" };
  }
}
