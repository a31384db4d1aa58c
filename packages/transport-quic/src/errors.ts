import { TransportError } from "@quaymesh/protocol";
import type { CloseInfo, TransportErrorCode } from "@quaymesh/protocol";

const ERRNO_CODES: ReadonlyMap<string, TransportErrorCode> = new Map([
  ["EADDRINUSE", "ADDRESS_IN_USE"],
  ["EADDRNOTAVAIL", "ADDRESS_UNAVAILABLE"],
  ["EACCES", "ADDRESS_UNAVAILABLE"],
  ["EAFNOSUPPORT", "ADDRESS_UNAVAILABLE"],
  ["EINVAL", "ADDRESS_UNAVAILABLE"],
  ["ENOTFOUND", "ADDRESS_UNAVAILABLE"],
  ["EAI_AGAIN", "ADDRESS_UNAVAILABLE"],
]);

const errnoOf = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error) || !("code" in cause)) return undefined;
  return typeof cause.code === "string" ? cause.code : undefined;
};

/** The error for a failed bind or listen: the errno decides, never the text. */
export function bindError(cause: unknown, where: string): TransportError {
  const code = ERRNO_CODES.get(errnoOf(cause) ?? "") ?? "ADDRESS_UNAVAILABLE";
  const what = code === "ADDRESS_IN_USE" ? "the address is in use" : "the address cannot be bound";
  const why = code === "ADDRESS_IN_USE" || !(cause instanceof Error) ? "" : ` (${errnoOf(cause) ?? cause.message})`;
  return new TransportError(code, `${what}: ${where}${why}`, { cause });
}

/** The error for a peer that cannot be reached: no route, no such name, nothing listening. */
export function unreachable(cause: unknown, where: string): TransportError {
  return new TransportError("UNREACHABLE", `cannot reach ${where} (${errnoOf(cause) ?? "no answer"})`, { cause });
}

const describe = (close: CloseInfo): string => {
  switch (close.kind) {
    case "application":
    case "transport": {
      const who = close.byPeer ? "by the peer" : "here";
      const reason = close.reason === "" ? "" : `, ${close.reason}`;
      return `closed ${who} with ${close.kind} code 0x${close.code.toString(16)}${reason}`;
    }
    case "idle":
      return "timed out: nothing was heard from the peer";
    case "local":
      return "closed: this endpoint was closed";
  }
  return close satisfies never;
};

/** What reads, writes and opens reject with once a connection is over. */
export function connectionClosed(
  close: CloseInfo,
  facts?: ErrorOptions & { readonly attempt?: string },
): TransportError {
  return new TransportError("CONNECTION_CLOSED", `the connection was ${describe(close)}`, { close, ...facts });
}

/** What a stream rejects with after a reset, by either side. */
export function streamReset(resetCode: number): TransportError {
  return new TransportError("STREAM_RESET", `the stream was reset with code 0x${resetCode.toString(16)}`, {
    resetCode,
  });
}

/** What a write after `end` is answered with. */
export function streamEnded(): TransportError {
  return new TransportError("STREAM_ENDED", "the stream was ended before");
}

/**
 * The application code in quiche's `StreamStopped(n)` and `StreamReset(n)`. The binding gives error variants as text only,
 * so this is the one place that reads text.
 */
export function streamErrorCode(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const match = /^Stream(?:Stopped|Reset)\((\d+)\)/.exec(error.message);
  return match === null ? undefined : Number(match[1]);
}
