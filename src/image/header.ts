/** What the first bytes of a file say of its picture, so that its memory is known before it is taken. */
import { PupilError } from '../errors.js';
import { exifOrientation, readDirectory } from './exif.js';
import { gifLayout } from './gif.js';
import type { Size } from './image.js';

/** Width and height as stored, and how the picture is to be turned after decoding. */
export interface Header extends Size {
  /** Exif orientation, 1 to 8; 1 where the codec turns the picture itself. */
  readonly orientation: number;
  /** The codec needs the whole picture at once, not only some rows. */
  readonly whole: boolean;
}

/** The largest picture that is decoded, in pixels, where a codec works row by row. */
export const maximumPixels = 2 ** 27;
/** The largest of those that are decoded as a whole, which takes up to 20 bytes a pixel meanwhile. */
const maximumWholePixels = 2 ** 25;
/** The largest AVIF, whose decoder takes 28 bytes a pixel, and HEIC: phones have up to 48 megapixels. */
const maximumPixelsOf: Readonly<Record<string, number>> = { AVIF: 2 ** 24, HEIC: 3 * 2 ** 24 };

/**
 * Reads the header of a file of that format; undefined where it says nothing that is understood.
 * WebP's Exif is passed over, as in browsers; AVIF and HEIC have an orientation of their own.
 */
export function readHeader(bytes: Uint8Array, format: string): Header | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const read = readers[format];
  try {
    return read?.(view, bytes);
  } catch (error) {
    if (error instanceof RangeError) return undefined; // cut short
    throw error;
  }
}

type Read = (view: DataView, bytes: Uint8Array) => Header | undefined;

const upright = (width: number, height: number, whole: boolean): Header => ({ width, height, orientation: 1, whole });

const text = (view: DataView, at: number): string =>
  String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));

const readers: Readonly<Record<string, Read>> = {
  PNG: (view, bytes) => ({
    width: view.getUint32(16),
    height: view.getUint32(20),
    orientation: pngOrientation(bytes),
    whole: view.getUint8(28) !== 0, // interlaced
  }),
  GIF: (_, bytes) => {
    const { canvas } = gifLayout(bytes) ?? {};
    return canvas && upright(canvas.width, canvas.height, true);
  },
  WebP: readWebp,
  TIFF: (_, bytes) => {
    const directory = readDirectory(bytes);
    const [width] = directory?.values(256) ?? [],
      [height] = directory?.values(257) ?? [];
    return width === undefined || height === undefined ? undefined : upright(width, height, false);
  },
  AVIF: readIsoBoxes,
  HEIC: readIsoBoxes,
};

/** The chunks of a PNG before its pixels: what they hold, by their names. */
function pngChunks(bytes: Uint8Array): Map<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const chunks = new Map<string, Uint8Array>();
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at),
      kind = text(view, at + 4);
    if (kind === 'IDAT') break;
    if (!chunks.has(kind)) chunks.set(kind, bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return chunks;
}

function pngOrientation(bytes: Uint8Array): number {
  const exif = pngChunks(bytes).get('eXIf');
  return exif === undefined ? 1 : exifOrientation(exif);
}

/** Whether the still picture of an animated PNG, which decoders read, is not the first frame, which browsers show. */
export function hidesItsFirstFrame(bytes: Uint8Array): boolean {
  const chunks = pngChunks(bytes);
  return chunks.has('acTL') && !chunks.has('fcTL');
}

function readWebp(view: DataView): Header | undefined {
  const kind = text(view, 12);
  const short = (at: number): number => view.getUint16(at, true);
  if (kind === 'VP8X')
    return upright(1 + short(24) + view.getUint8(26) * 65536, 1 + short(27) + view.getUint8(29) * 65536, true);
  if (kind === 'VP8 ') return upright(short(26) & 0x3fff, short(28) & 0x3fff, true);
  if (kind !== 'VP8L') return undefined;
  const bits = view.getUint32(21, true);
  return upright((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1, true);
}

/** The largest of the sizes that an AVIF or HEIC file states (its parts have sizes, too). */
function readIsoBoxes(view: DataView, bytes: Uint8Array): Header | undefined {
  let largest: Header | undefined;
  for (let at = 0; at + 8 <= bytes.length;) {
    const size = view.getUint32(at);
    if (text(view, at + 4) === 'meta') {
      const box = bytes.subarray(at, at + size);
      // 'ispe': four letters, four bytes of version, width, height.
      for (let i = box.indexOf(0x69); i >= 0 && i + 16 <= box.length; i = box.indexOf(0x69, i + 1)) {
        if (text(view, at + i) !== 'ispe') continue;
        const width = view.getUint32(at + i + 8),
          height = view.getUint32(at + i + 12);
        if (largest === undefined || width * height > largest.width * largest.height)
          largest = upright(width, height, true);
      }
      return largest;
    }
    if (size < 8) return undefined;
    at += size;
  }
  return largest;
}

/** Throws `bad-data` for a picture that is larger than what is decoded, with both sizes. */
export function assertDecodable(
  header: Pick<Header, 'width' | 'height' | 'whole'>,
  format: string,
  where: string,
): void {
  const { width, height, whole } = header;
  const most = maximumPixelsOf[format] ?? (whole ? maximumWholePixels : maximumPixels);
  if (width * height <= most) return;
  const kind =
    format === 'PNG' && whole ? 'an interlaced PNG' : /^[AEIOU]/.test(format) ? `an ${format}` : `a ${format}`;
  throw new PupilError(
    'bad-data',
    `${where}: ${width} x ${height} pixels (${megapixels(width * height)} megapixels), and ${kind} may have at most ` +
      `${megapixels(most)} megapixels; scale it down`,
  );
}

const megapixels = (pixels: number): string => String(Math.round(pixels / 1e5) / 10);
