import type { Duplex } from "node:stream";
import { MAX_LINE_BYTES } from "./child-protocol.ts";

const NEWLINE = 0x0a;

/**
 * Lines of a pipe, as they come; ends when the other side does, however it does.
 * @throws {RangeError} for a line longer than {@link MAX_LINE_BYTES}: the other side is not sound, and its pipe is of no further use
 */
export async function* readLines(pipe: Duplex): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of pipe as AsyncIterable<Buffer>) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
        if (end > MAX_LINE_BYTES) throw new RangeError("a line of the pairing process is too long");
        yield decoder.decode(rest.subarray(0, end));
        rest = rest.subarray(end + 1);
      }
      if (rest.length > MAX_LINE_BYTES) throw new RangeError("a line of the pairing process is too long");
    }
  } catch (cause) {
    // A reset or a closed pipe is how a killed process looks; half a line is nothing.
    if (cause instanceof RangeError) throw cause;
  }
}
