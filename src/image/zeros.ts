/**
 * Zeros where image data was: what is left of a lost sector or of a copy that was cut off. The
 * codecs of WebP and of deflate in TIFF decode zeros without a complaint.
 */
import { readDirectory } from './exif.js';
import type { Image } from './image.js';

type Part = readonly [from: number, to: number];

const deflate = new Set([8, 32946]);
const tags = { compression: 259, strips: [273, 279], tiles: [324, 325] } as const;

/** The parts of a file that hold compressed pixels whose codec passes over zeros. */
function pixelParts(bytes: Uint8Array, format: string): Part[] {
  if (format === 'WebP') return webpParts(bytes);
  const directory = format === 'TIFF' ? readDirectory(bytes) : undefined;
  if (directory === undefined || !deflate.has(directory.values(tags.compression)[0] ?? 1)) return [];
  return [tags.strips, tags.tiles].flatMap(([places, lengths]) => {
    const counts = directory.values(lengths, Infinity);
    return directory.values(places, Infinity).map((from, i): Part => [from, from + (counts[i] ?? 0)]);
  });
}

/** The data of VP8 and VP8L chunks. */
function webpParts(bytes: Uint8Array): Part[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const parts: Part[] = [];
  for (let at = 12; at + 8 <= bytes.length;) {
    const name = view.getUint32(at),
      length = view.getUint32(at + 4, true);
    const isPixels = name === 0x56503820 || name === 0x5650384c; // 'VP8 ' and 'VP8L'
    if (isPixels) parts.push([at + 8, Math.min(bytes.length, at + 8 + length)]);
    at += 8 + length + (length & 1);
  }
  return parts;
}

/** The longest run of zeros in a file's compressed pixels. */
export function longestZeroRun(bytes: Uint8Array, format: string): number {
  let longest = 0;
  for (const [from, end] of pixelParts(bytes, format)) {
    const to = Math.min(end, bytes.length);
    for (let at = from; at < to;) {
      const zero = bytes.indexOf(0, at);
      if (zero < 0 || zero >= to) break;
      at = zero;
      while (at < to && bytes[at] === 0) at++;
      longest = Math.max(longest, at - zero);
    }
  }
  return longest;
}

/** Zeros in a row that any picture's data may hold. */
const usualRun = 64;
/** Pixels of a flat area that a byte of zeros stands for, at least: 4,000 in deflate, 11,000 in WebP. */
const pixelsPerZero = 1000;

/** Whether a run of zeros is more than what the flat areas of the picture explain. */
export function zerosAreDamage({ width, data }: Image, run: number): boolean {
  if (run < usualRun) return false;
  let flat = 0;
  for (let i = width * 3; i < data.length; i += 3) {
    const above = i - width * 3;
    if (data[i] === data[above] && data[i + 1] === data[above + 1] && data[i + 2] === data[above + 2]) flat++;
  }
  return flat < run * pixelsPerZero;
}
