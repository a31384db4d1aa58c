import { create } from "qrcode";

/** The modules of a QR code: `size` by `size`, true is dark, no quiet zone. */
export interface QrMatrix {
  readonly size: number;
  dark(row: number, column: number): boolean;
}

/** ISO/IEC 18004: the characters of alphanumeric mode, which packs two in 11 bits. */
const ALPHANUMERIC = /^[0-9A-Z $%*+\-./:]+$/u;

/**
 * Encode `text` with error correction L: a screen has no scratches, and fewer modules are easier to photograph.
 * @throws {RangeError} when `text` leaves alphanumeric mode, which would make the code half as large again
 */
export function encodeQr(text: string): QrMatrix {
  if (!ALPHANUMERIC.test(text)) throw new RangeError("the text of a QR code must be alphanumeric and upper case");
  const { modules } = create([{ data: text, mode: "alphanumeric" }], { errorCorrectionLevel: "L" });
  return { size: modules.size, dark: (row, column) => modules.get(row, column) !== 0 };
}
