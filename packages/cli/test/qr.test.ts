import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { PNG } from "pngjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeQr } from "../src/qr/code.ts";
import { decodeQrPng, readQrPng, writeQrPng, writeQrSvg } from "../src/qr/picture.ts";
import { qrRows } from "../src/qr/text.ts";

/** As long as a ticket with one IPv4 address, which is 57 bytes. */
const LINK = `QUAY:${"AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYUCULBOGAZ".repeat(3).slice(0, 92)}`;
const PIXELS = 4;

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "quaymesh-qr-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Photograph a terminal: each character cell is two modules high, and what is drawn is `ink`. */
function photograph(rows: readonly string[], ink: number, paper: number): Uint8Array {
  const width = rows[0]?.length ?? 0;
  const png = new PNG({ width: width * PIXELS, height: rows.length * 2 * PIXELS });
  for (let y = 0; y < png.height; y += 1) {
    for (let x = 0; x < png.width; x += 1) {
      const moduleRow = Math.floor(y / PIXELS);
      const cell = rows[Math.floor(moduleRow / 2)]?.[Math.floor(x / PIXELS)] ?? " ";
      const drawn = cell === "█" || cell === (moduleRow % 2 === 0 ? "▀" : "▄");
      png.data.fill(drawn ? ink : paper, (y * png.width + x) * 4, (y * png.width + x) * 4 + 3);
      png.data[(y * png.width + x) * 4 + 3] = 255;
    }
  }
  return PNG.sync.write(png);
}

describe("a ticket as a QR code", () => {
  test("comes out of its PNG as it went in", async () => {
    const file = join(directory, "code.png");
    await writeQrPng(file, LINK);
    expect(await readQrPng(file)).toBe(LINK);
  });

  test("is looked for in files alone: a device has no end", async () => {
    await expect(readQrPng("/dev/null")).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
  });

  test("comes out of a photograph of the terminal, dark screens and light ones", () => {
    const matrix = encodeQr(LINK);
    expect(decodeQrPng(photograph(qrRows(matrix, "light-blocks"), 255, 0), "dark screen")).toBe(LINK);
    expect(decodeQrPng(photograph(qrRows(matrix, "dark-blocks"), 0, 255), "light screen")).toBe(LINK);
  });

  test("any alphanumeric text survives the PNG", () => {
    const text = fc.string({
      unit: fc.constantFrom(...Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567:")),
      minLength: 1,
      maxLength: 160,
    });
    return fc.assert(
      fc.asyncProperty(text, async (value) => {
        const file = join(directory, "any.png");
        await writeQrPng(file, value);
        expect(await readQrPng(file)).toBe(value);
      }),
      { numRuns: 20 },
    );
  });

  test("fits a screen of 24 rows with three to spare, and all its rows are equally long", () => {
    const rows = qrRows(encodeQr(LINK), "light-blocks");
    expect(rows.length).toBeLessThanOrEqual(21);
    expect(new Set(rows.map((row) => row.length)).size).toBe(1);
  });

  test("keeps a quiet zone: the first and last rows and columns are light", () => {
    const rows = qrRows(encodeQr(LINK), "light-blocks");
    expect(rows[0]).toMatch(/^█+$/u);
    for (const row of rows) expect(row).toMatch(/^██.*██$/u);
  });

  test("with colour is black on white whatever the theme, and resets at the end of each row", () => {
    for (const row of qrRows(encodeQr(LINK), "coloured")) {
      expect(row.startsWith("\u001B[38;5;16;48;5;231m")).toBe(true);
      expect(row.endsWith("\u001B[0m")).toBe(true);
    }
  });

  test("lower case is refused: it would leave alphanumeric mode and no longer fit", () => {
    expect(() => encodeQr("quay:abc")).toThrow(RangeError);
  });

  test("the picture holds a secret: only its owner may read it, also where a file was there before", async () => {
    const file = join(directory, "open.png");
    await writeFile(file, "old", { mode: 0o644 });
    await writeQrPng(file, LINK);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test("where it cannot be written, the file is named and what to do", async () => {
    const file = join(directory, "none", "code.png");
    const told = {
      code: "FILE_NOT_FOUND",
      message: expect.stringContaining(file),
      hint: expect.stringContaining("folder"),
    };
    await expect(writeQrPng(file, LINK)).rejects.toMatchObject(told);
    await expect(writeQrSvg(file, LINK)).rejects.toMatchObject(told);
  });

  test("the SVG is one", async () => {
    const file = join(directory, "code.svg");
    await writeQrSvg(file, LINK);
    expect(await readFile(file, "utf8")).toMatch(/^<svg [\s\S]*<\/svg>\s*$/u);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });
});

describe("a picture without a readable code", () => {
  const unreadable = (bytes: Uint8Array): unknown => {
    try {
      return decodeQrPng(bytes, "x.png");
    } catch (error) {
      return error;
    }
  };

  test("is named when it is not there", async () => {
    await expect(readQrPng(join(directory, "none.png"))).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
  });

  test("is told apart: not a PNG, a damaged one, a blank one", () => {
    const blank = new PNG({ width: 64, height: 64 });
    blank.data.fill(255);
    const good = PNG.sync.write(blank);
    expect(unreadable(Buffer.from("GIF89a, and some more than that"))).toMatchObject({
      code: "PICTURE_UNREADABLE",
      seen: ["this is not a PNG file"],
    });
    expect(unreadable(good.subarray(0, 60))).toMatchObject({ seen: ["the PNG file is damaged"] });
    expect(unreadable(good)).toMatchObject({ seen: ["no code was found in the picture"] });
    expect(unreadable(new Uint8Array())).toMatchObject({ code: "PICTURE_UNREADABLE" });
  });

  test("is refused before it is unpacked when it says it has billions of pixels", () => {
    const bomb = PNG.sync.write(new PNG({ width: 1, height: 1 }));
    bomb.writeUInt32BE(65_535, 16);
    bomb.writeUInt32BE(65_535, 20);
    expect(unreadable(bomb)).toMatchObject({ seen: [expect.stringContaining("4294836225 pixels")] });
  });
});
