import { GatewayError } from "../errors.ts";
import type { WindowFacts } from "./records.ts";
import type { KeyHolder, RequestView, WindowUpdate } from "./service.ts";
import { WindowLog } from "./window-log.ts";

/** Windows that are over and can still be watched from their beginning. */
const MAX_PAST_WINDOWS = 64;

interface Room {
  readonly facts: WindowFacts;
  readonly log: WindowLog;
  /** `host:port` of the latest device. */
  remoteAddress: string;
  /** By id, in the order they came. */
  readonly requests: Map<string, RequestView>;
  /** Those whose story goes on. */
  readonly live: Set<string>;
  /** Nobody else comes in. */
  over: boolean;
}

/** What operators see of each window: its changes, and the requests in it. */
export class Rooms {
  readonly #rooms = new Map<string, Room>();

  /** A window begins. */
  open(windowId: string, facts: WindowFacts): void {
    const log = new WindowLog();
    this.#rooms.set(windowId, { facts, log, remoteAddress: "", requests: new Map(), live: new Set(), over: false });
    this.publish(windowId, "open");
    this.#forgetOldest();
  }

  /** What the operator said about a window. @throws {GatewayError} `WINDOW_NOT_FOUND` */
  facts(windowId: string): WindowFacts {
    const room = this.#rooms.get(windowId);
    if (room === undefined) throw new GatewayError("WINDOW_NOT_FOUND", `there is no pairing window ${windowId}`);
    return room.facts;
  }

  log(windowId: string): WindowLog | undefined {
    return this.#rooms.get(windowId)?.log;
  }

  /** A request by its id. */
  request(requestId: string): RequestView | undefined {
    for (const { requests } of this.#rooms.values()) {
      const request = requests.get(requestId);
      if (request !== undefined) return request;
    }
    return undefined;
  }

  /** A device is at the window. */
  arrive(windowId: string, remoteAddress: string): void {
    const room = this.#rooms.get(windowId);
    if (room === undefined) return;
    room.remoteAddress = remoteAddress;
    this.publish(windowId, "claimed");
  }

  /** A request is now so, and operators are told. */
  put(view: RequestView, reason = ""): void {
    const room = this.#rooms.get(view.windowId);
    if (room === undefined) return;
    room.requests.set(view.requestId, view);
    room.live.add(view.requestId);
    room.log.push({ state: view.state, request: view, remoteAddress: view.remoteAddress, reason });
  }

  /** A request was approved and came to nothing: its place is free again. */
  giveUp({ windowId, requestId, holder }: RequestView, why: "failed" | "revoked"): void {
    this.#rooms.get(windowId)?.requests.delete(requestId);
    if (why === "failed") this.publish(windowId, "attempt-failed", "PAIR_UNAVAILABLE");
    else this.publish(windowId, "attempt-failed", "DEVICE_REVOKED", holder && { ...holder, state: "revoked" });
    this.endRequest(windowId, requestId);
  }

  /** Tell operators of the window itself. */
  publish(windowId: string, state: WindowUpdate["state"], reason = "", holder?: KeyHolder): void {
    const room = this.#rooms.get(windowId);
    const { remoteAddress = "" } = room ?? {};
    room?.log.push({ state, request: undefined, remoteAddress, reason, ...(holder && { holder }) });
  }

  /** Nothing more happens to a request. */
  endRequest(windowId: string, requestId: string): void {
    const room = this.#rooms.get(windowId);
    room?.live.delete(requestId);
    if (room?.over === true && room.live.size === 0) room.log.end();
  }

  /** Nobody else comes in. With one place the story is that of its request, where there was one; else operators are told how it ended. */
  endWindow(windowId: string, state: "used" | "burnt" | "expired" | "closed"): void {
    const room = this.#rooms.get(windowId);
    if (room === undefined) return;
    room.over = true;
    const told = state === "burnt" || state === "closed" || room.facts.uses > 1 || room.requests.size === 0;
    if (told) this.publish(windowId, state);
    if (state === "closed" || room.live.size === 0) room.log.end();
  }

  /** End them all: the gateway stops. */
  endAll(): void {
    for (const { log } of this.#rooms.values()) log.end();
  }

  #forgetOldest(): void {
    const past = [...this.#rooms].filter(([, { log }]) => log.ended);
    for (const [windowId] of past.slice(0, -MAX_PAST_WINDOWS)) this.#rooms.delete(windowId);
  }
}
