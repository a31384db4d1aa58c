import type { DaemonDiagnosis } from "../daemon/diagnosis.ts";
import { timestamp } from "./encode.ts";

/** A diagnosis as the operator API has it. */
export function diagnosisMessage(diagnosis: DaemonDiagnosis) {
  const { now, pid, listening, maxConnections, certificates, pairing, refused } = diagnosis;
  return {
    time: timestamp(now),
    pid,
    listening: [...listening],
    maxConnections,
    certificates: certificates.map(({ name, notBefore, notAfter }) => ({
      name,
      notBefore: timestamp(notBefore),
      notAfter: timestamp(notAfter),
    })),
    pairing: {
      wanted: pairing.wanted,
      pid: pairing.pid ?? 0,
      faults: pairing.faults,
      lastFault: pairing.lastFault ?? "",
      addresses: [...pairing.addresses],
    },
    refused: refused.map(({ at, verdict, reason, remote, attempt, device, detail }) => ({
      time: timestamp(at),
      verdict,
      reason,
      remote,
      attempt: attempt ?? "",
      deviceId: device ?? "",
      detail: detail ?? "",
    })),
  };
}
