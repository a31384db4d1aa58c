/** How our own encoder writes the two messages that come by the hundred thousand: the bytes in front of each value, in order. docs/wire.md, "Events". */

/** Largest event body, bytes. */
export const MAX_EVENT_BYTES = 65_536;
/** Most events in one batch frame: keeps a full batch under the pre-scan's 4096 items. */
export const MAX_BATCH_EVENTS = 256;

/** As common.ts has it. */
export const DEVICE_ID = /^[0-9A-HJKMNP-TV-Z]{26}$/u;
/** Bytes of a device id. */
export const DEVICE_ID_BYTES = 26;
/** Bytes of an outbox epoch. */
export const EPOCH_BYTES = 16;

/** `batch` up to the number of its first event. */
export const BATCH = Uint8Array.of(0xa3, ...key("type"), ...key("batch"), ...key("first"));
/** The key in front of the array. */
export const EVENTS = key("events");
/** `events` up to the array. */
export const LOGGED_EVENTS = Uint8Array.of(0xa2, ...key("type"), ...key("events"), ...key("events"));

/** An event of a `batch`: its kind, {@link TIME}, {@link DATA}. */
export const PUBLISHED = Uint8Array.of(0xa3, ...key("kind"));
/** An event of the log: its offset, {@link DEVICE}, {@link EPOCH}, {@link SEQ}, {@link KIND}, {@link TIME}, {@link RECEIVED}, {@link DATA}. */
export const LOGGED = Uint8Array.of(0xa8, ...key("offset"));
/** The key of a device, and the head of its value. */
export const DEVICE = Uint8Array.of(...key("device"), 0x78, DEVICE_ID_BYTES);
/** The key of an outbox epoch, and the head of its value. */
export const EPOCH = Uint8Array.of(...key("outboxEpoch"), 0x40 | EPOCH_BYTES);
/** From {@link DEVICE} to the end of the epoch. */
export const ORIGIN_BYTES = DEVICE.length + DEVICE_ID_BYTES + EPOCH.length + EPOCH_BYTES;
/** The key of a sequence. */
export const SEQ = key("seq");
/** The key of a kind. */
export const KIND = key("kind");
/** The key of the node's time. */
export const TIME = key("time");
/** The key of the gateway's time. */
export const RECEIVED = key("received");
/** The key of the data. */
export const DATA = key("data");

/** Short ASCII text as CBOR. */
function key(word: string): Uint8Array {
  return Uint8Array.from([0x60 | word.length, ...Array.from(word, (letter) => letter.charCodeAt(0))]);
}
