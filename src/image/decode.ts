/**
 * Files to pixels and back. The only file that imports the codec library; common JPEGs have a
 * faster decoder.
 */
import type sharpModule from 'sharp';
import { PupilError } from '../errors.js';
import { allocate } from './buffers.js';
import { imageFormat } from './format.js';
import type { Image } from './image.js';
import { decodeJpeg } from './jpeg.js';

/** The largest image that is decoded: 2^27 pixels, 384 MiB of RGB. */
export const maximumPixels = 2 ** 27;

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

/**
 * Decodes JPEG, PNG, GIF, WebP, TIFF or AVIF to 8-bit sRGB. EXIF rotation is applied, transparency
 * is laid over white, grey, CMYK and 16-bit are converted, and of an animation the first frame is
 * taken. Throws `bad-data`, naming `where`, for anything that is not such an image and for one that
 * is truncated or corrupt, even where some pixels could be read.
 */
export async function decode(bytes: Uint8Array, where: string): Promise<Image> {
  const format = imageFormat(bytes);
  if (!format.readable) throw new PupilError('bad-data', `${where}: ${format.problem}`);
  const common = format.name === 'JPEG' ? decodeJpeg(bytes, maximumPixels) : undefined;
  if (common !== undefined) return common;
  const sharp = await loadCodec();
  try {
    const { data, info } = await sharp(bytes, { failOn: 'warning', limitInputPixels: maximumPixels })
      .autoOrient()
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    return { width, height, data: threeChannels(data, width * height, channels) };
  } catch (error) {
    // The codec tells all it tried; its first complaint says what is wrong.
    const lines = (error instanceof Error ? error.message : String(error)).split('\n').map((line) => line.trim());
    const reason = (lines.find((line) => line !== '' && !line.includes('bad seek')) ?? 'unknown error').replace(
      'Warning treated as error due to failOn setting',
      'truncated or corrupt data',
    );
    throw new PupilError(
      'bad-data',
      `${where}: cannot be decoded as ${format.name} (${reason}); repair or remove the file`,
      { cause: error },
    );
  }
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
