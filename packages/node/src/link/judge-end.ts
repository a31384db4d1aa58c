import { dialVerdict, type CloseInfo, type Connection, type SocketAddress } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import { behindError } from "./behind.ts";
import { failureOf, failureOfClose, type LinkFailure } from "./failure.ts";
import type { SessionEnd } from "./session.ts";

/** How a dial and what came of it ended. */
export interface LinkEnd {
  readonly failure: LinkFailure;
  readonly wasOnline: boolean;
  /** What the gateway asked for. */
  readonly retryAfterMs?: number;
}

/**
 * What the end of a session means for the next dial.
 * @param lastWord waits a moment for the peer's own word on the end of the connection
 */
export async function judgeEnd(
  end: SessionEnd,
  dialed: { readonly address: SocketAddress; readonly attempt: Connection["attempt"] },
  lastWord: () => Promise<CloseInfo | undefined>,
): Promise<LinkEnd> {
  const { stop, wasOnline } = end;
  switch (stop.kind) {
    case "revoked": {
      const error = new NodeError("DEVICE_REVOKED", `this device was revoked: ${stop.reason}`, {
        details: { epoch: stop.epoch },
      });
      return { failure: { verdict: "revoked", error }, wasOnline };
    }
    case "drained": {
      const error = new NodeError("GATEWAY_BUSY", "the gateway stops for now", { retryAfterMs: stop.retryAfterMs });
      return { failure: { verdict: "draining", error }, wasOnline, retryAfterMs: stop.retryAfterMs };
    }
    case "no-welcome":
    case "silent": {
      const what = stop.kind === "silent" ? "the gateway fell silent" : "the gateway did not welcome this node in time";
      return { failure: { verdict: "other", error: new NodeError("SESSION_LOST", what) }, wasOnline };
    }
    case "protocol": {
      const error = new NodeError("GATEWAY_PROTOCOL", `the gateway broke the protocol: ${stop.what}`);
      return { failure: { verdict: "other", error }, wasOnline };
    }
    case "behind":
      return { failure: { verdict: "behind", error: behindError(stop, dialed.address) }, wasOnline };
    case "left":
      return { failure: { verdict: "other", error: new NodeError("NODE_STOPPED", "this node left") }, wasOnline };
    case "lost": {
      const close = await lastWord();
      // A close of the gateway's says why; the stream's own error only that.
      if (close !== undefined && dialVerdict(close) !== "other") {
        return { failure: failureOfClose(close, { ...dialed, cause: end.cause }), wasOnline };
      }
      const failure = end.cause === undefined ? undefined : failureOf(end.cause, dialed.address);
      return { failure: failure ?? failureOfClose(close ?? { kind: "idle" }, dialed), wasOnline };
    }
    default:
      return stop satisfies never;
  }
}
