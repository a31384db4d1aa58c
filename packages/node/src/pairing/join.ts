import { hostname, platform, arch } from "node:os";
import {
  createCsr,
  drawNodeEntropy,
  fingerprint,
  makePrivateDirectory,
  selfSignedCredentials,
  type KeyPair,
  type NodeCode,
  type Secret,
} from "@quaymesh/identity";
import { CLOSE_CODES } from "@quaymesh/protocol";
import { systemClock, type Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import { findIdentity, loadOrCreateKey, storeIdentity, type NodeIdentity } from "../state/identity-file.ts";
import { layoutOf, type StateLayout } from "../state/layout.ts";
import { lockState } from "../state/lock.ts";
import { dialPairing, targetOf, type PairingLink, type PairingTarget } from "./dial.ts";
import { dialElsewhere } from "./elsewhere.ts";
import { joinShown } from "./join-shown.ts";
import type { JoinInvitation, JoinOptions, JoinResult, JoinStep } from "./options.ts";
import { runPairing } from "./run-pairing.ts";
import { UnprovedTries } from "./unproved.ts";

const MAX_NAME_LENGTH = 64;

/**
 * Pair this machine with a mesh: makes the device's key (or uses the one that is there), checks the gateway's root against the ticket's pin before it
 * sends anything, proves the secret, shows the words, and stores the certificate the operator approved. Cut off at any moment it can be run again. With a code of its own it goes on
 * knocking until an operator has scanned that.
 * @throws {NodeError} `GATEWAY_PIN_MISMATCH`, `PAKE_CONFIRM_FAILED`, `POSSIBLE_INTERCEPTION`, `PAIR_*`, `CLOCK_SKEW`, `DEVICE_REVOKED`, `TICKET_EXPIRED`, `GATEWAY_UNREACHABLE`, `GATEWAY_BUSY`,
 * `NODE_ALREADY_RUNNING`, `STATE_*`; rethrows `signal.reason`
 */
export async function join(options: JoinOptions): Promise<JoinResult> {
  const { invitation, clock = systemClock, onStep, signal } = options;
  signal?.throwIfAborted();
  checkExpiry(invitation, clock);
  const layout = layoutOf(options.state);
  await prepare(layout);
  using _lock = lockState(layout.lock);
  const paired = await findIdentity(layout);
  const key = await loadOrCreateKey(layout);
  const parts = { options, key, layout, clock, target: targetOf(invitation, paired) };
  if (invitation.kind === "own") {
    return await joinShown({ key, clock, onStep, signal, attempt: (code, news) => attempt(parts, code, news) });
  }
  let asked = false;
  const watch = (step: JoinStep): void => {
    asked ||= step.kind === "connected";
    onStep?.(step);
  };
  try {
    return await attempt(parts, codeOf(invitation), watch);
  } finally {
    // Where nobody answered the code is as good as new.
    if (asked) codeSecret(invitation).erase();
  }
}

interface Parts {
  readonly options: JoinOptions;
  readonly key: KeyPair;
  readonly layout: StateLayout;
  readonly clock: Clock;
  readonly target: PairingTarget;
}

type OnStep = JoinOptions["onStep"];

async function attempt(parts: Parts, code: NodeCode, onStep: OnStep): Promise<JoinResult> {
  const { options, key, clock, target } = parts;
  const { transport, signal } = options;
  const credentials = await selfSignedCredentials(key, { now: clock.now() });
  const dialing = {
    transport,
    target,
    credentials,
    now: clock.now(),
    ...(onStep !== undefined && { onStep }),
    ...(signal !== undefined && { signal }),
  };
  const link = await dialPairing(dialing).catch((cause: unknown) => dialElsewhere(cause, dialing, options.elsewhere));
  try {
    const rootFingerprint = fingerprint(link.chain.rootSpkiSha256);
    onStep?.({ kind: "connected", address: link.address, rootFingerprint });
    return resultOf(await pairOver(link, code, onStep, parts), link);
  } finally {
    link.connection.close(CLOSE_CODES.ok);
  }
}

async function pairOver(
  link: PairingLink,
  code: NodeCode,
  onStep: OnStep,
  parts: Parts,
): ReturnType<typeof runPairing> {
  const { options, key, layout, clock, target } = parts;
  // A root that is pinned has been checked already: nobody else can be at the other end.
  const tries = target.pins === undefined ? new UnprovedTries(layout.unproved, link.address) : undefined;
  let proved = false;
  const paired = runPairing({
    link,
    key,
    store: (identity) => storeIdentity(layout, identity),
    clock,
    setup: {
      code,
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
    onStep: (step) => {
      proved ||= step.kind === "proved";
      onStep?.(step);
    },
    judgeUnproved: async (error) =>
      (await tries?.judge(error, fingerprint(link.chain.rootSpkiSha256), clock.now())) ?? error,
    ...(options.signal !== undefined && { signal: options.signal }),
  });
  try {
    return await paired;
  } finally {
    if (proved) await tries?.forget(clock.now());
  }
}

function resultOf(
  paired: { readonly identity: NodeIdentity; readonly words: readonly string[] },
  link: PairingLink,
): JoinResult {
  const { deviceId, meshId, mesh, addresses, notAfter } = paired.identity;
  const rootFingerprint = fingerprint(link.chain.rootSpkiSha256);
  return { deviceId, meshId, mesh, addresses, rootFingerprint, words: paired.words, notAfter };
}

type GivenCode = Exclude<JoinInvitation, { kind: "own" }>;

function codeOf(invitation: GivenCode): NodeCode {
  if (invitation.kind === "pin") return { kind: "pin", pin: invitation.pin };
  return { kind: "ticket", codeId: invitation.ticket.codeId, secret: invitation.ticket.secret };
}

function codeSecret(invitation: GivenCode): Secret<string> | Secret<Uint8Array> {
  return invitation.kind === "pin" ? invitation.pin : invitation.ticket.secret;
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
