import { hostname, platform, arch } from "node:os";
import {
  createCsr,
  drawNodeEntropy,
  fingerprint,
  makePrivateDirectory,
  selfSignedCredentials,
  type KeyPair,
  type NodeCode,
} from "@quaymesh/identity";
import { CLOSE_CODES } from "@quaymesh/protocol";
import { systemClock, type Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import { findIdentity, loadOrCreateKey, type NodeIdentity } from "../state/identity-file.ts";
import { layoutOf, type StateLayout } from "../state/layout.ts";
import { lockState } from "../state/lock.ts";
import { dialPairing, targetOf, type PairingLink } from "./dial.ts";
import type { JoinInvitation, JoinOptions, JoinResult } from "./options.ts";
import { runPairing } from "./run-pairing.ts";

const MAX_NAME_LENGTH = 64;

/**
 * Pair this machine with a mesh: makes the device's key (or uses the one that is there), checks the gateway's root against the ticket's pin before it
 * sends anything, proves the secret, shows the words, and stores the certificate the operator approved. Cut off at any moment it can be run again.
 * @throws {NodeError} `GATEWAY_PIN_MISMATCH`, `PAKE_CONFIRM_FAILED`, `PAIR_*`, `CLOCK_SKEW`, `DEVICE_REVOKED`, `TICKET_EXPIRED`, `GATEWAY_UNREACHABLE`, `GATEWAY_BUSY`,
 * `NODE_ALREADY_RUNNING`, `STATE_*`; rethrows `signal.reason`
 */
export async function join(options: JoinOptions): Promise<JoinResult> {
  const { invitation, clock = systemClock } = options;
  options.signal?.throwIfAborted();
  checkExpiry(invitation, clock);
  const layout = layoutOf(options.state);
  await prepare(layout);
  using _lock = lockState(layout.lock);
  const paired = await findIdentity(layout);
  const key = await loadOrCreateKey(layout);
  const credentials = await selfSignedCredentials(key, { now: clock.now() });
  const target = targetOf(invitation, paired);
  const link = await dialPairing({ ...options, target, credentials, now: clock.now() });
  try {
    options.onStep?.({
      kind: "connected",
      address: link.address,
      rootFingerprint: fingerprint(link.chain.rootSpkiSha256),
    });
    return resultOf(await pairOver(link, { options, key, layout, clock }), link);
  } finally {
    eraseSecret(invitation);
    link.connection.close(CLOSE_CODES.ok);
  }
}

interface Parts {
  readonly options: JoinOptions;
  readonly key: KeyPair;
  readonly layout: StateLayout;
  readonly clock: Clock;
}

async function pairOver(link: PairingLink, parts: Parts): ReturnType<typeof runPairing> {
  const { options, key, layout, clock } = parts;
  return runPairing({
    link,
    key,
    layout,
    clock,
    setup: {
      code: codeOf(options.invitation),
      channel: {
        meshId: link.chain.meshId,
        nodeSpkiSha256: key.spkiSha256,
        gatewaySpkiSha256: link.chain.spkiSha256,
      },
      root: link.chain.root,
      name: (options.name ?? hostname()).slice(0, MAX_NAME_LENGTH).toWellFormed() || "node",
      platform: { os: platform(), arch: arch() },
      csr: await createCsr(key),
      ...drawNodeEntropy(),
      now: clock.now(),
    },
    ...(options.onStep !== undefined && { onStep: options.onStep }),
    ...(options.signal !== undefined && { signal: options.signal }),
  });
}

function resultOf(
  paired: { readonly identity: NodeIdentity; readonly words: readonly string[] },
  link: PairingLink,
): JoinResult {
  const { deviceId, meshId, mesh, addresses, notAfter } = paired.identity;
  const rootFingerprint = fingerprint(link.chain.rootSpkiSha256);
  return { deviceId, meshId, mesh, addresses, rootFingerprint, words: paired.words, notAfter };
}

function codeOf(invitation: JoinInvitation): NodeCode {
  if (invitation.kind === "pin") return { kind: "pin", pin: invitation.pin };
  return { kind: "ticket", codeId: invitation.ticket.codeId, secret: invitation.ticket.secret };
}

function eraseSecret(invitation: JoinInvitation): void {
  if (invitation.kind === "pin") invitation.pin.erase();
  else invitation.ticket.secret.erase();
}

function checkExpiry(invitation: JoinInvitation, clock: Clock): void {
  if (invitation.kind !== "ticket" || clock.now() < invitation.ticket.expiresAt) return;
  const [expiry, here] = [invitation.ticket.expiresAt, clock.now()].map((ms) => new Date(ms).toISOString());
  throw new NodeError("TICKET_EXPIRED", `this ticket expired at ${expiry}, and this clock says ${here}`);
}

async function prepare(layout: StateLayout): Promise<void> {
  try {
    await makePrivateDirectory(layout.directory);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : "unknown";
    throw new NodeError("STATE_UNREADABLE", `the state directory cannot be used: ${why}`, {
      cause,
      details: { state: layout.directory },
    });
  }
}
