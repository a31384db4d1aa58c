import path from "node:path";
import { FileSink } from "./trace-sink.ts";
import type { TraceSink } from "./trace-sink.ts";
import { ConnectionTrace } from "./trace.ts";
import type { TraceSubject } from "./trace.ts";

/** The `trace` option: where traces of connections go, and how large they may get. */
export interface QuicTraceOptions {
  /** A directory, made if need be: one file per connection whose peer was accepted, `<original destination id>_<client|server>.sqlog`. */
  readonly directory: string;
  /** Records stop at about this size; the end of the connection is still noted. Default 16 MiB. */
  readonly maxBytesPerConnection?: number;
  /** Connections traced by one transport; later ones are not. Default 1000. */
  readonly maxConnections?: number;
}

const DEFAULT_MAX_BYTES = 16 << 20;
const DEFAULT_MAX_CONNECTIONS = 1000;

/** Begins the traces of a transport's connections. */
export class Tracer {
  readonly #options: Required<QuicTraceOptions>;
  #kept = 0;

  constructor(options: QuicTraceOptions) {
    this.#options = {
      maxBytesPerConnection: DEFAULT_MAX_BYTES,
      maxConnections: DEFAULT_MAX_CONNECTIONS,
      ...options,
    };
  }

  /** @returns `undefined` once as many connections were traced as may be */
  begin(subject: TraceSubject): ConnectionTrace | undefined {
    const { directory, maxBytesPerConnection, maxConnections } = this.#options;
    if (this.#kept >= maxConnections) return undefined;
    const side = subject.role === "listener" ? "server" : "client";
    const sink = new FileSink(path.join(directory, `${subject.originalDcid}_${side}.sqlog`));
    return new ConnectionTrace(this.#counted(sink), subject, {
      maxBytes: maxBytesPerConnection,
      startedAt: Date.now(),
      now: () => performance.now(),
    });
  }

  // Handshakes that come to nothing leave no file, so they must not use up the number either.
  #counted(sink: FileSink): TraceSink {
    return {
      get dropped() {
        return sink.dropped;
      },
      open: () => {
        if (this.#kept >= this.#options.maxConnections) {
          sink.end();
          return false;
        }
        this.#kept += 1;
        return sink.open();
      },
      write: (text) => sink.write(text),
      end: () => sink.end(),
    };
  }
}
