/** The structure of a JPEG file: its segments and scans, without decoding them. */
import { exifOrientation } from './exif.js';
import type { Size } from './image.js';

/** What a JPEG file says of itself, and damage that can be seen in its bytes. */
export interface JpegFile extends Size {
  /** Exif orientation, 1 to 8, of the first Exif segment, as in browsers. */
  readonly orientation: number;
  /** Grey, YCbCr or RGB, CMYK or YCCK. */
  readonly components: 1 | 3 | 4;
  /** All coefficients are kept until the last scan. */
  readonly progressive: boolean;
  /** There is a colour profile that does not call itself sRGB. */
  readonly profile: boolean;
  readonly scans: number;
}

/**
 * damaged: its structure is broken, or data was overwritten with zeros. other: a kind of JPEG that
 * libjpeg-turbo has no decoder for (12 bits, lossless, arithmetic coding).
 */
export type JpegStructure =
  | { readonly kind: 'common'; readonly file: JpegFile }
  | { readonly kind: 'damaged' | 'other'; readonly reason: string };

const damaged = (reason: string): JpegStructure => ({ kind: 'damaged', reason });

const ascii = (bytes: Uint8Array, from: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false;
  return true;
};

/**
 * Whether an ICC profile, as one chunk from `from` to `to`, calls itself sRGB: the pixels are then
 * what they should be.
 */
function isSrgb(bytes: Uint8Array, from: number, to: number): boolean {
  if (bytes[from + 12] !== 1 || bytes[from + 13] !== 1) return false;
  const profile = bytes.subarray(from + 14, to);
  const view = new DataView(profile.buffer, profile.byteOffset, profile.length);
  if (profile.length < 132) return false;
  const tags = view.getUint32(128);
  for (let tag = 0, at = 132; tag < tags && at + 12 <= profile.length; tag++, at += 12) {
    if (!ascii(profile, at, 'desc')) continue;
    const place = view.getUint32(at + 4);
    const text = String.fromCharCode(
      ...profile.subarray(place, Math.min(place + view.getUint32(at + 8), place + 200, profile.length)),
    ).replaceAll('\0', '');
    return text.includes('sRGB');
  }
  return false;
}

/** Huffman tables for AC coefficients, 0 to 3: the symbol whose code is all zeros. */
type ZeroCodes = (number | undefined)[];

/** Notes the tables of a DHT segment. */
function readTables(segment: Uint8Array, codes: ZeroCodes): void {
  for (let at = 0; at + 17 <= segment.length;) {
    const table = segment[at]!;
    let symbols = 0;
    for (let length = 1; length <= 16; length++) symbols += segment[at + length]!;
    if (table >> 4 === 1) codes[table & 15] = symbols > 0 ? segment[at + 17] : undefined;
    at += 17 + symbols;
  }
}

/** Zero bytes in a row that no scan of a photo holds, where a zero bit begins a coefficient. */
const zeroRun = 64;

/**
 * Whether zeros in a scan are damage. In a flat area they are not: there the code of zeros ends a
 * block. Where it begins a coefficient instead, a run of zeros would mean whole blocks of them all,
 * which no image has. Scans that refine coefficients are left alone.
 */
function zerosAreDamage(header: Uint8Array, codes: ZeroCodes): boolean {
  const components = header[0]!;
  if (header.length < 4 + 2 * components) return false;
  const last = header[2 + 2 * components]!,
    earlierBits = header[3 + 2 * components]! >> 4;
  if (last === 0 || earlierBits > 0) return false;
  for (let i = 0; i < components; i++) {
    const code = codes[header[2 + 2 * i]! & 15];
    if (code !== undefined && (code & 15) !== 0) return true;
  }
  return false;
}

/** Whether a scan's data holds a run of `zeroRun` zeros; before the end of the file they are padding. */
function hasZeroRun(bytes: Uint8Array, from: number, end: number): boolean {
  let to = end;
  if (bytes[end + 1] === 0xd9) while (to > from && bytes[to - 1] === 0) to--;
  for (let at = from + zeroRun - 1; at < to; at += zeroRun) {
    if (bytes[at] !== 0) continue;
    let first = at,
      last = at;
    while (first > from && bytes[first - 1] === 0) first--;
    while (last + 1 < to && bytes[last + 1] === 0) last++;
    if (last - first + 1 >= zeroRun) return true;
  }
  return false;
}

/** Where the data of a scan ends: at the next marker that does not belong to it. */
function endOfScan(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next !== undefined && next !== 0 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return at;
  }
  return bytes.length;
}

/** What is gathered on the way through a file. */
interface Found {
  frame?: (Size & Pick<JpegFile, 'components' | 'progressive'>) | undefined;
  orientation?: number | undefined;
  profile: boolean;
  scans: number;
  readonly zeroCodes: ZeroCodes;
}

/** Reads the frame of `marker`; undefined if all is well. */
function readFrame(found: Found, marker: number, segment: Uint8Array): JpegStructure | undefined {
  if (found.frame !== undefined) return damaged('two frame headers');
  const [bits = 0, heightHigh = 0, heightLow = 0, widthHigh = 0, widthLow = 0, components = 0] = segment;
  if (segment.length < 6 || segment.length !== 6 + 3 * components) return damaged('a frame header of a wrong length');
  if (marker > 0xc2 || bits !== 8) {
    const kind = marker > 0xc2 ? 'lossless, hierarchical or arithmetic coding' : `${bits} bits a channel`;
    return { kind: 'other', reason: kind };
  }
  if (components !== 1 && components !== 3 && components !== 4)
    return { kind: 'other', reason: `${components} channels` };
  const width = widthHigh * 256 + widthLow,
    height = heightHigh * 256 + heightLow;
  if (width === 0 || height === 0) return damaged('a width or height of 0');
  found.frame = { width, height, components, progressive: marker === 0xc2 };
  return undefined;
}

/** Notes what a segment before or between scans says; a structure where it cannot be read. */
function readSegment(found: Found, marker: number, segment: Uint8Array): JpegStructure | undefined {
  if (marker === 0xc4) readTables(segment, found.zeroCodes);
  else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc8 && marker !== 0xcc)
    return readFrame(found, marker, segment);
  else if (marker === 0xe1 && ascii(segment, 0, 'Exif\0\0')) found.orientation ??= exifOrientation(segment.subarray(6));
  else if (marker === 0xe2 && ascii(segment, 0, 'ICC_PROFILE\0') && !isSrgb(segment, 0, segment.length))
    found.profile = true;
  return undefined;
}

/** Reads a JPEG file's segments up to the end of its last scan. */
export function readJpeg(bytes: Uint8Array): JpegStructure {
  const found: Found = { profile: false, scans: 0, zeroCodes: [] };
  for (let at = 2; ;) {
    const marker = bytes[at + 1];
    if (bytes[at] === 0xff && marker === 0xff) {
      at++; // padding
      continue;
    }
    if (marker === 0xd9 && bytes[at] === 0xff && found.scans > 0) break;
    if (at + 4 > bytes.length) {
      if (found.scans > 0) break; // the end is missing: the decoder knows whether image data is, too
      return damaged('the file is cut short in its headers');
    }
    const to = at + 2 + bytes[at + 2]! * 256 + bytes[at + 3]!;
    const isMarker = bytes[at] === 0xff && marker! >= 0xc0 && (marker! < 0xd0 || marker! > 0xd9);
    if (!isMarker || to < at + 4 || to > bytes.length) {
      if (found.scans > 0) break; // the decoder tells what is wrong with the data
      return damaged('its headers are broken or cut short');
    }
    const segment = bytes.subarray(at + 4, to);
    at = to;
    if (marker !== 0xda) {
      const problem = readSegment(found, marker!, segment);
      if (problem !== undefined) return problem;
      continue;
    }
    if (found.frame === undefined) return damaged('image data without a frame header');
    found.scans++;
    at = endOfScan(bytes, to);
    if (zerosAreDamage(segment, found.zeroCodes) && hasZeroRun(bytes, to, at))
      return damaged('a part of the image data was overwritten with zeros');
  }
  const { frame, orientation = 1, profile, scans } = found;
  return frame === undefined
    ? damaged('no frame header')
    : { kind: 'common', file: { ...frame, orientation, profile, scans } };
}
