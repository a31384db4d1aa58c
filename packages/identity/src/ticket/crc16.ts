/**
 * CRC-16/IBM-3740 (polynomial 0x1021, start 0xffff, nothing reflected): of "123456789" it is 0x29b1. It finds every burst of up to 16 bits, so
 * every wrong character of a ticket and every swap of two neighbours.
 */
export function crc16(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc;
}
