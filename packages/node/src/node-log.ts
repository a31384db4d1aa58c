import type { NodeState } from "./link/state.ts";
import type { NodeLogLine } from "./node-options.ts";
import { formatAddress } from "./state/address.ts";

/** Turns what happens into {@link NodeLogLine}s. */
export class NodeLog {
  readonly #write: ((line: NodeLogLine) => void) | undefined;

  constructor(write: ((line: NodeLogLine) => void) | undefined) {
    this.#write = write;
  }

  line(line: NodeLogLine): void {
    this.#write?.(line);
  }

  state(state: NodeState): void {
    if (state.kind === "waiting") {
      const { code, message } = state.error;
      const details = { code, attempt: state.attempt, retryInMs: state.retryInMs };
      this.line({ level: "warn", event: "link.waiting", message, details });
    } else if (state.kind === "renewing") {
      const where = state.addresses.map(formatAddress).join(", ");
      const message = `the certificate has run out: asking for another at ${where}`;
      this.line({ level: "info", event: "link.renewing", message, details: { attempt: state.attempt } });
    } else if (state.kind === "online") {
      const details = { sessionEpoch: state.sessionEpoch, handshakeMs: Math.round(state.handshakeMs) };
      this.line({ level: "info", event: "link.online", message: `online in mesh ${state.mesh}`, details });
    } else {
      this.line({ level: "debug", event: `link.${state.kind}`, message: state.kind });
    }
  }

  /** There is another certificate. @param notAfter Unix milliseconds */
  renewed(notAfter: number): void {
    const message = "the certificate was renewed";
    this.line({ level: "info", event: "certificate.renewed", message, details: { notAfter } });
  }

  /** Something failed and the node goes on. */
  failure(event: string, cause: unknown): void {
    const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "UNKNOWN";
    this.line({ level: "error", event, message: cause instanceof Error ? cause.message : "failed", details: { code } });
  }
}
