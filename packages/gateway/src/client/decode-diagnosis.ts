import type { GetDiagnosisResponse } from "@quaymesh/api";
import { timeOf } from "./decode.ts";
import type { GatewayDiagnosis } from "./types-diagnosis.ts";

const orUndefined = (text: string): string | undefined => (text === "" ? undefined : text);

/** A diagnosis as plain data. */
export function gatewayDiagnosis(message: GetDiagnosisResponse): GatewayDiagnosis {
  const { pairing } = message;
  return {
    time: timeOf(message.time),
    pid: message.pid,
    listening: message.listening,
    maxConnections: message.maxConnections,
    certificates: message.certificates.map(({ name, notBefore, notAfter }) => ({
      name,
      notBefore: timeOf(notBefore),
      notAfter: timeOf(notAfter),
    })),
    pairing: {
      wanted: pairing?.wanted ?? false,
      pid: pairing === undefined || pairing.pid === 0 ? undefined : pairing.pid,
      faults: pairing?.faults ?? 0,
      lastFault: orUndefined(pairing?.lastFault ?? ""),
      addresses: pairing?.addresses ?? [],
    },
    refused: message.refused.map(({ time, verdict, reason, remote, attempt, deviceId, detail }) => ({
      at: timeOf(time),
      verdict,
      reason,
      remote,
      attempt: orUndefined(attempt),
      device: orUndefined(deviceId),
      detail: orUndefined(detail),
    })),
  };
}
