import { loadCodec } from './decode.js';
import type { Image } from './image.js';

/**
 * A small picture of an image as a data URI, its long side at most `size` pixels: JPEG, or PNG for
 * images that are tiny anyway (enlarge those without smoothing).
 */
export async function thumbnail(image: Image, size: number): Promise<string> {
  const { width, height, data } = image;
  const sharp = await loadCodec();
  const input = sharp(data, { raw: { width, height, channels: 3 } });
  if (Math.max(width, height) <= 64)
    return `data:image/png;base64,${(await input.png().toBuffer()).toString('base64')}`;
  return `data:image/jpeg;base64,${Buffer.from(await encodeJpeg(image, size)).toString('base64')}`;
}

/** The image as a JPEG file of high quality. */
export async function encodePhoto({ width, height, data }: Image): Promise<Uint8Array> {
  const sharp = await loadCodec();
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 95, chromaSubsampling: '4:4:4' })
    .toBuffer();
}

/** The image as a JPEG file, its long side at most `size` pixels. */
export async function encodeJpeg({ width, height, data }: Image, size: number): Promise<Uint8Array> {
  const sharp = await loadCodec();
  return sharp(data, { raw: { width, height, channels: 3 } })
    .resize(size, size, { fit: 'inside', withoutEnlargement: true })
    .jpeg({ quality: 72, mozjpeg: true })
    .toBuffer();
}
