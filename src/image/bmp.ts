import { allocate } from './buffers.js';
import type { Image, Size } from './image.js';

/** What is wrong with a BMP, or what it has that is not read. */
export class BmpProblem extends Error {
  constructor(
    message: string,
    readonly isUnsupported = false,
  ) {
    super(message);
  }
}

interface BmpHeader extends Size {
  /** Rows from the top, as few programs write them. */
  readonly topDown: boolean;
  readonly bits: 1 | 4 | 8 | 16 | 24 | 32;
  /** Where the pixels begin. */
  readonly pixels: number;
  /** Colours of pixels of up to 8 bits: blue, green, red, and a byte that older files lack. */
  readonly palette: { readonly at: number; readonly size: 3 | 4; readonly count: number };
  /** Bits of red, green, blue and alpha in pixels of 16 and 32 bits. */
  readonly masks: readonly [red: number, green: number, blue: number, alpha: number];
}

const usualMasks: Readonly<Record<number, BmpHeader['masks']>> = {
  16: [0x7c00, 0x3e0, 0x1f, 0],
  32: [0xff0000, 0xff00, 0xff, 0],
};

/** Reads the headers. Throws `BmpProblem`. */
export function readBmpHeader(bytes: Uint8Array): BmpHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 26) throw new BmpProblem('the file is cut short in its header');
  const pixels = view.getUint32(10, true),
    length = view.getUint32(14, true);
  if (length !== 12 && (length < 40 || bytes.length < 54)) throw new BmpProblem('a header of an unknown kind');
  const isOld = length === 12;
  const signed = isOld ? view.getUint16(20, true) : view.getInt32(22, true);
  const width = isOld ? view.getUint16(18, true) : view.getInt32(18, true),
    height = Math.abs(signed);
  const bits = view.getUint16(isOld ? 24 : 28, true);
  const compression = isOld ? 0 : view.getUint32(30, true);
  if (width <= 0 || height === 0) throw new BmpProblem('a width or height of 0');
  if (![1, 4, 8, 16, 24, 32].includes(bits)) throw new BmpProblem(`${bits} bits a pixel`, true);
  const withMasks = (compression === 3 || compression === 6) && (bits === 16 || bits === 32);
  if (compression !== 0 && !withMasks) throw new BmpProblem('compressed pixels', true);
  // Masks stand in the header, or after one of 40 bytes; alpha only in longer ones.
  const mask = (i: number): number => (54 + 4 * i + 4 <= bytes.length ? view.getUint32(54 + 4 * i, true) : 0);
  const hasAlpha = compression === 6 || length >= 56;
  const masks = withMasks ? ([mask(0), mask(1), mask(2), hasAlpha ? mask(3) : 0] as const) : usualMasks[bits];
  const stated = isOld ? 0 : view.getUint32(46, true);
  return {
    width,
    height,
    topDown: signed < 0,
    bits: bits as BmpHeader['bits'],
    pixels,
    palette: { at: 14 + length, size: isOld ? 3 : 4, count: stated || 2 ** Math.min(8, bits) },
    masks: masks ?? [0, 0, 0, 0],
  };
}

/** Decodes a BMP: 1 to 32 bits a pixel, not compressed. Throws `BmpProblem`. */
export function decodeBmp(bytes: Uint8Array): Image {
  const header = readBmpHeader(bytes);
  const { width, height, topDown, bits, pixels } = header;
  const stride = Math.ceil((width * bits) / 32) * 4;
  if (pixels + stride * height > bytes.length) throw new BmpProblem('the file is cut short');
  const data = allocate(width * height * 3);
  const readRow =
    bits <= 8 ? paletteRow(bytes, header) : bits === 24 ? plainRow(bytes, width) : maskedRow(bytes, header);
  for (let y = 0; y < height; y++)
    readRow(pixels + (topDown ? y : height - 1 - y) * stride, data.subarray(y * width * 3, (y + 1) * width * 3));
  return { width, height, data };
}

/** Writes the row that begins at `from` as red, green, blue. */
type ReadRow = (from: number, row: Uint8Array) => void;

function paletteRow(bytes: Uint8Array, { bits, palette, width }: BmpHeader): ReadRow {
  const perByte = 8 / bits,
    most = 2 ** bits - 1;
  return (from, row) => {
    for (let x = 0, to = 0; x < width; x++, to += 3) {
      const shift = 8 - bits * (1 + (x % perByte));
      const index = (bytes[from + Math.floor(x / perByte)]! >> shift) & most;
      const at = palette.at + index * palette.size;
      // An index beyond the palette is black, as in browsers.
      const isKnown = index < palette.count && at + 2 < bytes.length;
      for (let c = 0; c < 3; c++) row[to + c] = isKnown ? bytes[at + 2 - c]! : 0;
    }
  };
}

function plainRow(bytes: Uint8Array, width: number): ReadRow {
  return (from, row) => {
    for (let at = from, to = 0; to < width * 3; at += 3, to += 3)
      for (let c = 0; c < 3; c++) row[to + c] = bytes[at + 2 - c]!;
  };
}

function maskedRow(bytes: Uint8Array, header: BmpHeader): ReadRow {
  const { bits, width } = header;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pixel = (at: number): number => (bits === 16 ? view.getUint16(at, true) : view.getUint32(at, true));
  const channels = header.masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
    const most = mask >>> shift;
    return (value: number): number => (most === 0 ? 0 : Math.round((((value & mask) >>> shift) * 255) / most));
  });
  const alpha = header.masks[3] !== 0 && hasAlpha(header, pixel, channels[3]!) ? channels[3]! : () => 255;
  return (from, row) => {
    for (let x = 0, at = from, to = 0; x < width; x++, at += bits / 8, to += 3) {
      const value = pixel(at),
        opaque = alpha(value) / 255;
      for (let c = 0; c < 3; c++) row[to + c] = Math.round(255 + (channels[c]!(value) - 255) * opaque);
    }
  };
}

/** Whether any pixel is not transparent: programs that know no alpha leave it 0 everywhere. */
function hasAlpha(
  { width, height, bits, pixels }: BmpHeader,
  pixel: (at: number) => number,
  alpha: (value: number) => number,
): boolean {
  for (let i = 0; i < width * height; i++) if (alpha(pixel(pixels + (i * bits) / 8)) > 0) return true;
  return false;
}
