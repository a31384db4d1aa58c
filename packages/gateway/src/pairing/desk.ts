/** Pairing on the gateway: the shell around identity's machine. One writer; what it learns comes back as the machine's next input. */
import {
  gatewayPairingDeadline,
  isPairingOpen,
  stepGateway,
  type GatewayPairing,
  type GatewayPairingEffect,
} from "@quaymesh/identity";
import { ulid } from "ulid";
import { formatAddress } from "../daemon/addresses.ts";
import { GatewayError } from "../errors.ts";
import type { DeskParts, EndpointPort } from "./desk-parts.ts";
import { EffectRunner, type UntimedInput } from "./effects.ts";
import { EndpointKeeper } from "./endpoint-keeper.ts";
import type { LastingWindow } from "./lasting-windows.ts";
import { openWindow, windowFactsOf } from "./open-window.ts";
import { PairingPeers } from "./peers.ts";
import { ALL_REQUEST_STATES, finalUpdate, requestView, windowView } from "./records.ts";
import { restorePairing, type RestoredPairing } from "./restore.ts";
import { Rooms } from "./rooms.ts";
import type { OpenedWindow, OpenWindow, PairingService, RequestView, WindowUpdate, WindowView } from "./service.ts";
import { checkWindow } from "./window-rules.ts";

/** Requests in a list. */
const MAX_LISTED = 200;
/** Effects that end a story. */
const ENDS: ReadonlySet<GatewayPairingEffect["kind"]> = new Set(["request-ended", "code-ended", "window-ended"]);

/** Opens windows, drives the pairing machine, and keeps the endpoint's process for as long as it is needed. */
export class PairingDesk implements PairingService, AsyncDisposable {
  readonly #parts: DeskParts;
  readonly #endpoint: EndpointPort;
  readonly #keeper: EndpointKeeper;
  readonly #rooms = new Rooms();
  readonly #effects: EffectRunner;
  readonly #closing = new AbortController();
  readonly #peers: PairingPeers;
  #state: GatewayPairing;
  #opening = 0;
  #cancelTick: () => void = () => {};

  private constructor(parts: DeskParts, restored: RestoredPairing) {
    this.#parts = parts;
    this.#state = restored.state;
    this.#peers = new PairingPeers({
      roots: parts.roots,
      rooms: this.#rooms,
      endpoint: () => this.#endpoint,
      attempt: (id) => this.#state.attempts.get(id),
      feed: (input) => void this.#step(input),
    });
    this.#endpoint = parts.openEndpoint(this.#peers);
    this.#keeper = new EndpointKeeper(parts, this.#endpoint);
    this.#effects = new EffectRunner(
      {
        parts,
        rooms: this.#rooms,
        endpoint: this.#endpoint,
        pairingAddresses: () => this.addresses,
        remoteOf: (attemptId) => this.#peers.remoteOf(attemptId),
        isOpen: (windowId) => this.#state.windows.has(windowId),
        feed: (input) => void this.#step(input),
        signal: this.#closing.signal,
      },
      ulid(),
    );
  }

  /** Take up pairing where the store left it. @throws {GatewayError} `STORE_*`; `PAIRING_PORT_IN_USE` where the endpoint is to be open always */
  static async open(parts: DeskParts): Promise<PairingDesk> {
    const restored = await restorePairing(parts);
    const desk = new PairingDesk(parts, restored);
    for (const awaited of restored.awaited) desk.#activateLater(awaited);
    try {
      if (parts.door === "always") await desk.#keeper.openDoor();
      if (restored.lasting.length > 0) await desk.#reopen(restored.lasting);
    } catch (cause) {
      await desk[Symbol.asyncDispose]();
      throw cause;
    }
    return desk;
  }

  /** Endpoints hang from another root now: what is begun from now on names it, and the endpoint shows it. Windows are closed first: their codes carry the old root's pin. */
  async follow(): Promise<void> {
    for (const windowId of this.#state.windows.keys()) this.#closeWindow(windowId);
    await this.#effects.settled();
    this.#state = { ...this.#state, config: { ...this.#state.config, root: this.#parts.authority.rootDer } };
    this.#endpoint.renew();
  }

  /** Where nodes dial the pairing endpoint while it is open, host:port; empty where its port is not known before it has been open. */
  get addresses(): readonly string[] {
    const bound = this.#endpoint.expectedAddresses;
    return bound.length === 0 ? [] : this.#parts.ticketAddresses(bound).map(formatAddress);
  }

  /** How the endpoint's process is. */
  get endpointHealth(): EndpointPort["health"] {
    return this.#endpoint.health;
  }

  get isOpen(): boolean {
    return this.#state.windows.size > 0;
  }

  async open(options: OpenWindow): Promise<OpenedWindow> {
    this.#closing.signal.throwIfAborted();
    const refused = this.#parts.refusing?.();
    if (refused !== undefined) throw refused;
    const { limits, devices, ticketAddresses } = this.#parts;
    checkWindow(options, limits);
    const facts = await windowFactsOf(options, devices);
    if (this.#state.windows.size + this.#opening >= limits.maxWindows) {
      throw new GatewayError("WINDOW_LIMIT", `${limits.maxWindows} pairing windows are open already`);
    }
    this.#opening += 1;
    try {
      await this.#endpoint.demand();
      this.#closing.signal.throwIfAborted();
      return await openWindow(options, facts, {
        parts: this.#parts,
        rooms: this.#rooms,
        addresses: ticketAddresses(this.#endpoint.addresses),
        pinTaken: this.#codesOf().some(([, kinds]) => kinds.includes("pin")),
        enter: (setup) => this.#step({ kind: "open", ...setup }),
      });
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
    const cause = this.#effects.endings.unwritten(windowId);
    if (cause === undefined) return;
    const code = cause instanceof GatewayError ? cause.code : "STORE_FAILED";
    const message =
      "the window is closed, but that is not on disk: it is tried again, and until then a restart reopens it";
    throw new GatewayError(code, message, { cause });
  }

  async windows(): Promise<readonly WindowView[]> {
    const codes = new Map(this.#codesOf());
    const rows = await this.#parts.store.pairing.windows(["open"]);
    return rows.toReversed().flatMap((row) => {
      const kinds = codes.get(row.windowId);
      return kinds === undefined ? [] : [windowView(row, kinds)];
    });
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

  /** End the endpoint and every window but the pre-approved: the next start takes those up. Requests nobody decided are expired by it. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closing.signal.aborted) {
      for (const { windowId, preapproved } of this.#state.windows.values()) {
        if (!preapproved) this.#closeWindow(windowId);
      }
      this.#closing.abort(new GatewayError("GATEWAY_DRAINING", "the gateway is stopping"));
    }
    this.#cancelTick();
    await this.#keeper[Symbol.asyncDispose]();
    await this.#effects.settled();
    this.#rooms.endAll();
  }

  /** Take up windows that outlived a process. Where the endpoint does not start the gateway does all the same: it is tried again for as long as they last. */
  async #reopen(windows: readonly LastingWindow[]): Promise<void> {
    for (const { setup, facts } of windows) {
      this.#rooms.open(setup.windowId, facts);
      this.#step({ kind: "open", ...setup });
    }
    await this.#keeper.demandWhile(() => this.isOpen);
  }

  /** What still opens each window. */
  #codesOf(): readonly (readonly [string, WindowView["codes"]])[] {
    return [...this.#state.windows.values()].map(({ windowId, codes }) => [
      windowId,
      codes.map(({ secret }) => secret.kind),
    ]);
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
    const { state, effects } = (this.#parts.step ?? stepGateway)(before, { ...untimed, now: this.#parts.clock.now() });
    this.#state = state;
    // What ends a story is told after what happened in it.
    const last = effects.filter(({ kind }) => ENDS.has(kind));
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

  #keepEndpoint(): void {
    this.#keeper.keep({ isOpen: this.isOpen || this.#opening > 0, isBusy: isPairingOpen(this.#state) });
  }

  #activateLater({ requestId, deviceId }: RestoredPairing["awaited"][number]): void {
    const { sessions, store, clock, logger } = this.#parts;
    sessions
      .whenOnline(deviceId, { signal: this.#closing.signal })
      .then(() => {
        this.#step({ kind: "activated", deviceId });
        return store.pairing.moveRequest({ requestId, from: ["issued"], to: "active", now: clock.now() });
      })
      .catch((cause: unknown) => {
        if (!this.#closing.signal.aborted) logger.warn({ err: cause, requestId }, "a paired device was not followed");
      });
  }
}
