/**
 * Files to pixels and back. The only file that imports the codec library; common JPEGs have a
 * faster decoder.
 */
import { channel } from 'node:diagnostics_channel';
import type sharpModule from 'sharp';
import { PupilError } from '../errors.js';
import { collectGarbage } from '../threads/garbage.js';
import { BmpProblem, decodeBmp, readBmpHeader } from './bmp.js';
import { allocate } from './buffers.js';
import { readDirectory } from './exif.js';
import { imageFormat } from './format.js';
import { gifLayout, onCanvas } from './gif.js';
import { decodeHeic, HeicProblem, profileOf, tiffOf } from './heic.js';
import { heicDamage } from './heic-items.js';
import { assertDecodable, hidesItsFirstFrame, maximumPixels, readHeader } from './header.js';
import type { Image, Size } from './image.js';
import { damageOf, decodeJpeg } from './jpeg.js';
import { readJpeg, type JpegFile } from './jpeg-file.js';
import { orient } from './orient.js';
import { tiffProblem } from './tiff.js';
import { longestZeroRun, zerosAreDamage } from './zeros.js';

let codec: Promise<typeof sharpModule> | undefined;

/**
 * Loads the codec once. Call it in the main thread before starting workers that decode: its shared
 * library has to outlive them.
 */
export function loadCodec(): Promise<typeof sharpModule> {
  codec ??= import('sharp').then(({ default: sharp }) => {
    sharp.cache(false); // every image is decoded once: nothing to remember
    sharp.concurrency(1); // parallel over images instead of inside one
    return sharp;
  });
  return codec;
}

/** By how much a picture is made smaller while it is decoded. */
export type Divisor = 1 | 2 | 4 | 8;

/** A file whose header was read; nothing of its size is in memory yet. Its size is that which it states. */
export interface EncodedImage extends Size {
  /**
   * For a picture that is wanted with a short side of `short` pixels: a JPEG of at least four times
   * that can be decoded at a half, a quarter or an eighth of its size, which is at least twice
   * `short` (libjpeg's scaled decoding). Others are decoded as they are.
   */
  divisor(short: number): Divisor;
  /** Decodes it, at 1 / `divisor` of its size; default 1. */
  decode(divisor?: Divisor): Promise<Image>;
  /** Bytes of memory that `decode` takes at most, about, the pixels among them. */
  memory(divisor?: Divisor): number;
}

/** A picture that is decoded, as subscribers of the channel `pupil:decode` of its thread are told. */
export interface Decoding {
  /** What the picture is called. */
  readonly where: string;
  readonly divisor: Divisor;
}

const decodings = channel('pupil:decode');

/**
 * Reads the header of a JPEG, PNG, GIF, WebP, TIFF, AVIF, BMP or HEIC. Throws `bad-data`, naming `where`, for
 * anything that is not such an image, one that is larger than what is decoded, and a JPEG whose
 * structure is broken.
 */
export async function openImage(bytes: Uint8Array, where: string): Promise<EncodedImage> {
  const encoded = await openFormat(bytes, where);
  return {
    ...encoded,
    decode(divisor = 1) {
      if (decodings.hasSubscribers) decodings.publish({ where, divisor } satisfies Decoding);
      return encoded.decode(divisor);
    },
  };
}

async function openFormat(bytes: Uint8Array, where: string): Promise<EncodedImage> {
  const format = imageFormat(bytes);
  if (!format.readable) throw new PupilError('bad-data', `${where}: ${format.problem}`);
  if (format.name === 'JPEG') return openJpeg(bytes, where);
  if (format.name === 'BMP') return openBmp(bytes, where);
  const header = readHeader(bytes, format.name) ?? (await headerByCodec(bytes, format.name, where));
  assertDecodable(header, format.name, where);
  const directory = format.name === 'TIFF' ? readDirectory(bytes) : undefined;
  const problem = directory && tiffProblem(directory);
  if (problem !== undefined) throw new PupilError('bad-data', `${where}: a TIFF of which ${problem}`);
  if (format.name === 'PNG' && hidesItsFirstFrame(bytes))
    throw new PupilError(
      'bad-data',
      `${where}: an animated PNG whose still picture is not part of the animation, so that browsers show another; ` +
        'save its first frame as a PNG',
    );
  const { width, height, orientation, whole } = header;
  const layout = format.name === 'GIF' ? gifLayout(bytes) : undefined;
  const bytesPerPixel = format.name === 'AVIF' ? 28 : format.name === 'HEIC' ? 16 : whole ? 10 : 6;
  return {
    width,
    height,
    divisor: () => 1,
    memory: () => width * height * bytesPerPixel,
    async decode() {
      if (format.name === 'HEIC') return decodeInSrgb(bytes, where);
      const zeros = longestZeroRun(bytes, format.name);
      const image = await decodeByCodec(bytes, format.name, where);
      if (zerosAreDamage(image, zeros))
        throw undecodable(format.name, where, `${zeros} bytes of its image data were overwritten with zeros`);
      return layout === undefined ? orient(image, orientation) : onCanvas(image, layout);
    },
  };
}

/**
 * Decodes JPEG, PNG, GIF, WebP, TIFF, AVIF, BMP or HEIC to 8-bit sRGB. The orientation is applied as browsers
 * do, transparency is laid over white, grey, CMYK and 16-bit are converted, and of an animation the
 * first frame is taken. Throws `bad-data`, naming `where`, for anything that is not such an image
 * and for one that is truncated or corrupt, even where some pixels could be read.
 */
export async function decode(bytes: Uint8Array, where: string): Promise<Image> {
  const encoded = await openImage(bytes, where);
  if (encoded.memory() >= largePicture) await collectGarbage(); // the one before it
  return encoded.decode();
}

/** Bytes of memory from which on a picture is decoded only after that of others was collected. */
const largePicture = 32 * 2 ** 20;

/** Scans that a JPEG may have, and pixels in all of them: programs write up to about twenty scans. */
const mostScans = (width: number, height: number): number => Math.min(100, Math.floor(2 ** 31 / (width * height)));

function openJpeg(bytes: Uint8Array, where: string): EncodedImage {
  const structure = readJpeg(bytes);
  if (structure.kind === 'other') throw unsupported('JPEG', where, structure.reason);
  if (structure.kind !== 'common') throw undecodable('JPEG', where, structure.reason);
  const { file } = structure;
  const { width, height, scans, components, progressive, orientation } = file;
  const hasOtherColours = file.profile && components !== 4;
  assertDecodable({ width, height, whole: false }, 'JPEG', where);
  if (scans > mostScans(width, height))
    throw undecodable(
      'JPEG',
      where,
      `${scans} scans of ${width} x ${height} pixels, more than the ${mostScans(width, height)} that are decoded`,
    );
  return {
    width,
    height,
    divisor: (short) => (hasOtherColours ? 1 : divisorFor(file, short)),
    memory(divisor = 1) {
      const results = orientation === 1 && !hasOtherColours ? 1 : 2;
      const coefficients = progressive ? 2 * components : 0;
      return width * height * ((3 * results) / divisor ** 2 + coefficients);
    },
    async decode(divisor = 1) {
      if (hasOtherColours) {
        const damage = damageOf(bytes, file);
        if (damage !== undefined) throw undecodable('JPEG', where, damage);
      } else {
        const outcome = decodeJpeg(bytes, file, divisor);
        if (outcome !== undefined && 'damage' in outcome) throw undecodable('JPEG', where, outcome.damage);
        if (outcome !== undefined) return outcome.image;
      }
      return orient(await decodeByCodec(bytes, 'JPEG', where), orientation);
    },
  };
}

/** A HEIC picture, in sRGB. */
async function decodeInSrgb(bytes: Uint8Array, where: string): Promise<Image> {
  const profile = profileOf(bytes),
    damage = heicDamage(bytes);
  if (damage !== undefined) throw undecodable('HEIC', where, damage);
  try {
    const image = await decodeHeic(bytes);
    return profile === undefined ? image : await decodeByCodec(tiffOf(image, profile), 'HEIC', where);
  } catch (error) {
    throw error instanceof HeicProblem
      ? new PupilError('bad-data', `${where}: ${error.message}`, { cause: error })
      : error;
  }
}

function openBmp(bytes: Uint8Array, where: string): EncodedImage {
  const explained = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof BmpProblem)) throw error;
      throw (error.isUnsupported ? unsupported : undecodable)('BMP', where, error.message);
    }
  };
  const { width, height } = explained(() => readBmpHeader(bytes));
  assertDecodable({ width, height, whole: false }, 'BMP', where);
  return {
    width,
    height,
    divisor: () => 1,
    memory: () => width * height * 3,
    decode: () => Promise.resolve().then(() => explained(() => decodeBmp(bytes))),
  };
}

function divisorFor({ width, height }: JpegFile, short: number): Divisor {
  const times = Math.min(width, height) / short;
  return times >= 16 ? 8 : times >= 8 ? 4 : times >= 4 ? 2 : 1;
}

const undecodable = (format: string, where: string, reason: string, cause?: unknown): PupilError =>
  new PupilError('bad-data', `${where}: cannot be decoded as ${format} (${reason}); repair or remove the file`, {
    cause,
  });

/** Nothing is wrong with the file. */
const unsupported = (format: string, where: string, reason: string): PupilError =>
  new PupilError('bad-data', `${where}: a ${format} with ${reason} is not supported; convert it to PNG`);

/** The width and height by the codec, of files whose header is not understood here. */
async function headerByCodec(
  bytes: Uint8Array,
  format: string,
  where: string,
): Promise<Size & { readonly orientation: number; readonly whole: boolean }> {
  const sharp = await loadCodec();
  try {
    const { width, height } = await sharp(bytes, { limitInputPixels: false }).metadata();
    return { width, height, orientation: 1, whole: false };
  } catch (error) {
    throw undecodable(format, where, reasonOf(error), error);
  }
}

/** Seconds that the codec may take for one picture. */
const mostSeconds = 300;

async function decodeByCodec(bytes: Uint8Array, format: string, where: string): Promise<Image> {
  const sharp = await loadCodec();
  try {
    const input = sharp(bytes, { failOn: 'warning', limitInputPixels: maximumPixels }).timeout({
      seconds: mostSeconds,
    });
    const { data, info } = await (format === 'TIFF' ? input.autoOrient() : input)
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    return { width, height, data: threeChannels(data, width * height, channels) };
  } catch (error) {
    throw undecodable(format, where, reasonOf(error), error);
  }
}

/** What the codec says, whichever comes first of what it does at the same time, of data that ends or makes no sense. */
const corrupt = /Warning treated as error due to failOn setting|vipspng: libpng read error/;

/** The codec tells all it tried; its first complaint says what is wrong. */
function reasonOf(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split('\n').map((line) => line.trim());
  return (lines.find((line) => line !== '' && !line.includes('bad seek')) ?? 'unknown error').replace(
    corrupt,
    'truncated or corrupt data',
  );
}

/** Grey (with or without alpha) is repeated, further channels are dropped. */
function threeChannels(data: Uint8Array, pixels: number, channels: number): Uint8Array {
  // Not a Buffer, whose methods differ.
  if (channels === 3) return new Uint8Array(data.buffer, data.byteOffset, data.length);
  const result = allocate(pixels * 3);
  const second = channels >= 3 ? 1 : 0,
    third = channels >= 3 ? 2 : 0;
  for (let i = 0, from = 0, to = 0; i < pixels; i++, from += channels, to += 3) {
    result[to] = data[from]!;
    result[to + 1] = data[from + second]!;
    result[to + 2] = data[from + third]!;
  }
  return result;
}

/** The image as a PNG file. */
export async function encodePng(image: Image): Promise<Uint8Array> {
  const sharp = await loadCodec();
  return sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } })
    .png()
    .toBuffer();
}
