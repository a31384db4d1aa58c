/**
 * A bytes field that leaves as it is. Protobuf writes a message into memory of its own and Connect copies that behind its envelope; for pages of events, hundreds of kilobytes each, these copies
 * and the collector that looks for them were most of what an operator's replay cost. A message's fields may come in any order, so the one that is large is written behind all that Connect made of the rest.
 */
import type { DescField } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { createContextKey } from "@connectrpc/connect";

/** Flags, and the length of the message. @see https://connectrpc.com/docs/protocol#streaming-rpcs */
const ENVELOPE_HEAD_BYTES = 5;
const ENVELOPE_LENGTH_AT = 1;

/** The last field of a message. */
export interface AppendedField {
  /** A singular field of type bytes, which the message leaves out. */
  readonly field: DescField;
  readonly bytes: Uint8Array;
  /** The bytes are with the kernel: their memory may be given up. Not called for each. */
  readonly release?: (() => void) | undefined;
}

/** What a streaming call appends: one field to the message that it yields next. */
export class Appending {
  #next: AppendedField | undefined;

  append(field: AppendedField): void {
    this.#next = field;
  }

  /** What was appended to the message that was serialized last. */
  take(): AppendedField | undefined {
    const next = this.#next;
    this.#next = undefined;
    return next;
  }
}

/** Of a call whose answers can be appended to; others are given their fields in the message. */
export const appendingKey = createContextKey<Appending | undefined>(undefined, {
  description: "bytes fields that are written without a copy",
});

/** Whether what a request is answered with are bare messages in envelopes: binary, not packed, each written by itself. */
export function canAppend(request: {
  readonly httpVersionMajor: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}): boolean {
  const { "content-type": type, "connect-accept-encoding": packing } = request.headers;
  return request.httpVersionMajor === 1 && type === "application/connect+proto" && packing === undefined;
}

/**
 * The enveloped messages of an answer, each with the field that was appended to it.
 * @param isWritten whether all that was given out so far is with the kernel
 */
export async function* withAppended(
  messages: AsyncIterable<Uint8Array>,
  appending: Appending,
  isWritten: () => boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  // One is serialized for each that is asked for, so what was appended belongs to it.
  for await (const message of messages) {
    const appended = appending.take();
    if (appended === undefined) {
      yield message;
      continue;
    }
    yield openedUp(message, appended);
    yield appended.bytes;
    // Whoever asks for the next one has written this; how far, only the socket knows.
    if (isWritten()) appended.release?.();
  }
}

/** The envelope with room for a field, up to the bytes themselves. */
function openedUp(message: Uint8Array, { field, bytes }: AppendedField): Uint8Array {
  const head = new BinaryWriter().tag(field.number, WireType.LengthDelimited).uint32(bytes.length).finish();
  const opened = new Uint8Array(message.length + head.length);
  opened.set(message);
  opened.set(head, message.length);
  const length = opened.length - ENVELOPE_HEAD_BYTES + bytes.length;
  new DataView(opened.buffer).setUint32(ENVELOPE_LENGTH_AT, length);
  return opened;
}
