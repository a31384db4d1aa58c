import { createClient, type Client } from "@connectrpc/connect";
import { PairingService } from "@quaymesh/api";
import { pairingRequestInfo, pairingWindowInfo, windowUpdate } from "./decode-pairing.ts";
import { required, timeOf } from "./decode.ts";
import type { CallOptions } from "./task-handle.ts";
import type { PairingRequestInfo, PairingWindow, PairingWindowInfo, WindowUpdate } from "./types-pairing.ts";
import type { Wire } from "./wire.ts";

/** Options of {@link Pairing.open}. */
export interface OpenWindowOptions extends CallOptions {
  /** The operator's name for the device; it wins over the device's own. */
  readonly name?: string;
  readonly labels?: readonly string[];
  /** What the device is for, for people. */
  readonly purpose?: string;
  /** A device to pair again, by id, unique prefix or name: it stays the same device, whatever key it comes with. */
  readonly device?: string;
  /** In whole seconds, rounded up. Default 5 minutes. */
  readonly ttlMs?: number;
  /** `pin` makes 8 digits to type instead of a ticket, `both` makes both, of which either opens the window, but for a PIN that another window has. Default `ticket`. */
  readonly code?: "ticket" | "pin" | "both";
  /** The code a node shows, `QUAYNODE:…`, instead of one of the gateway's own: the window is for that node alone. */
  readonly nodeCode?: string;
  /** Let in whoever proves the ticket, unasked; the window then outlives the gateway's process. Not with a PIN. */
  readonly preapproved?: boolean;
  /** Devices to let in. Default 1; more only where pre-approved, and without a name. */
  readonly uses?: number;
}

/** Pairing windows and requests. */
export class Pairing {
  readonly #wire: Wire;
  readonly #client: Client<typeof PairingService>;

  /** Use `connect`. */
  constructor(wire: Wire) {
    this.#wire = wire;
    this.#client = createClient(PairingService, wire.transport);
  }

  /** Open a window and make its code, which is in this answer and nowhere else. @throws {ClientError} */
  open(options: OpenWindowOptions = {}): Promise<PairingWindow> {
    return this.#wire.call(async () => {
      const answer = await this.#client.openWindow(
        {
          name: options.name ?? "",
          labels: [...(options.labels ?? [])],
          purpose: options.purpose ?? "",
          ttlSeconds: Math.ceil((options.ttlMs ?? 0) / 1000),
          pin: options.code === "pin",
          ticketAndPin: options.code === "both",
          device: options.device ?? "",
          nodeCode: options.nodeCode ?? "",
          preapproved: options.preapproved ?? false,
          uses: options.uses ?? 0,
        },
        options,
      );
      const { windowId, link, pin, addresses } = answer;
      return { windowId, link, pin, addresses, expiresAt: timeOf(answer.expiresAt) };
    }, options.signal);
  }

  /** Everything that happens in a window, from its beginning; ends with the window. @throws {ClientError} `WINDOW_NOT_FOUND` */
  watch(windowId: string, options?: CallOptions): AsyncGenerator<WindowUpdate, void, undefined> {
    return this.#wire.stream(
      (signal) => this.#client.watchWindow({ windowId }, { signal }),
      windowUpdate,
      options?.signal,
    );
  }

  /** Close a window before its time; who is in it gets PAIR_CLOSED. @throws {ClientError} `WINDOW_NOT_FOUND` */
  close(windowId: string, options?: CallOptions): Promise<void> {
    return this.#wire.call(async () => {
      await this.#client.closeWindow({ windowId }, options);
    }, options?.signal);
  }

  /** Windows that are open, newest first. @throws {ClientError} */
  windows(options?: CallOptions): Promise<readonly PairingWindowInfo[]> {
    return this.#wire.call(async () => {
      const answer = await this.#client.listWindows({}, options);
      return answer.windows.map(pairingWindowInfo);
    }, options?.signal);
  }

  /** Requests of late, newest first. @throws {ClientError} */
  requests(options?: CallOptions): Promise<readonly PairingRequestInfo[]> {
    return this.#wire.call(async () => {
      const answer = await this.#client.listRequests({}, options);
      return answer.requests.map(pairingRequestInfo);
    }, options?.signal);
  }

  /** Let the device in. Compare the words first. @throws {ClientError} `REQUEST_NOT_FOUND`, `REQUEST_NOT_PENDING` */
  approve(requestId: string, options?: CallOptions): Promise<PairingRequestInfo> {
    return this.#wire.call(async () => {
      const answer = await this.#client.approveRequest({ requestId }, options);
      return pairingRequestInfo(required(answer.request, "request"));
    }, options?.signal);
  }

  /** Keep the device out. @throws {ClientError} `REQUEST_NOT_FOUND`, `REQUEST_NOT_PENDING` */
  deny(requestId: string, options?: CallOptions): Promise<PairingRequestInfo> {
    return this.#wire.call(async () => {
      const answer = await this.#client.denyRequest({ requestId }, options);
      return pairingRequestInfo(required(answer.request, "request"));
    }, options?.signal);
  }
}
