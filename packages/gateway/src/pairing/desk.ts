/** Pairing on the gateway: the shell around identity's machine. One writer; what it learns comes back as the machine's next input. */
import {
  drawAttemptEntropy,
  gatewayPairingDeadline,
  isPairingOpen,
  sourcePrefix,
  stepGateway,
  type GatewayPairing,
  type GatewayPairingEffect,
} from "@quaymesh/identity";
import { encodeFrame } from "@quaymesh/protocol";
import { ulid } from "ulid";
import { formatAddress } from "../daemon/addresses.ts";
import { GatewayError } from "../errors.ts";
import type { PeerListener, RemotePeer } from "./child-run.ts";
import { drawPin, drawTicket, eraseCode } from "./code.ts";
import type { DeskParts, EndpointPort } from "./desk-parts.ts";
import { EffectRunner, type UntimedInput } from "./effects.ts";
import { messageOf, openingOf } from "./frames.ts";
import { isPrintable } from "./printable.ts";
import { ALL_REQUEST_STATES, finalUpdate, requestView, windowRow, type WindowFacts } from "./records.ts";
import { restorePairing, type RestoredPairing } from "./restore.ts";
import { Rooms } from "./rooms.ts";
import type { OpenedWindow, OpenWindow, PairingService, RequestView, WindowUpdate } from "./service.ts";

const MAX_NAME = 64;
const MAX_PURPOSE = 256;
const MAX_LABELS = 32;
const LABEL = /^[a-z0-9][a-z0-9._-]{0,62}$/u;
/** Requests in a list. */
const MAX_LISTED = 200;

/** Opens windows, drives the pairing machine, and keeps the endpoint's process for as long as it is needed. */
export class PairingDesk implements PairingService, PeerListener, AsyncDisposable {
  readonly #parts: DeskParts;
  readonly #endpoint: EndpointPort;
  readonly #rooms = new Rooms();
  readonly #effects: EffectRunner;
  readonly #closing = new AbortController();
  readonly #remotes = new Map<string, RemotePeer>();
  #state: GatewayPairing;
  #opening = 0;
  #cancelTick: () => void = () => {};
  #cancelLinger: (() => void) | undefined;

  private constructor(parts: DeskParts, restored: RestoredPairing) {
    this.#parts = parts;
    this.#state = restored.state;
    this.#endpoint = parts.openEndpoint(this);
    this.#effects = new EffectRunner(
      {
        parts,
        rooms: this.#rooms,
        endpoint: this.#endpoint,
        pairingAddresses: () => this.addresses,
        remoteOf: (attemptId) => this.#remoteOf(attemptId),
        feed: (input) => void this.#step(input),
        signal: this.#closing.signal,
      },
      ulid(),
    );
  }

  /** Take up pairing where the store left it. @throws {GatewayError} `STORE_*`; `PAIRING_PORT_IN_USE`, `PAIRING_UNAVAILABLE` where the endpoint is to be open always */
  static async open(parts: DeskParts): Promise<PairingDesk> {
    const restored = await restorePairing(parts);
    const desk = new PairingDesk(parts, restored);
    for (const awaited of restored.awaited) desk.#activateLater(awaited);
    try {
      if (parts.door === "always") await desk.#endpoint.demand();
    } catch (cause) {
      await desk[Symbol.asyncDispose]();
      throw cause;
    }
    return desk;
  }

  /** Endpoints hang from another root now: what is begun from now on names it, and the endpoint shows it. Windows are closed first: their codes carry the old root's pin. */
  async follow(): Promise<void> {
    for (const windowId of this.#state.codes.keys()) this.#closeWindow(windowId);
    await this.#effects.settled();
    this.#state = { ...this.#state, config: { ...this.#state.config, root: this.#parts.authority.rootDer } };
    this.#endpoint.renew();
  }

  /** Where nodes dial the pairing endpoint while it is open, host:port; empty where its port is not known before it has been open. */
  get addresses(): readonly string[] {
    const bound = this.#endpoint.expectedAddresses;
    return bound.length === 0 ? [] : this.#parts.ticketAddresses(bound).map(formatAddress);
  }

  get isOpen(): boolean {
    return this.#state.codes.size > 0;
  }

  async open(options: OpenWindow): Promise<OpenedWindow> {
    this.#closing.signal.throwIfAborted();
    checkWindow(options, this.#parts.limits.maxWindowTtlMs);
    const facts = await this.#factsOf(options);
    if (this.#state.codes.size + this.#opening >= this.#parts.limits.maxWindows) {
      throw new GatewayError("WINDOW_LIMIT", `${this.#parts.limits.maxWindows} pairing windows are open already`);
    }
    this.#opening += 1;
    try {
      await this.#endpoint.demand();
      this.#closing.signal.throwIfAborted();
      return await this.#open(options, facts);
    } finally {
      this.#opening -= 1;
      this.#keepEndpoint();
    }
  }

  async *watch(windowId: string, options?: { readonly signal?: AbortSignal }): AsyncGenerator<WindowUpdate, void> {
    const log = this.#rooms.log(windowId);
    if (log !== undefined) {
      yield* log.read(options?.signal);
      return;
    }
    const row = await this.#parts.store.pairing.window(windowId);
    if (row === undefined) throw new GatewayError("WINDOW_NOT_FOUND", `there is no pairing window ${windowId}`);
    const request = (await this.requests()).find((view) => view.windowId === windowId);
    yield finalUpdate(row, request);
  }

  async close(windowId: string): Promise<void> {
    if (this.#rooms.log(windowId) === undefined) {
      const row = await this.#parts.store.pairing.window(windowId);
      if (row === undefined) throw new GatewayError("WINDOW_NOT_FOUND", `there is no pairing window ${windowId}`);
      return;
    }
    this.#closeWindow(windowId);
    await this.#effects.settled();
  }

  async requests(): Promise<readonly RequestView[]> {
    const rows = await this.#parts.store.pairing.requests(ALL_REQUEST_STATES);
    return rows.slice(-MAX_LISTED).reverse().map(requestView);
  }

  async approve(requestId: string): Promise<RequestView> {
    // What is shown as pending is on disk; until then nobody can have read its id.
    this.#decide({ kind: "approve", requestId, deviceId: this.#deviceFor(requestId) });
    const issuing = this.#effects.issuing(requestId);
    if (issuing === undefined) throw new GatewayError("REQUEST_NOT_PENDING", `request ${requestId} is already decided`);
    return await issuing;
  }

  async deny(requestId: string): Promise<RequestView> {
    this.#decide({ kind: "deny", requestId });
    await this.#effects.settled();
    const row = await this.#parts.store.pairing.request(requestId);
    if (row === undefined) throw new GatewayError("REQUEST_NOT_FOUND", `there is no request ${requestId}`);
    return requestView(row);
  }

  onPeer(peer: RemotePeer, firstFrame: Uint8Array): void {
    const opening = openingOf(firstFrame);
    if (opening === undefined) {
      this.#endpoint.drop(peer.id);
      return;
    }
    if (opening.method === "mesh.roots") {
      // Public, signed and small: whoever asks is told, and it costs nobody a place.
      this.#endpoint.end(peer.id, encodeFrame(this.#parts.roots()));
      return;
    }
    this.#remotes.set(peer.id, peer);
    const source = sourcePrefix(peer.host);
    const seen = { source, nodeSpkiSha256: peer.spkiSha256, gatewaySpkiSha256: this.#endpoint.spkiSha256 };
    if (opening.method === "certificate.renew") {
      this.#step({ kind: "renew", attemptId: peer.id, csr: opening.csr, peer: seen });
      return;
    }
    this.#step({ kind: "hello", attemptId: peer.id, hello: opening, peer: seen, entropy: drawAttemptEntropy() });
    const attempt = this.#state.attempts.get(peer.id);
    if (attempt?.kind === "proving" && attempt.windowId !== undefined) {
      this.#rooms.arrive(attempt.windowId, this.#remoteOf(peer.id));
    }
  }

  onFrame(peer: string, frame: Uint8Array): void {
    const message = messageOf(frame);
    if (message?.type === "prove") this.#step({ kind: "prove", attemptId: peer, prove: message });
    if (message?.type === "done") this.#step({ kind: "done", attemptId: peer });
  }

  onGone(peer: string): void {
    const attempt = this.#state.attempts.get(peer);
    if (attempt?.kind === "proving" && attempt.windowId !== undefined) {
      this.#rooms.publish(attempt.windowId, "attempt-failed", "PEER_GONE");
    }
    this.#step({ kind: "gone", attemptId: peer });
    this.#remotes.delete(peer);
  }

  /** End every window and the endpoint. Requests nobody decided are expired by the next start. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closing.signal.aborted) {
      for (const windowId of this.#state.codes.keys()) this.#closeWindow(windowId);
      this.#closing.abort(new GatewayError("GATEWAY_DRAINING", "the gateway is stopping"));
    }
    this.#cancelTick();
    this.#cancelLinger?.();
    await this.#endpoint[Symbol.asyncDispose]();
    await this.#effects.settled();
    this.#rooms.endAll();
  }

  async #factsOf({ name, labels, purpose, device }: OpenWindow): Promise<WindowFacts> {
    if (device === undefined) return { name, labels, purpose };
    const known = await this.#parts.devices.get(device);
    if (known.state === "revoked") throw new GatewayError("DEVICE_REVOKED", `device ${known.deviceId} is revoked`);
    return {
      deviceId: known.deviceId,
      name: name === "" ? known.name : name,
      labels: labels.length === 0 ? known.labels : labels,
      purpose: purpose === "" ? known.purpose : purpose,
    };
  }

  async #open(options: OpenWindow, facts: WindowFacts): Promise<OpenedWindow> {
    const { clock, limits, store } = this.#parts;
    const windowId = ulid();
    const openedAt = clock.now();
    const expiresAt = Math.ceil((openedAt + (options.ttlMs ?? limits.windowTtlMs)) / 1000) * 1000;
    const addresses = this.#parts.ticketAddresses(this.#endpoint.addresses);
    const { meshId, rootSpkiSha256 } = this.#parts.authority;
    const { secret, shown } =
      options.code === "pin" ? drawPin() : drawTicket({ meshId, rootSpkiSha256, addresses, expiresAt });
    const codeId = secret.kind === "ticket" ? Buffer.from(secret.codeId).toString("hex") : undefined;
    await store.pairing.putWindow(windowRow(facts, { windowId, codeId, openedAt, expiresAt }));
    this.#rooms.open(windowId, facts);
    const effects = this.#step({ kind: "open", windowId, code: secret, expiresAt });
    if (effects.some(({ kind }) => kind === "rejected")) {
      eraseCode(secret);
      this.#rooms.end(windowId);
      await store.pairing.moveWindow({ windowId, from: ["open"], to: "closed" });
      throw new GatewayError("WINDOW_LIMIT", "a window with a PIN is open already, and there can be one at a time");
    }
    return { windowId, code: shown, expiresAt, addresses: addresses.map(formatAddress) };
  }

  /** The code ends, and with it a request nobody has decided. */
  #closeWindow(windowId: string): void {
    this.#step({ kind: "close", windowId });
    for (const { requestId, windowId: of, status } of this.#state.requests.values()) {
      if (of === windowId && status.kind === "pending") this.#step({ kind: "deny", requestId });
    }
  }

  /** Who an approval lets in: a new device, or the one the window is for. A key is a device's already, or it is not: it can't be moved to another. */
  #deviceFor(requestId: string): string {
    const request = this.#state.requests.get(requestId);
    const wanted = request === undefined ? undefined : this.#rooms.facts(request.windowId).deviceId;
    const holder = request?.enrolledAs;
    if (wanted !== undefined && holder !== undefined && holder !== wanted) {
      throw new GatewayError(
        "DEVICE_KEY_KNOWN",
        `this key belongs to device ${holder}, and the window is for ${wanted}`,
        {
          metadata: { deviceId: holder },
        },
      );
    }
    return wanted ?? ulid();
  }

  #decide(input: Extract<UntimedInput, { kind: "approve" | "deny" }>): void {
    const rejected = this.#step(input).find((effect) => effect.kind === "rejected");
    if (rejected === undefined) return;
    const { requestId } = input;
    if (rejected.reason === "decided" || this.#rooms.request(requestId) !== undefined) {
      throw new GatewayError("REQUEST_NOT_PENDING", `request ${requestId} is already decided or expired`);
    }
    throw new GatewayError("REQUEST_NOT_FOUND", `there is no request ${requestId}`);
  }

  #step(untimed: UntimedInput): readonly GatewayPairingEffect[] {
    const before = this.#state;
    const { state, effects } = stepGateway(before, { ...untimed, now: this.#parts.clock.now() });
    this.#state = state;
    // What ends a story is told after what happened in it.
    const last = effects.filter(({ kind }) => kind === "code-ended" || kind === "request-ended");
    for (const effect of effects) if (!last.includes(effect)) this.#effects.run(effect, before);
    for (const effect of last) this.#effects.run(effect, before);
    const failed = new Set(effects.flatMap((effect) => (effect.kind === "fail" ? [effect.attemptId] : [])));
    for (const attemptId of before.attempts.keys()) {
      if (!state.attempts.has(attemptId) && !failed.has(attemptId)) this.#endpoint.drop(attemptId);
    }
    this.#arm();
    this.#keepEndpoint();
    return effects;
  }

  #arm(): void {
    this.#cancelTick();
    const deadline = gatewayPairingDeadline(this.#state);
    if (deadline === undefined || this.#closing.signal.aborted) return;
    const { clock } = this.#parts;
    this.#cancelTick = clock.after(Math.max(0, deadline - clock.now()), () => void this.#step({ kind: "tick" }));
  }

  /** The endpoint lives while a window is open, and a moment longer for who is still being answered. */
  #keepEndpoint(): void {
    const always = this.#parts.door === "always" && !this.#closing.signal.aborted;
    const needed = always || this.isOpen || this.#opening > 0;
    if (needed || !isPairingOpen(this.#state)) {
      this.#cancelLinger?.();
      this.#cancelLinger = undefined;
      if (!needed) this.#endpoint.release();
      return;
    }
    const { clock, limits } = this.#parts;
    this.#cancelLinger ??= clock.after(limits.endpoint.lingerMs, () => this.#endpoint.release());
  }

  #remoteOf(attemptId: string): string {
    const peer = this.#remotes.get(attemptId);
    return peer === undefined ? "" : formatAddress(peer);
  }

  #activateLater({ requestId, deviceId }: RestoredPairing["awaited"][number]): void {
    const { sessions, store, clock, logger } = this.#parts;
    sessions
      .whenOnline(deviceId, { signal: this.#closing.signal })
      .then(() => store.pairing.moveRequest({ requestId, from: ["issued"], to: "active", now: clock.now() }))
      .catch((cause: unknown) => {
        if (!this.#closing.signal.aborted) logger.warn({ err: cause, requestId }, "a paired device was not followed");
      });
  }
}

function checkWindow({ name, labels, purpose, ttlMs }: OpenWindow, maxTtlMs: number): void {
  const fault =
    (!isPrintable(name, MAX_NAME) && `name must be at most ${MAX_NAME} printable characters`) ||
    (!isPrintable(purpose, MAX_PURPOSE) && `purpose must be at most ${MAX_PURPOSE} printable characters`) ||
    (labels.length > MAX_LABELS && `there can be at most ${MAX_LABELS} labels`) ||
    (!labels.every((label) => LABEL.test(label)) && "a label is 1 to 63 of a-z, 0-9, dot, dash and underscore") ||
    (ttlMs !== undefined && ttlMs > maxTtlMs && `a window stays open for at most ${maxTtlMs / 1000} seconds`);
  if (fault !== false) throw new GatewayError("WINDOW_INVALID", fault);
}
