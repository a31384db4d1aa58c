import jsqr from "jsqr";
import { open, readFile, stat } from "node:fs/promises";
import { PNG } from "pngjs";
import { toBuffer, toString } from "qrcode";
import { CliError } from "../errors.ts";

/** Pixels a module takes in a PNG: prints and photographs well, stays under 4 kB. */
const PIXELS_PER_MODULE = 8;
/** ISO/IEC 18004: light modules around the code. */
const QUIET_MODULES = 4;
/** Largest picture that is decoded, pixels: a few lines of PNG can unpack to gigabytes. */
const MAX_PIXELS = 50_000_000;
/** Largest file that is read as a picture, bytes: no photograph has more. */
const MAX_PICTURE_BYTES = 100_000_000;
/** The code carries a secret. */
const PRIVATE_FILE = 0o600;

const options = { errorCorrectionLevel: "L", margin: QUIET_MODULES } as const;

/** Write `text` as a QR code to a PNG file that only its owner reads. @throws {CliError} `FILE_NOT_FOUND` */
export async function writeQrPng(file: string, text: string): Promise<void> {
  await writePrivate(
    file,
    await toBuffer([{ data: text, mode: "alphanumeric" }], { ...options, type: "png", scale: PIXELS_PER_MODULE }),
  );
}

/** Write `text` as a QR code to an SVG file that only its owner reads. @throws {CliError} `FILE_NOT_FOUND` */
export async function writeQrSvg(file: string, text: string): Promise<void> {
  await writePrivate(file, await toString([{ data: text, mode: "alphanumeric" }], { ...options, type: "svg" }));
}

/**
 * Read the QR code in a PNG file: a screenshot, a photograph, or what `quaymesh pair --png` wrote.
 * @throws {CliError} `FILE_NOT_FOUND`, `PICTURE_UNREADABLE`
 */
export async function readQrPng(file: string): Promise<string> {
  const failed = (cause?: unknown): CliError =>
    new CliError("FILE_NOT_FOUND", `the picture ${file} cannot be read`, { cause, hint: "Check the file's name." });
  const found = await stat(file).catch((cause: unknown) => {
    throw failed(cause);
  });
  // A device such as /dev/zero never comes to its end.
  if (!found.isFile()) throw failed(new Error("it is not a file"));
  if (found.size > MAX_PICTURE_BYTES) throw failed(new Error(`it has ${found.size} bytes, no picture has`));
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw failed(cause);
  });
  return decodeQrPng(bytes, file);
}

/**
 * Decode the QR code in a PNG.
 * @param name of the picture, for messages
 * @throws {CliError} `PICTURE_UNREADABLE`
 */
export function decodeQrPng(bytes: Uint8Array, name: string): string {
  const unreadable = (seen: string, cause?: unknown): CliError =>
    new CliError("PICTURE_UNREADABLE", `there is no readable QR code in ${name}`, {
      cause,
      seen: [seen],
      hint: "Take a sharp PNG with the whole code and some white around it, or use the link instead.",
    });
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // PNG, third edition, section 11.2.1: width and height follow the signature and the IHDR chunk's head.
  if (buffer.length < 24 || buffer.readUInt32BE(12) !== 0x49_48_44_52) throw unreadable("this is not a PNG file");
  const pixels = buffer.readUInt32BE(16) * buffer.readUInt32BE(20);
  if (pixels > MAX_PIXELS) throw unreadable(`the picture has ${pixels} pixels; at most ${MAX_PIXELS} are read`);
  let png: PNG;
  try {
    png = PNG.sync.read(buffer);
  } catch (cause) {
    throw unreadable("the PNG file is damaged", cause);
  }
  const found = jsqr.default(new Uint8ClampedArray(png.data), png.width, png.height);
  if (found === null) throw unreadable("no code was found in the picture");
  return found.data;
}

async function writePrivate(path: string, content: string | Uint8Array): Promise<void> {
  try {
    await using file = await open(path, "w", PRIVATE_FILE);
    // An existing file keeps its mode on open.
    await file.chmod(PRIVATE_FILE);
    await file.writeFile(content);
  } catch (cause) {
    throw new CliError("FILE_NOT_FOUND", `the picture ${path} cannot be written`, {
      cause,
      hint: "Name a file in a folder that is there and that you may write to.",
    });
  }
}
