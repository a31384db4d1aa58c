import { parsePairToNode, RemoteError, type PairToNode } from "@quaymesh/protocol";
import type { EnrollInput, RevokeInput } from "../../../packages/gateway/src/store/port-devices.ts";
import type { MoveWindow, PairingStore, RecordAttempt } from "../../../packages/gateway/src/store/port-pairing.ts";
import type { CertificateRow, PairingRequestRow, WindowRow } from "../../../packages/gateway/src/store/rows.ts";
import type { Job, Reply } from "../../../packages/gateway/src/store/sqlite/wire.ts";
import { Violation } from "../violation.ts";
import { ModelWindows } from "./pairing-windows.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** So long after its end a certificate is still renewed. docs/wire.md, "Late renewal". */
const LATE_MS = 180 * DAY_MS;
/** Frames begin with their length. docs/wire.md, "Frames". */
const HEADER_BYTES = 4;

/** What a gateway allows. */
export interface ModelLimits {
  readonly failuresPerCode: number;
  readonly failuresPerHour: number;
}

type RecordFailure = Parameters<PairingStore["recordFailure"]>[0];

interface Attempt {
  readonly windowId: string;
  readonly secret: "ticket" | "pin";
  readonly host: string;
  readonly at: number;
  verdict: "none" | "right" | "wrong";
}

interface Request {
  readonly windowId: string;
  /** `host:port` of the connection that it was last asked from. */
  peer: string;
  isLive: boolean;
  words: readonly string[];
}

/** What pairing has to do, told from what the gateway commits and sends, and from what people see. Peers go by `host:port`; a host is called after what it is. */
export class ModelPairing {
  readonly windows: ModelWindows;
  readonly #limits: ModelLimits;
  readonly #attempts = new Map<string, Attempt>();
  readonly #requests = new Map<string, Request>();
  readonly #provers = new Set<string>();
  readonly #approved = new Set<string>();
  readonly #denied = new Set<string>();
  readonly #deviceOfKey = new Map<string, string>();
  readonly #serials = new Map<string, string>();
  /** By device: when its newest certificate ends. */
  readonly #notAfter = new Map<string, number>();
  readonly #revoked = new Set<string>();
  readonly #requestOfPeer = new Map<string, string>();
  readonly #answers = new Map<string, string>();
  /** What nodes and operators were shown of a connection. */
  readonly #shown = new Map<string, string>();

  constructor(limits: ModelLimits) {
    this.#limits = limits;
    this.windows = new ModelWindows(limits.failuresPerCode);
  }

  /** A group of writes was committed. */
  committed(jobs: readonly Job[], replies: readonly Reply[]): void {
    for (const [index, job] of jobs.entries()) {
      const reply = replies[index];
      if (reply?.ok === true) this.#one(job, reply.value);
      else if (job.unit === "pairing.record-failure") this.#wrong(job.input as RecordFailure, false);
    }
  }

  /** The gateway has got a proof of this peer. */
  proof(peer: string): void {
    this.#provers.add(peer);
  }

  /** The gateway says something to a peer. */
  sent(peer: string, frame: Uint8Array): void {
    const message = read(frame.subarray(HEADER_BYTES));
    const isJudged = message === "PAIR_CODE_INVALID" ? this.#provers.has(peer) : isMessage(message, "proved");
    const isRecorded = [...this.#attempts.keys()].some((id) => id.endsWith(`.${peer}`));
    if (isJudged && !isRecorded) {
      throw new Violation("recorded-before-judged", `${hostOf(peer)} was told of a judgement that is not on disk`);
    }
    if (isMessage(message, "proved")) this.#requestOfPeer.set(peer, message.requestId);
    if (isMessage(message, "issued")) this.#answered(peer, JSON.stringify(message.chain.map((der) => hex(der))));
  }

  /** An operator is about to say yes, or no. */
  decided(requestId: string, decision: "approve" | "deny"): void {
    (decision === "approve" ? this.#approved : this.#denied).add(requestId);
  }

  /** The gateway has given a request up, whether or not its disk takes that. */
  requestEnded(requestId: string): void {
    const request = this.#requests.get(requestId);
    if (request !== undefined) request.isLive = false;
  }

  /** A node on this connection to the gateway shows words. */
  nodeShows(peer: string, words: readonly string[]): void {
    this.#compare(peer, words, "node");
  }

  /** A node has stored this certificate of its key. */
  stored(host: string, deviceId: string, serial: string): void {
    if (this.#serials.get(serial) !== deviceId) {
      throw new Violation("stored-is-enrolled", `${host} holds a certificate that the gateway does not know`);
    }
  }

  #one({ unit, input }: Job, value: unknown): void {
    switch (unit) {
      case "pairing.put-window":
        return this.windows.put(input as WindowRow);
      case "pairing.move-window": {
        const { windowId, to } = input as MoveWindow;
        // One that was in another state stays there.
        return value === undefined ? undefined : this.windows.moved(windowId, to);
      }
      case "pairing.record-attempt":
        return this.#attempt(input as RecordAttempt);
      case "pairing.record-proof":
        return this.#right(input as string);
      case "pairing.record-failure":
        return this.#wrong(input as RecordFailure, true);
      case "pairing.put-request":
        return this.#request(input as PairingRequestRow);
      case "devices.enroll":
        return this.#enrolled(input as EnrollInput);
      case "devices.add-certificate":
        return this.#renewed(input as CertificateRow);
      case "devices.revoke":
        this.#revoked.add((input as RevokeInput).deviceId);
        return undefined;
      default:
        return undefined;
    }
  }

  #attempt({ attemptId, windowId, secret, at }: RecordAttempt): void {
    const host = hostOf(attemptId.slice(attemptId.indexOf(".") + 1));
    this.#attempts.set(attemptId, { windowId, secret, host, at, verdict: "none" });
  }

  #recordedAttempt(attemptId: string): Attempt {
    const attempt = this.#attempts.get(attemptId);
    if (attempt !== undefined) return attempt;
    throw new Violation("recorded-before-judged", `${attemptId} was judged and not recorded`);
  }

  #right(attemptId: string): void {
    const attempt = this.#recordedAttempt(attemptId);
    attempt.verdict = "right";
    const { host, windowId, secret } = attempt;
    if (host.startsWith("guesser")) throw new Violation("no-lucky-guess", `${host} proved a code it was never given`);
    if (host.startsWith("relay")) throw new Violation("nothing-through-a-middle", `${host} passed a proof on`);
    this.windows.proved(windowId, secret, host);
  }

  #wrong({ attemptId }: RecordFailure, isCommitted: boolean): void {
    const attempt = this.#recordedAttempt(attemptId);
    const { windowId, secret, at } = attempt;
    if (isCommitted) attempt.verdict = "wrong";
    if (windowId !== "") this.windows.failed(windowId, secret, isCommitted);
    if (windowId === "" || secret !== "pin" || !isCommitted) return;
    const lately = [...this.#attempts.values()].filter(
      (each) => isWrongPin(each) && each.at > at - HOUR_MS && each.at <= at,
    );
    if (lately.length > this.#limits.failuresPerHour) {
      throw new Violation("budgets-hold", `${String(lately.length)} wrong PINs were judged within an hour`);
    }
  }

  #request({ requestId, windowId, body }: PairingRequestRow): void {
    const { words, remoteAddress } = JSON.parse(body) as {
      readonly words: readonly string[];
      readonly remoteAddress: string;
    };
    const others = [...this.#requests].filter(
      ([id, each]) => id !== requestId && each.windowId === windowId && each.isLive,
    );
    // Who has a place in a pre-approved window is not said before it is written down who has used it.
    if (others.length > 0 && !this.windows.isPreapproved(windowId)) {
      throw new Violation("one-device-at-a-code", `a window has ${String(others.length + 1)}`);
    }
    this.#requests.set(requestId, { windowId, peer: remoteAddress, words, isLive: true });
    if (remoteAddress !== "") this.#compare(remoteAddress, words, "operator");
  }

  #enrolled({ certificate, request, unasked = false }: EnrollInput): void {
    const { requestId = "" } = request ?? {};
    const asked = this.#requests.get(requestId);
    const host = hostOf(asked?.peer ?? "?:");
    const isApproved = this.#approved.has(requestId) && !this.#denied.has(requestId);
    const isUnasked = unasked && asked !== undefined && this.windows.isPreapproved(asked.windowId);
    if (asked === undefined || !(isApproved || isUnasked)) {
      throw new Violation("nobody-without-approval", `${host} was enrolled`);
    }
    // Whoever holds a pre-approved ticket has it from somebody: nobody compares words.
    if (!isUnasked && !host.startsWith("node")) {
      throw new Violation("only-whom-the-words-fit", `${host} was enrolled`);
    }
    this.windows.used(asked.windowId, certificate.spkiSha256, host);
    this.#certified(certificate);
  }

  #renewed(certificate: CertificateRow): void {
    const { deviceId, issuedAt } = certificate;
    const lateMs = issuedAt - (this.#notAfter.get(deviceId) ?? issuedAt);
    if (lateMs > LATE_MS) {
      throw new Violation(
        "renewed-in-time",
        `${deviceId} was renewed ${String(Math.floor(lateMs / DAY_MS))} days late`,
      );
    }
    this.#certified(certificate);
  }

  #certified({ deviceId, spkiSha256, serial, notAfter }: CertificateRow): void {
    const before = this.#deviceOfKey.get(spkiSha256) ?? deviceId;
    if (before !== deviceId) throw new Violation("one-device-per-key", `a key is of ${before} and of ${deviceId}`);
    if (this.#revoked.has(deviceId)) throw new Violation("nothing-for-the-revoked", `${deviceId} has a certificate`);
    this.#deviceOfKey.set(spkiSha256, deviceId);
    this.#serials.set(serial, deviceId);
    this.#notAfter.set(deviceId, Math.max(notAfter, this.#notAfter.get(deviceId) ?? 0));
  }

  #answered(peer: string, chain: string): void {
    const requestId = this.#requestOfPeer.get(peer) ?? "";
    const before = this.#answers.get(requestId) ?? chain;
    if (before !== chain) throw new Violation("one-answer-per-request", `${hostOf(peer)} got another certificate`);
    this.#answers.set(requestId, chain);
  }

  #compare(peer: string, words: readonly string[], who: string): void {
    const known = this.#shown.get(peer);
    const now = words.join(" ");
    if (known !== undefined && known !== now) {
      throw new Violation("same-words", `the ${who} at ${hostOf(peer)} reads other words than the other side`);
    }
    this.#shown.set(peer, now);
  }
}

function isWrongPin({ verdict, secret, windowId }: Attempt): boolean {
  return verdict === "wrong" && secret === "pin" && windowId !== "";
}

/** `host` of `host:port`. */
function hostOf(peer: string): string {
  return peer.slice(0, peer.lastIndexOf(":"));
}

function read(body: Uint8Array): PairToNode | string | undefined {
  try {
    return parsePairToNode(body);
  } catch (cause) {
    return cause instanceof RemoteError ? cause.code : undefined;
  }
}

function isMessage<T extends PairToNode["type"]>(
  message: PairToNode | string | undefined,
  type: T,
): message is Extract<PairToNode, { type: T }> {
  return typeof message === "object" && message.type === type;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
