import { X509Certificate } from "node:crypto";
import { certificatesFromPem, type Authority } from "@quaymesh/identity";
import type { CoreDiagnosis } from "../core-views.ts";
import type { GatewayCore } from "../core.ts";
import type { PairingDesk } from "../pairing/desk.ts";
import type { EndpointHealth } from "../pairing/endpoint.ts";
import { formatAddress } from "./addresses.ts";

/** A certificate's dates, Unix milliseconds. */
export interface CertificateLife {
  readonly name: "leaf" | "intermediate" | "root";
  readonly notBefore: number;
  readonly notAfter: number;
}

/** What a doctor looks at and only the running process knows. */
export interface DaemonDiagnosis {
  readonly now: number;
  readonly pid: number;
  /** host:port */
  readonly listening: readonly string[];
  readonly maxConnections: number;
  readonly certificates: readonly CertificateLife[];
  readonly pairing: EndpointHealth & { readonly addresses: readonly string[] };
  readonly refused: CoreDiagnosis["refused"];
}

const NAMES = ["leaf", "intermediate"] as const;

/** The dates of a chain as an endpoint shows it, and of its root. */
export function certificateLives(chainPem: string, rootPem: string): readonly CertificateLife[] {
  const chain = certificatesFromPem(chainPem)
    .slice(0, NAMES.length)
    .map((der, depth) => lifeOf(der, NAMES[depth] ?? "intermediate"));
  const root = certificatesFromPem(rootPem).map((der) => lifeOf(der, "root"));
  return [...chain, ...root];
}

/** Everything as of now. */
export function diagnose(parts: {
  readonly core: Pick<GatewayCore, "diagnosis">;
  readonly pairing: Pick<PairingDesk, "endpointHealth" | "addresses">;
  readonly authority: Pick<Authority, "rootPem">;
}): DaemonDiagnosis {
  const { now, listening, maxConnections, chainPem, refused } = parts.core.diagnosis();
  return {
    now,
    pid: process.pid,
    listening: listening.map(formatAddress),
    maxConnections,
    certificates: certificateLives(chainPem, parts.authority.rootPem),
    pairing: { ...parts.pairing.endpointHealth, addresses: parts.pairing.addresses },
    refused,
  };
}

function lifeOf(der: Uint8Array, name: CertificateLife["name"]): CertificateLife {
  const { validFromDate, validToDate } = new X509Certificate(der);
  return { name, notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() };
}
