import type { NodeState } from "./link/state.ts";
import type { NodeParts } from "./node-parts.ts";
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

  /** What was found on this disk that was not as it was left. The node goes on all the same. */
  opened({ outbox, seen, layout }: Pick<NodeParts, "outbox" | "seen" | "layout">): void {
    const { repair, damagedMarks } = outbox;
    const warn = (event: string, message: string, details: NodeLogLine["details"] = {}): void =>
      this.line({ level: "warn", event, message, details });
    if (repair !== undefined) {
      const { file, bytesCut } = repair;
      warn("outbox.repaired", "a torn write was cut", { file, bytesCut });
    }
    if (damagedMarks > 0) {
      const message =
        "how far the outbox got was damaged on disk: what the gateway has already may be sent again, and is dropped there";
      warn("outbox.watermarks-damaged", message, { file: layout.outbox, slots: damagedMarks });
    }
    if (seen.isDamaged) {
      const message =
        "the checkpoint of the gateway was damaged on disk: until the next welcome this node cannot tell an older copy of its state";
      warn("checkpoint.damaged", message, { file: layout.seen });
    }
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
