/** The pairing room's own JSON in the store's rows. No secret is ever in it. */
import type { PairingRequestRow, WindowRow } from "../store/rows.ts";
import type { RequestState, RequestView, WindowUpdate } from "./service.ts";

/** What the operator said about a window. */
export interface WindowFacts {
  /** The device that is to be paired again; without one it is a new device. */
  readonly deviceId?: string;
  readonly name: string;
  readonly labels: readonly string[];
  readonly purpose: string;
}

const REQUEST_STATES: ReadonlySet<string> = new Set(["pending", "approved", "issued", "active", "denied", "expired"]);

/** States of a request row, for listing. */
export const ALL_REQUEST_STATES: readonly string[] = [...REQUEST_STATES];

/** A window's row as it opens. */
export function windowRow(
  facts: WindowFacts,
  row: Pick<WindowRow, "windowId" | "codeId" | "openedAt" | "expiresAt">,
): WindowRow {
  return { ...row, state: "open", failures: 0, body: JSON.stringify(facts) };
}

/** A request's row. */
export function requestRow(view: RequestView, updatedAt: number): PairingRequestRow {
  const { requestId, windowId, state, requestedAt, deviceId } = view;
  return { requestId, windowId, state, requestedAt, updatedAt, deviceId, body: requestBody(view) };
}

/** The body of a request's row. */
export function requestBody(view: RequestView): string {
  const { name, platform, remoteAddress, words, certificateNotAfter } = view;
  return JSON.stringify({ name, platform, remoteAddress, words, certificateNotAfter });
}

/** A request as it was written; what an older version did not write is empty. */
export function requestView(row: PairingRequestRow): RequestView {
  const body: unknown = JSON.parse(row.body);
  const fields: Readonly<Record<string, unknown>> = typeof body === "object" && body !== null ? { ...body } : {};
  const { words, certificateNotAfter } = fields;
  return {
    requestId: row.requestId,
    windowId: row.windowId,
    state: requestState(row.state),
    name: text(fields["name"]),
    platform: text(fields["platform"]),
    remoteAddress: text(fields["remoteAddress"]),
    words: Array.isArray(words) ? words.map(text) : [],
    requestedAt: row.requestedAt,
    deviceId: row.deviceId,
    certificateNotAfter: typeof certificateNotAfter === "number" ? certificateNotAfter : undefined,
  };
}

/** How a window that is over is told to who asks for it later. */
export function finalUpdate(row: WindowRow, request: RequestView | undefined): WindowUpdate {
  const remoteAddress = request?.remoteAddress ?? "";
  if (request !== undefined) return { state: request.state, request, remoteAddress, reason: "" };
  const state = row.state === "expired" || row.state === "burnt" ? row.state : "closed";
  return { state, request: undefined, remoteAddress, reason: "" };
}

function requestState(state: string): RequestState {
  return REQUEST_STATES.has(state) ? (state as RequestState) : "expired";
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
