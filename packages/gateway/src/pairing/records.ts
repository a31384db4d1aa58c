/** The pairing room's own JSON in the store's rows. No secret is ever in it. */
import type { PairingRequestRow, WindowRow } from "../store/rows.ts";
import type { KeyHolder, RequestState, RequestView, WindowUpdate, WindowView } from "./service.ts";

/** What the operator said about a window. */
export interface WindowFacts {
  /** The device that is to be paired again; without one it is a new device. */
  readonly deviceId?: string;
  readonly name: string;
  readonly labels: readonly string[];
  readonly purpose: string;
  readonly preapproved: boolean;
  readonly uses: number;
}

const REQUEST_STATES: ReadonlySet<string> = new Set(["pending", "approved", "issued", "active", "denied", "expired"]);

/** States of a request row, for listing. */
export const ALL_REQUEST_STATES: readonly string[] = [...REQUEST_STATES];

/** A window's row as it opens. */
export function windowRow(
  facts: WindowFacts,
  row: Pick<WindowRow, "windowId" | "codeId" | "openedAt" | "expiresAt" | "sealedCode">,
): WindowRow {
  return { ...row, state: "open", failures: 0, usesLeft: facts.uses, body: JSON.stringify(facts) };
}

/** What the operator said, as it was written; what an older version did not write is what it then was. */
export function windowFacts(row: WindowRow): WindowFacts {
  const fields = fieldsOf(row.body);
  const { deviceId, labels, uses } = fields;
  return {
    ...(typeof deviceId === "string" && { deviceId }),
    name: text(fields["name"]),
    labels: Array.isArray(labels) ? labels.map(text) : [],
    purpose: text(fields["purpose"]),
    preapproved: fields["preapproved"] === true,
    uses: typeof uses === "number" ? uses : 1,
  };
}

/** An open window, with the kinds of code that still open it. */
export function windowView(row: WindowRow, codes: WindowView["codes"]): WindowView {
  const { windowId, openedAt, expiresAt, usesLeft } = row;
  const { deviceId, ...facts } = windowFacts(row);
  return { windowId, ...facts, deviceId, openedAt, expiresAt, codes, usesLeft };
}

/** A request's row. */
export function requestRow(view: RequestView, updatedAt: number): PairingRequestRow {
  const { requestId, windowId, state, requestedAt, deviceId } = view;
  return { requestId, windowId, state, requestedAt, updatedAt, deviceId, body: requestBody(view) };
}

/** The body of a request's row. */
export function requestBody(view: RequestView): string {
  const { name, platform, remoteAddress, words, certificateNotAfter, preapproved, holder } = view;
  return JSON.stringify({ name, platform, remoteAddress, words, certificateNotAfter, preapproved, holder });
}

/** A request as it was written; what an older version did not write is empty. */
export function requestView(row: PairingRequestRow): RequestView {
  const fields = fieldsOf(row.body);
  const { words, certificateNotAfter } = fields;
  const holder = keyHolder(fields["holder"]);
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
    preapproved: fields["preapproved"] === true,
    ...(holder !== undefined && { holder }),
  };
}

/** How a window that is over is told to who asks for it later. */
export function finalUpdate(row: WindowRow, request: RequestView | undefined): WindowUpdate {
  const remoteAddress = request?.remoteAddress ?? "";
  if (request !== undefined) return { state: request.state, request, remoteAddress, reason: "" };
  const { state: was } = row;
  const state = was === "expired" || was === "burnt" || was === "used" ? was : "closed";
  return { state, request: undefined, remoteAddress, reason: "" };
}

function keyHolder(value: unknown): KeyHolder | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { deviceId, name, state }: Readonly<Record<string, unknown>> = { ...value };
  if (typeof deviceId !== "string") return undefined;
  return { deviceId, name: text(name), state: state === "frozen" || state === "revoked" ? state : "paired" };
}

function requestState(state: string): RequestState {
  return REQUEST_STATES.has(state) ? (state as RequestState) : "expired";
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  const body: unknown = JSON.parse(text);
  return typeof body === "object" && body !== null ? { ...body } : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
