import { GatewayError } from "../errors.ts";
import type { WindowFacts } from "./records.ts";
import type { RequestView, WindowUpdate } from "./service.ts";
import { WindowLog } from "./window-log.ts";

/** Windows that are over and can still be watched from their beginning. */
const MAX_PAST_WINDOWS = 64;

interface Room {
  readonly facts: WindowFacts;
  readonly log: WindowLog;
  /** `host:port` of the latest device. */
  remoteAddress: string;
  request: RequestView | undefined;
}

/** What operators see of each window: its changes, and the request in it. */
export class Rooms {
  readonly #rooms = new Map<string, Room>();

  /** A window begins. */
  open(windowId: string, facts: WindowFacts): void {
    this.#rooms.set(windowId, { facts, log: new WindowLog(), remoteAddress: "", request: undefined });
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

  /** The request of a window, or by its id. */
  request(requestId: string): RequestView | undefined {
    return this.#rooms.values().find(({ request }) => request?.requestId === requestId)?.request;
  }

  /** A device is at the window. */
  arrive(windowId: string, remoteAddress: string): void {
    const room = this.#rooms.get(windowId);
    if (room === undefined) return;
    room.remoteAddress = remoteAddress;
    this.publish(windowId, "claimed");
  }

  /** The window's request is now so, and operators are told. */
  put(view: RequestView, reason = ""): void {
    const room = this.#rooms.get(view.windowId);
    if (room === undefined) return;
    room.request = view;
    this.publish(view.windowId, view.state, reason);
  }

  /** The request came to nothing, and the window is open again. */
  giveUp(windowId: string, reason: string): void {
    const room = this.#rooms.get(windowId);
    if (room !== undefined) room.request = undefined;
    this.publish(windowId, "attempt-failed", reason);
  }

  /** Tell operators. */
  publish(windowId: string, state: WindowUpdate["state"], reason = ""): void {
    const room = this.#rooms.get(windowId);
    room?.log.push({ state, request: room.request, remoteAddress: room.remoteAddress, reason });
  }

  /** Nothing more happens in the window. */
  end(windowId: string): void {
    this.#rooms.get(windowId)?.log.end();
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
