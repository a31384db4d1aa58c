/** Largest frame body, bytes. docs/wire.md, "Frames". */
export const MAX_FRAME_BYTES = 524_288;

/** Largest frame body of a peer that is not authenticated yet (the pairing endpoint), bytes. */
export const MAX_UNAUTHENTICATED_FRAME_BYTES = 4096;

/** A u32 in network order. */
export const FRAME_HEADER_BYTES = 4;
