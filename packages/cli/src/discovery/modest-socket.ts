import dgram from "node:dgram";

const HEADER_BYTES = 12;
/** Questions and records of a packet that is read; an announcement of ours has a dozen. */
const MAX_RECORDS = 128;

/**
 * A UDP socket for mDNS that hears no packet of more than {@link MAX_RECORDS} questions and records. The parser takes a header's word for how many there are, and reads their names one by one: 64 KiB of
 * small records with long names keep it for a quarter of a second, and whoever asks or announces with it.
 */
export function modestSocket(): dgram.Socket {
  const socket = dgram.createSocket({ type: "udp4", reuseAddr: true });
  const emit = socket.emit.bind(socket);
  socket.emit = (event: string | symbol, ...values: unknown[]): boolean => {
    const [packet] = values;
    if (event === "message" && !(packet instanceof Uint8Array && isModest(packet))) return false;
    return emit(event, ...values);
  };
  return socket;
}

/** Whether a packet's header claims no more than can be an announcement, or a question for one. RFC 1035 section 4.1.1. */
function isModest(packet: Uint8Array): boolean {
  if (packet.length < HEADER_BYTES) return false;
  const header = new DataView(packet.buffer, packet.byteOffset, HEADER_BYTES);
  const claimed = [4, 6, 8, 10].reduce((sum, at) => sum + header.getUint16(at), 0);
  return claimed <= MAX_RECORDS;
}
