/** What a session needs of the store: its epoch when it opens, its leases while it lives. */
import { randomBytes } from "node:crypto";
import {
  CLOSE_CODES,
  encodeValue,
  JOIN_TOKEN_BYTES,
  MAX_BATCH_EVENTS,
  MAX_EVENT_BYTES,
  MAX_FRAME_BYTES,
  type Hello,
  type RunningAttempt,
  type Welcome,
} from "@quaymesh/protocol";
import { adoptCertificate } from "../devices/adoption.ts";
import { freezeDevice } from "../devices/freezing.ts";
import { askToRenew, tellNews } from "../mesh/sessions.ts";
import { GatewayError, type GatewayErrorCode } from "../errors.ts";
import { pushPolicy } from "../policy/push.ts";
import type { OpenedSession } from "../store/port-events.ts";
import type { AttemptToStop } from "./context.ts";
import type { LiveSession } from "./live-session.ts";

/** Kind of the event that records a superseded session. */
const SUPERSEDED_EVENT = "mesh.session.superseded";

/** Close codes of what the store refuses a session for; of the rest nobody but us is at fault. */
const REFUSED: ReadonlyMap<GatewayErrorCode, number> = new Map([
  ["DEVICE_REVOKED", CLOSE_CODES.revoked],
  ["DEVICE_FROZEN", CLOSE_CODES.frozen],
]);

/** Claim the next session epoch, take over from an older session, adopt what the node runs, and let the machine say welcome. */
export async function registerSession(session: LiveSession, hello: Hello): Promise<void> {
  const { store, registry, clock } = session.context;
  const join = new Uint8Array(randomBytes(JOIN_TOKEN_BYTES));
  const opened = await openInStore(session, hello, join);
  if (opened === undefined) return;
  if (opened.behind !== undefined) return session.context.lineage.found(opened.behind);
  if (opened.frozen) return await freezeDevice(session.deviceId, session.remoteAddress, session.context);
  session.sessionEpoch = opened.sessionEpoch;
  session.labels = opened.labels;
  session.outboxEpoch = hello.outboxEpoch;
  session.knows = { ...(hello.roots && { roots: hello.roots }), ...(hello.moved && { moved: hello.moved }) };
  const older = registry.claim(session, opened.sessionEpoch);
  if (older !== undefined) await supersede(older, Math.max(session.sessionEpoch, older.sessionEpoch));
  if (older === session) return;
  const { deviceId } = session;
  const at = { leaseMs: session.context.leaseMs, now: clock.now() };
  const resumed = await store.tasks.resume({ deviceId, running: hello.running ?? [], ...at });
  await stopCancelled(session, resumed.cancelled);
  await adoptCertificate(session);
  retireOlderCertificates(session);
  session.feed({ kind: "registered", welcome: welcomeOf(session, opened, join), now: clock.monotonicMs() });
  await pushPolicy(session);
  if (opened.rotationDue) askToRenew(session);
  else session.context.rotations.settled(deviceId);
  tellNews(session, session.knows);
  warnOfAnotherVoice(session, opened);
}

/** Only a gateway of this mesh can have said what a node has stored: if it was not this one, somebody else has its issuing key, or its state is an older one. */
function warnOfAnotherVoice(
  { deviceId, knows, context }: LiveSession,
  { foreignCheckpoint = false }: OpenedSession,
): void {
  const { moved = 0 } = knows;
  const foreignMove = context.news.isForeignMove(moved);
  if (!foreignMove && !foreignCheckpoint) return;
  const facts = context.pace.line(deviceId, "another-voice");
  if (facts === undefined) return;
  context.logger.warn(
    { ...facts, moved, foreignMove, foreignCheckpoint },
    "a node has stored what this gateway never said: its state is older than that, or somebody else has its issuing key (docs/mesh-root.md)",
  );
}

/** Renew the leases a heartbeat names, and tell the node which are no longer its own. */
export async function renewAttempts(
  session: LiveSession,
  seq: number,
  running: readonly RunningAttempt[],
): Promise<void> {
  const { store, clock, leaseMs, dispatch } = session.context;
  dispatch.listed(session, running);
  if (running.length === 0) return session.feed({ kind: "leases-renewed", seq, leaseMs, fenced: [] });
  const { deviceId } = session;
  const renewed = await store.tasks
    .renew({ deviceId, running, leaseMs, now: clock.now() })
    .catch((error: unknown) => passing(error, session, "leases could not be renewed: the node is not told they were"));
  if (renewed === undefined) return;
  const stopped = await stopCancelled(session, renewed.cancelled);
  session.feed({ kind: "leases-renewed", seq, leaseMs, fenced: [...renewed.fenced, ...stopped] });
}

/** Cancelled or out of time: where no stream is left to say so, the attempt is fenced. @returns those fenced */
async function stopCancelled(
  session: LiveSession,
  cancelled: readonly AttemptToStop[],
): Promise<readonly Pick<AttemptToStop, "taskId" | "token">[]> {
  const { store, dispatch, clock, leaseMs } = session.context;
  const unreachable = dispatch.stop(cancelled);
  const now = clock.now();
  await Promise.all(
    unreachable.map(({ taskId, token }) =>
      store.tasks.step({ taskId, token, inputs: [{ kind: "fence", now }], leaseMs, now }),
    ),
  );
  return unreachable.map(({ taskId, token }) => ({ taskId, token }));
}

async function openInStore(session: LiveSession, hello: Hello, fresh: Uint8Array): Promise<OpenedSession | undefined> {
  const { store, clock, logger, news } = session.context;
  try {
    return await store.sessions.open({
      deviceId: session.deviceId,
      outboxEpoch: hello.outboxEpoch,
      software: hello.software,
      platform: `${hello.platform.os} ${hello.platform.arch}`,
      remoteAddress: session.remoteAddress,
      serial: session.serial,
      mesh: { rootVersion: news.rootVersionOf(hello.roots), moveVersion: hello.moved ?? 0 },
      join: { shown: hello.join, fresh },
      seen: hello.seen,
      capabilities: hello.capabilities.map(({ name, concurrency }) => ({ name, concurrency })),
      now: clock.now(),
    });
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const code = REFUSED.get(error.code) ?? CLOSE_CODES.internal;
    logger.warn({ device: session.deviceId, code: error.code }, "a session could not be registered");
    session.connection.close(code, error.code);
    return undefined;
  }
}

/** Two live sessions of one device: a restarted node, or a copied identity. Either way it shows. */
async function supersede(older: LiveSession, byEpoch: number): Promise<void> {
  const { store, registry, clock, logger, pace } = older.context;
  registry.count("superseded");
  older.feed({ kind: "supersede", now: clock.monotonicMs() });
  // A device that does nothing else could fill the log with it, past its quota.
  const line = pace.line(older.deviceId, "superseded");
  if (line === undefined) return;
  const { device, ...leftOut } = line;
  const { sessionEpoch, remoteAddress } = older;
  const facts = { sessionEpoch, supersededBy: byEpoch, remoteAddress, ...leftOut };
  logger.warn(
    { verdict: "superseded", device, ...facts },
    "a session was superseded by a newer one of the same device",
  );
  await store.events
    .record({ deviceId: older.deviceId, kind: SUPERSEDED_EVENT, data: encodeValue(facts), now: clock.now() })
    .catch((error: unknown) => passing(error, older, "a superseded session could not be recorded"));
}

/** What the store refuses for now is no reason to end a session: say so, and go on without. @throws whatever is no word of the store */
function passing(error: unknown, session: LiveSession, what: string): undefined {
  if (!(error instanceof GatewayError)) throw error;
  session.context.logger.warn({ device: session.deviceId, code: error.code }, what);
}

/** The certificate of this session has been used: those before it are done with. */
function retireOlderCertificates(session: LiveSession): void {
  const { trust, store, logger } = session.context;
  const { deviceId } = session;
  const serials = trust.markUsed(deviceId, session.serial);
  if (serials.length === 0) return;
  // The index has forgotten them already; a store that cannot write now forgets them with the next session.
  store.devices
    .retireCertificates({ deviceId, serials })
    .catch((error: unknown) => logger.warn({ device: deviceId, error }, "certificates could not be retired"));
}

function welcomeOf(session: LiveSession, opened: OpenedSession, join: Uint8Array): Omit<Welcome, "type"> {
  const { meshId, heartbeatMs, clock, pairingAddresses, access } = session.context;
  return {
    sessionEpoch: opened.sessionEpoch,
    mesh: meshId,
    heartbeatMs,
    ackedSeq: opened.ackedSeq,
    policyVersion: access.version,
    limits: { maxFrameBytes: MAX_FRAME_BYTES, maxBatchEvents: MAX_BATCH_EVENTS, maxEventBytes: MAX_EVENT_BYTES },
    time: clock.now(),
    join,
    ...(opened.checkpoint && { checkpoint: opened.checkpoint }),
    pairing: [...pairingAddresses()],
  };
}
