/** Streams of one question and one answer: `certificate.renew` and `health`. */
import { ProtocolError, type MessageStream, type RenewRequest } from "@quaymesh/protocol";
import { certificateRow } from "../devices/certificate-row.ts";
import { GatewayError } from "../errors.ts";
import type { LiveSession } from "./live-session.ts";
import { awaitPeerEnd } from "./peer-end.ts";

/** The one in use and those issued since; a node that loses answers asks again, one that never uses any is broken. */
const MAX_ACTIVE_CERTIFICATES = 4;

/** Issue another certificate for the enrolled key. The one in use stays good until the new one was used. */
export async function serveRenewal(
  request: RenewRequest,
  messages: MessageStream,
  session: LiveSession,
): Promise<void> {
  const { store, trust, issuer, clock, logger, news } = session.context;
  const { deviceId } = session;
  const now = clock.now();
  const [device, certificates] = await Promise.all([store.devices.get(deviceId), store.devices.certificates(deviceId)]);
  if (device === undefined) throw new GatewayError("DEVICE_NOT_FOUND", `no device ${deviceId}`);
  if (certificates.filter(({ state }) => state === "active").length >= MAX_ACTIVE_CERTIFICATES) {
    throw new ProtocolError("STATE_INVALID", "renewed too often: use one of the certificates first");
  }
  const expectedSpkiSha256 = new Uint8Array(Buffer.from(device.spkiSha256, "hex"));
  const newest = news.trustsNewest(news.rootVersionOf(session.knows.roots));
  const issued = await issuer.issueDeviceLeaf({ csr: request.csr, deviceId, expectedSpkiSha256, newest, now });
  await store.devices.addCertificate(certificateRow(issued, now));
  trust.enrol(deviceId, { serial: issued.serial, spkiSha256: expectedSpkiSha256 });
  logger.info({ device: deviceId, serial: issued.serial, notAfter: issued.notAfter }, "certificate renewed");
  await messages.end({ type: "renewed", chain: [...issued.chain], renewAfter: issued.renewAfter });
  await awaitPeerEnd(messages, clock);
}

/** Whether the gateway can do its work. */
export async function serveHealth(messages: MessageStream, session: LiveSession): Promise<void> {
  const { store, clock } = session.context;
  const status = store.stats().state === "ok" ? "ok" : "degraded";
  await messages.end({ type: "health", status, time: clock.now() });
  await awaitPeerEnd(messages, clock);
}
