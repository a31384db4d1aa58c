import type { GatewayPairing, GatewayPairingEffect, GatewayPairingInput } from "@quaymesh/identity";
import { encodeFrame, errorFrameOf } from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import { eraseCode } from "./code.ts";
import { findCsr } from "./csr-finding.ts";
import type { DeskParts, EndpointPort } from "./desk-parts.ts";
import { Endings } from "./endings.ts";
import { enrol } from "./enrolment.ts";
import { findRenewal, isRevoked, renewLate } from "./late-renewal.ts";
import { askedView, holderOf } from "./key-holder.ts";
import { requestRow } from "./records.ts";
import type { Rooms } from "./rooms.ts";
import type { RequestState, RequestView } from "./service.ts";

/** A machine's input before its time is put on. */
export type UntimedInput = GatewayPairingInput extends infer Input
  ? Input extends GatewayPairingInput
    ? Omit<Input, "now">
    : never
  : never;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

type Effect<K extends GatewayPairingEffect["kind"]> = Extract<GatewayPairingEffect, { kind: K }>;

/** What running effects needs besides the desk's parts. */
export interface EffectContext {
  readonly parts: DeskParts;
  readonly rooms: Rooms;
  readonly endpoint: EndpointPort;
  /** Where an attempt comes from, host:port. */
  readonly remoteOf: (attemptId: string) => string;
  /** Where nodes find the pairing endpoint when it is open, host:port. */
  readonly pairingAddresses: () => readonly string[];
  /** Whether a window goes on. */
  readonly isOpen: (windowId: string) => boolean;
  /** Give the machine what an effect has brought. */
  readonly feed: (input: UntimedInput) => void;
  readonly signal: AbortSignal;
}

/** Does what the machine asks for. */
export class EffectRunner {
  /** How windows and requests ended, on disk or not yet. */
  readonly endings: Endings;
  readonly #context: EffectContext;
  /** Unique over restarts, so that attempts of two lives are not one row. */
  readonly #life: string;
  /** Issuing under way, by request; whoever approved waits for it. */
  readonly #issuing = new Map<string, Promise<RequestView>>();
  /** Why a request is not in the store. */
  readonly #unwritten = new Map<string, unknown>();
  /** The store's writes go in the machine's order. */
  #writes: Promise<void> = Promise.resolve();

  constructor(context: EffectContext, life: string) {
    this.#context = context;
    this.#life = life;
    this.endings = new Endings({ ...context.parts, signal: context.signal });
  }

  /** The issuing of a request that was just approved. @throws as {@link enrol} */
  issuing(requestId: string): Promise<RequestView> | undefined {
    return this.#issuing.get(requestId);
  }

  /** Resolves when the writes so far are done. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#issuing.values());
    await this.#writes;
  }

  /** @param before the machine before the step: where a failed attempt was */
  run(effect: GatewayPairingEffect, before: GatewayPairing): void {
    switch (effect.kind) {
      case "send":
        return this.#context.endpoint.send(effect.attemptId, encodeFrame(effect.message));
      case "fail":
        return this.#fail(effect, before);
      case "persist":
        return this.#persist(effect);
      case "settle":
        return this.#settle(effect, before);
      case "inspect-csr":
        return this.#inspect(effect);
      case "ask":
        return this.#ask(effect);
      case "issue":
        return this.#issue(effect);
      case "inspect-renewal":
        return this.#inspectRenewal(effect);
      case "renew":
        return this.#renew(effect);
      case "finish":
        return this.#context.endpoint.end(effect.attemptId, encodeFrame(effect.message));
      case "request-ended":
        return this.#requestEnded(effect);
      case "code-ended":
        return this.#codeEnded(effect);
      case "window-ended":
        return this.#windowEnded(effect);
      case "rejected":
        return undefined;
      default:
        return effect satisfies never;
    }
  }

  #fail({ attemptId, code, message, retryAfterMs }: Effect<"fail">, before: GatewayPairing): void {
    this.#context.endpoint.end(attemptId, encodeFrame(errorFrameOf({ code, message, retryAfterMs })));
    const attempt = before.attempts.get(attemptId);
    if (attempt === undefined || attempt.kind === "waiting" || attempt.windowId === undefined) return;
    const { windowId, peer } = attempt;
    const { rooms, parts } = this.#context;
    if (code !== "DEVICE_REVOKED") return rooms.publish(windowId, "attempt-failed", code);
    this.#write(async () => {
      rooms.publish(windowId, "attempt-failed", code, await holderOf(parts, peer.nodeSpkiSha256));
    });
  }

  #persist({ attemptId, windowId, secret, source, at }: Effect<"persist">): void {
    const { store, logger } = this.#context.parts;
    const row = { attemptId: this.#row(attemptId), windowId: windowId ?? "", secret, prefix: source, at };
    this.#write(async () => {
      try {
        await store.pairing.recordAttempt({ ...row, hourAgo: at - HOUR_MS, dayAgo: at - DAY_MS });
        this.#context.feed({ kind: "persisted", attemptId });
      } catch (cause) {
        logger.error({ err: cause }, "a pairing attempt could not be recorded, so it is not judged");
        this.#context.feed({ kind: "persist-failed", attemptId });
      }
    });
  }

  #settle({ attemptId, outcome }: Effect<"settle">, before: GatewayPairing): void {
    const { pairing } = this.#context.parts.store;
    const row = this.#row(attemptId);
    if (outcome === "proved") return this.#write(() => pairing.recordProof(row));
    const attempt = before.attempts.get(attemptId);
    const windowId = attempt?.kind === "persisting" ? (attempt.windowId ?? "") : "";
    this.#write(async () => {
      await pairing.recordFailure({ attemptId: row, windowId });
    });
  }

  #inspect({ attemptId, csr }: Effect<"inspect-csr">): void {
    this.#write(async () => {
      const finding = await findCsr(this.#context.parts, csr);
      this.#context.feed({ kind: "csr-inspected", attemptId, finding });
    });
  }

  #ask({ request, preapproved }: Effect<"ask">): void {
    const { rooms, parts, remoteOf } = this.#context;
    const { attemptId, windowId, spkiSha256 } = request;
    const name = rooms.facts(windowId).name;
    const remoteAddress = attemptId === undefined ? "" : remoteOf(attemptId);
    const requestedAt = parts.clock.now();
    this.#write(async () => {
      const holder = await holderOf(parts, spkiSha256);
      const view = askedView(request, { name, remoteAddress, requestedAt, preapproved, holder });
      try {
        await parts.store.pairing.putRequest(requestRow(view, parts.clock.now()));
      } catch (cause) {
        this.#unwritten.set(request.requestId, cause);
        throw cause;
      }
      rooms.put(view);
    });
  }

  #issue({ requestId, deviceId, csr, spkiSha256, windowId, by }: Effect<"issue">): void {
    const { rooms, parts, feed } = this.#context;
    const run = async (): Promise<RequestView> => {
      this.#assertServing();
      const view = rooms.request(requestId);
      if (view === undefined) {
        throw (
          this.#unwritten.get(requestId) ?? new GatewayError("REQUEST_NOT_FOUND", `there is no request ${requestId}`)
        );
      }
      const facts = rooms.facts(windowId);
      rooms.put({ ...view, state: "approved" });
      const now = parts.clock.now();
      const enrolled = await enrol(
        { ...parts, store: parts.store.pairing, pairingAddresses: this.#context.pairingAddresses },
        { view, facts, deviceId, csr, spkiSha256, unasked: by === "window", now },
      );
      rooms.put(enrolled.view);
      const { name, remoteAddress: remote } = enrolled.view;
      parts.logger.info({ device: deviceId, name, remote, requestId, windowId, approvedBy: by }, "a device was let in");
      feed({ kind: "issued", requestId, issued: enrolled.issued });
      this.#awaitSession(requestId, deviceId);
      return enrolled.view;
    };
    const issuing = this.#writes.then(run);
    this.#issuing.set(requestId, issuing);
    this.#write(async () => {
      try {
        await issuing;
      } catch (cause) {
        const revoked = isRevoked(cause);
        // By the revocation of a device that came through it: it is not to stand open for nobody.
        const isClosed = await this.#isClosed(windowId);
        if (revoked) parts.logger.warn({ err: cause, requestId }, "a device was revoked before it was let in");
        else if (isClosed && isUsedUp(cause)) {
          parts.logger.warn({ err: cause, requestId, windowId }, "a window was closed before a device was let in");
        } else parts.logger.error({ err: cause, requestId }, "a certificate could not be issued");
        feed({ kind: "issue-failed", requestId, revoked });
        if (isClosed) feed({ kind: "close", windowId });
      } finally {
        this.#issuing.delete(requestId);
        this.#unwritten.delete(requestId);
      }
    });
  }

  /** Whether the store has it closed, whatever this process thinks of it; a store that cannot be asked has not. */
  async #isClosed(windowId: string): Promise<boolean> {
    const { store, logger } = this.#context.parts;
    try {
      return (await store.pairing.window(windowId))?.state === "closed";
    } catch (err) {
      logger.warn({ err, windowId }, "a window could not be looked up");
      return false;
    }
  }

  #inspectRenewal({ attemptId, csr, spkiSha256 }: Effect<"inspect-renewal">): void {
    const { parts, feed } = this.#context;
    this.#write(async () => {
      const finding = await findRenewal(parts, { csr, spkiSha256 });
      feed({ kind: "renewal-inspected", attemptId, finding });
    });
  }

  #renew({ attemptId, deviceId, csr, spkiSha256 }: Effect<"renew">): void {
    const { parts, feed, remoteOf } = this.#context;
    const remote = remoteOf(attemptId);
    this.#write(async () => {
      try {
        this.#assertServing();
        const renewed = await renewLate(parts, { deviceId, csr, spkiSha256, now: parts.clock.now() });
        parts.logger.info({ device: deviceId, remote }, "a certificate that had run out was renewed");
        feed({ kind: "renewal-issued", attemptId, renewed });
      } catch (cause) {
        parts.logger.warn({ err: cause, device: deviceId, remote }, "a late renewal failed");
        feed({ kind: "renewal-failed", attemptId, revoked: isRevoked(cause) });
      }
    });
  }

  /** Windows that last, and late renewals, come to a gateway that may have been put back: it does not know whom it has revoked since. @throws {GatewayError} `STORE_BEHIND`, as for all that is asked of it */
  #assertServing(): void {
    const refused = this.#context.parts.refusing?.();
    if (refused !== undefined) throw refused;
  }

  /** The device's first session makes the request active. */
  #awaitSession(requestId: string, deviceId: string): void {
    const { parts, feed, signal } = this.#context;
    parts.sessions.whenOnline(deviceId, { signal }).then(
      () => {
        feed({ kind: "activated", deviceId });
        this.#moveRequest(requestId, "active");
      },
      (cause: unknown) => {
        if (!signal.aborted) parts.logger.warn({ err: cause, requestId }, "nobody saw the device come online");
      },
    );
  }

  #requestEnded({ requestId, outcome }: Effect<"request-ended">): void {
    this.#unwritten.delete(requestId);
    const { rooms } = this.#context;
    const view = rooms.request(requestId);
    if (view === undefined) return;
    const { windowId } = view;
    const isNothing = outcome === "failed" || outcome === "revoked";
    if (isNothing) {
      rooms.giveUp(view, outcome);
    } else {
      // A device that has its certificate is paired, however long it takes to come.
      const paired = outcome === "expired" && view.state === "issued";
      if (!paired) rooms.put({ ...view, state: outcome }, outcome === "expired" ? "PAIR_APPROVAL_TIMEOUT" : "");
      rooms.endRequest(windowId, requestId);
      if (paired) return;
    }
    this.#moveRequest(requestId, isNothing ? "expired" : outcome);
  }

  #moveRequest(requestId: string, to: RequestState): void {
    const { store, clock } = this.#context.parts;
    const from = ["pending", "approved", "issued"];
    this.#write(() =>
      this.endings.write(requestId, () => store.pairing.moveRequest({ requestId, from, to, now: clock.now() })),
    );
  }

  #codeEnded({ windowId, reason, code }: Effect<"code-ended">): void {
    eraseCode(code);
    const { rooms, isOpen } = this.#context;
    if (reason === "burnt" && code.kind === "pin" && isOpen(windowId))
      rooms.publish(windowId, "attempt-failed", "PIN_BURNT");
  }

  #windowEnded({ windowId, reason }: Effect<"window-ended">): void {
    const { rooms, parts } = this.#context;
    const state = reason === "paired" || reason === "denied" ? "used" : reason;
    this.#write(() =>
      this.endings.write(windowId, () => parts.store.pairing.moveWindow({ windowId, from: ["open"], to: state })),
    );
    rooms.endWindow(windowId, state);
  }

  #write(run: () => Promise<void>): void {
    const { logger } = this.#context.parts;
    this.#writes = this.#writes.then(run).catch((cause: unknown) => {
      logger.error({ err: cause }, "pairing could not be written down");
    });
  }

  #row(attemptId: string): string {
    return `${this.#life}.${attemptId}`;
  }
}

/** The store lets nobody in by that window any more. */
function isUsedUp(cause: unknown): boolean {
  return cause instanceof GatewayError && cause.code === "WINDOW_USED_UP";
}
