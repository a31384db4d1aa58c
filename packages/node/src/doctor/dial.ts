/** A real dial with the node's own credentials, which stops before the hello: it begins no session and takes none over. */
import { meshServerName, selfSignedCredentials, KeyPair } from "@quaymesh/identity";
import {
  CLOSE_CODES,
  dialVerdict,
  MessageStream,
  parseHealthReply,
  RemoteError,
  WIRE_VERSION,
  type CloseInfo,
  type Connection,
  type PeerIdentity,
  type SocketAddress,
} from "@quaymesh/protocol";
import { withClocks } from "../link/clocks.ts";
import { failureOf, failureOfClose, type LinkFailure } from "../link/failure.ts";
import { MESH_PROTOCOL } from "../protocols.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { NodeDoctorContext } from "./context.ts";

/** How long an answer may take. */
const ANSWER_MS = 5000;
/** A close says more than the stream that it ended. */
const LAST_WORD_MS = 500;

/** What the dial came to. */
export type Dialed =
  /** Let in. `time`: the gateway's clock and ours when it was asked, Unix milliseconds; absent where the gateway does not tell it without a session. */
  | {
      readonly kind: "accepted";
      readonly address: SocketAddress;
      readonly attempt: string | undefined;
      readonly handshakeMs: number;
      readonly time?: { readonly gateway: number; readonly here: number; readonly roundTripMs: number };
    }
  /** `shown`: what the endpoint showed to a second look, where it was this side that refused it. */
  | {
      readonly kind: "failed";
      readonly address: SocketAddress;
      readonly failure: LinkFailure;
      readonly byUs: boolean;
      readonly shown?: PeerIdentity;
    };

/** Dial each address until one lets us in or says why not. */
export async function dialGateway(context: NodeDoctorContext): Promise<Dialed> {
  let last: Dialed | undefined;
  for (const address of context.reachable ?? []) {
    last = await dialOne(address, context);
    if (last.kind === "accepted" || last.failure.error.code !== "GATEWAY_UNREACHABLE") return last;
  }
  if (last === undefined) throw new TypeError("nothing to dial");
  return last;
}

async function dialOne(address: SocketAddress, context: NodeDoctorContext): Promise<Dialed> {
  const { transport, clock, signal, identity, keyPem } = context;
  if (identity === undefined || keyPem === undefined) throw new TypeError("no identity");
  const began = clock.monotonic();
  let connection: Connection;
  try {
    connection = await transport.dial(address, {
      protocol: MESH_PROTOCOL,
      serverName: meshServerName(identity.meshId),
      credentials: { keyPem, chainPem: identity.chainPem },
      trust: { kind: "anchored", anchorsPem: identity.rootPem },
      ...(signal && { signal }),
    });
  } catch (cause) {
    signal?.throwIfAborted();
    return await failed(failureOf(cause, address), address, context);
  }
  const handshakeMs = clock.monotonic() - began;
  try {
    return { ...(await askHealth(connection, address, context)), handshakeMs };
  } catch (cause) {
    signal?.throwIfAborted();
    const close = await lastWord(connection, context);
    const { attempt } = connection;
    const failure =
      close !== undefined && dialVerdict(close) !== "other"
        ? failureOfClose(close, { address, attempt, cause })
        : failureOf(cause, address);
    return await failed(failure, address, context);
  } finally {
    connection.close(CLOSE_CODES.ok, "a doctor's look");
  }
}

/** @throws what the stream throws where the gateway does not let us in */
async function askHealth(
  connection: Connection,
  address: SocketAddress,
  { clock }: NodeDoctorContext,
): Promise<Omit<Extract<Dialed, { kind: "accepted" }>, "handshakeMs">> {
  const over = new AbortController();
  clock.sleep(ANSWER_MS, over.signal).then(
    () => connection.close(CLOSE_CODES.timeout, "no answer came"),
    () => undefined,
  );
  const accepted = { kind: "accepted", address, attempt: connection.attempt } as const;
  try {
    const stream = new MessageStream(await connection.openStream());
    const [askedAt, asked] = [clock.now(), clock.monotonic()];
    await stream.end({ v: WIRE_VERSION, method: "health" });
    const { time } = await stream.expect(parseHealthReply);
    const roundTripMs = clock.monotonic() - asked;
    return { ...accepted, time: { gateway: time, here: askedAt + roundTripMs / 2, roundTripMs } };
  } catch (cause) {
    // A gateway of before tells nobody the time without a session; that it answers says that we are in.
    if (cause instanceof RemoteError && cause.code === "STATE_INVALID") return accepted;
    throw cause;
  } finally {
    over.abort();
  }
}

async function failed(failure: LinkFailure, address: SocketAddress, context: NodeDoctorContext): Promise<Dialed> {
  const { identity, clock } = context;
  const told = identity === undefined ? failure : withClocks(failure, identity, clock.now());
  const { close } = failure.error;
  const byUs =
    failure.error.code === "GATEWAY_UNTRUSTED" || (close !== undefined && "byPeer" in close && !close.byPeer);
  const shown = byUs && identity !== undefined ? await look(address, identity, context) : undefined;
  return { kind: "failed", address, failure: told, byUs, ...(shown && { shown }) };
}

/** What does the endpoint show? As a stranger, who is gone before anything is said. */
async function look(
  address: SocketAddress,
  identity: NodeIdentity,
  { transport, clock, signal }: NodeDoctorContext,
): Promise<PeerIdentity | undefined> {
  let shown: PeerIdentity | undefined;
  try {
    const connection = await transport.dial(address, {
      protocol: MESH_PROTOCOL,
      serverName: meshServerName(identity.meshId),
      credentials: await selfSignedCredentials(await KeyPair.generate(), { now: clock.now() }),
      trust: {
        kind: "judged",
        authorize: (peer) => {
          shown = peer;
          return { kind: "refuse", reason: "unknown" };
        },
      },
      ...(signal && { signal }),
    });
    connection.close(CLOSE_CODES.ok);
  } catch {
    signal?.throwIfAborted();
  }
  return shown;
}

async function lastWord(connection: Connection, { clock }: NodeDoctorContext): Promise<CloseInfo | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([
      connection.closed,
      clock.sleep(LAST_WORD_MS, over.signal).then(
        () => undefined,
        () => undefined,
      ),
    ]);
  } finally {
    over.abort();
  }
}
