import {
  ANY_PAIRING_SERVER_NAME,
  describeChain,
  judgeChain,
  pairingServerName,
  type ChainVerdict,
  type GatewayChain,
} from "@quaymesh/identity";
import type { Connection, Credentials, PeerIdentity, SocketAddress, Transport, Verdict } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import { failureOf } from "../link/failure.ts";
import { pinsOf } from "../mesh/roots.ts";
import { PAIRING_PROTOCOL } from "../protocols.ts";
import { formatAddress } from "../state/address.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { JoinInvitation, JoinStep } from "./options.ts";

/** A pairing endpoint that showed a chain this node takes. */
export interface PairingLink {
  readonly connection: Connection;
  readonly chain: GatewayChain;
  readonly address: SocketAddress;
}

/** Where a pairing endpoint is, and how it is told from another. */
export interface PairingTarget {
  readonly addresses: readonly SocketAddress[];
  /** SHA-256 of the SubjectPublicKeyInfo of each root that is taken; without any the root is trusted on first use. */
  readonly pins: readonly Uint8Array[] | undefined;
  /** Where it is known beforehand. */
  readonly meshId: string | undefined;
}

/** What {@link dialPairing} needs. */
export interface DialPairingOptions {
  readonly transport: Transport;
  readonly target: PairingTarget;
  readonly credentials: Credentials;
  readonly now: number;
  readonly onStep?: (step: JoinStep) => void;
  readonly signal?: AbortSignal;
}

/**
 * Reach the pairing endpoint. Its chain is judged inside the handshake: one that does not end at the pin is refused before a byte is sent.
 * Addresses are tried in order; the error is that of the most telling refusal.
 * @throws {NodeError} `GATEWAY_PIN_MISMATCH`, `GATEWAY_UNTRUSTED`, `CLOCK_SKEW`, `GATEWAY_UNREACHABLE`, `GATEWAY_BUSY`, …
 */
export async function dialPairing(options: DialPairingOptions): Promise<PairingLink> {
  const errors: NodeError[] = [];
  for (const address of options.target.addresses) {
    options.onStep?.({ kind: "dialing", address });
    try {
      return await dialOne(options, address);
    } catch (cause) {
      options.signal?.throwIfAborted();
      errors.push(cause instanceof NodeError ? cause : failureOf(cause, address).error);
    }
  }
  // An impostor at one address is news even where another is only silent.
  const telling = errors.find(({ code }) => code === "GATEWAY_PIN_MISMATCH");
  throw telling ?? errors.find(({ code }) => code !== "GATEWAY_UNREACHABLE") ?? errors[0] ?? noAddress();
}

async function dialOne(options: DialPairingOptions, address: SocketAddress): Promise<PairingLink> {
  const { transport, target, credentials, now, signal } = options;
  const { pins, meshId } = target;
  const meshServerName = meshId === undefined ? undefined : pairingServerName(meshId);
  const judged: { verdict?: ChainVerdict; peer?: PeerIdentity } = {};
  const authorize = (peer: PeerIdentity): Verdict => {
    const verdict = judgeChain(peer.chain, {
      rootSpkiSha256: pins ?? "first-use",
      now,
      ...(meshServerName !== undefined && { meshServerName }),
    });
    judged.verdict = verdict;
    judged.peer = peer;
    return verdict;
  };
  let connection: Connection;
  try {
    connection = await transport.dial(address, {
      protocol: PAIRING_PROTOCOL,
      serverName: meshServerName ?? ANY_PAIRING_SERVER_NAME,
      credentials,
      trust: { kind: "judged", authorize },
      ...(signal !== undefined && { signal }),
    });
  } catch (cause) {
    if (judged.verdict?.kind === "refuse")
      throw refusal(judged.verdict, { address, pin: pins?.at(-1), now, peer: judged.peer, cause });
    throw cause;
  }
  if (judged.verdict?.kind === "accept") return { connection, chain: judged.verdict, address };
  connection.close(0);
  throw new NodeError("GATEWAY_UNTRUSTED", `${formatAddress(address)} showed no certificate that was judged`);
}

/**
 * What an invitation leads to.
 * @param paired the mesh this node is paired with already: it then takes no other root, whatever the invitation says, as ssh does
 */
export function targetOf(invitation: JoinInvitation, paired: NodeIdentity | undefined): PairingTarget {
  const pins = pinsFor(invitation, paired);
  if (invitation.kind === "pin") return { addresses: [invitation.address], pins, meshId: undefined };
  if (invitation.kind === "own") return { addresses: invitation.addresses, pins, meshId: undefined };
  const { addresses, meshId } = invitation.ticket;
  return { addresses, pins, meshId };
}

function pinsFor(invitation: JoinInvitation, paired: NodeIdentity | undefined): readonly Uint8Array[] | undefined {
  if (paired !== undefined) return pinsOf(paired);
  return invitation.kind === "ticket" ? [invitation.ticket.rootSpkiSha256] : undefined;
}

function refusal(
  verdict: Extract<ChainVerdict, { kind: "refuse" }>,
  seen: {
    readonly address: SocketAddress;
    readonly pin: Uint8Array | undefined;
    readonly now: number;
    readonly peer: PeerIdentity | undefined;
    readonly cause: unknown;
  },
): NodeError {
  const where = formatAddress(seen.address);
  const code = verdict.code === "CHAIN_INVALID" ? "GATEWAY_UNTRUSTED" : verdict.code;
  const { expectedRoot, seenRoot } = describeChain(seen.peer?.chain ?? [], {
    now: seen.now,
    ...(seen.pin !== undefined && { expectedRootSpkiSha256: seen.pin }),
  });
  return new NodeError(code, `${verdict.detail} (${where})`, {
    cause: seen.cause,
    details: {
      address: where,
      ...(expectedRoot !== undefined && { expectedRoot }),
      ...(seenRoot !== undefined && { seenRoot }),
    },
  });
}

function noAddress(): NodeError {
  return new NodeError("OPTIONS_INVALID", "the ticket names no address");
}
