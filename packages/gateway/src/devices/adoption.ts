import { readDeviceLeaf } from "@quaymesh/identity";
import { GatewayError } from "../errors.ts";
import type { LiveSession } from "../sessions/live-session.ts";
import { certificateRow } from "./certificate-row.ts";

/**
 * A certificate that was issued before a restore and that the restored store does not know: it is of the key that the store does know, so it is put down as that device's.
 * One that cannot be put down now is with the next session.
 */
export async function adoptCertificate(session: LiveSession): Promise<void> {
  const { store, trust, logger, clock } = session.context;
  const { deviceId, serial, adopted, connection } = session;
  const [der] = connection.peer.chain;
  const leaf = der === undefined ? undefined : readDeviceLeaf(der);
  if (!adopted || leaf === undefined || typeof leaf === "string") return;
  const { notBefore, notAfter, spkiSha256 } = leaf;
  try {
    const chain = connection.peer.chain;
    const issued = { deviceId, serial, spkiSha256, notBefore, notAfter, chain };
    await store.devices.addCertificate(certificateRow(issued, clock.now()));
    trust.enrol(deviceId, { serial, spkiSha256 });
    logger.info({ device: deviceId, serial }, "a certificate from before the restore was taken over");
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    logger.warn({ device: deviceId, code: error.code }, "a certificate from before the restore could not be put down");
  }
}
