import { createHash } from 'node:crypto';
import type { Image } from '../image/image.js';

/** What is kept of an image to find it again under other bytes. */
export interface Fingerprint {
  /** Of its size and pixels: the same where only the file differs. First 128 bits of SHA-256, hexadecimal. */
  readonly pixels: string;
  /**
   * 256 bits, hexadecimal, that change little when it is resized, recompressed or cropped; '' where there
   * is little to see.
   */
  readonly look: string;
}

/** Short side of the pixels that fingerprints are made of, where a file can be decoded smaller. */
export const fingerprintShort = 256;

/** Cells in each direction in which brightness is averaged, and cosine frequencies that are kept. */
const cells = 32,
  frequencies = 16;
/** Brightness, of 255, by which cells have to differ (standard deviation). */
const leastContrast = 4;

const cosines = Float64Array.from({ length: frequencies * cells }, (_, i) =>
  Math.cos((Math.PI * ((i % cells) + 0.5) * Math.floor(i / cells)) / cells),
);

export const fingerprint = (image: Image): Fingerprint => ({
  pixels: createHash('sha256').update(`${image.width} ${image.height} `).update(image.data).digest('hex').slice(0, 32),
  look: lookOf(image),
});

/**
 * The signs of the lowest 16 x 16 frequencies of the brightness (a discrete cosine transform), the
 * lowest ones first: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.
 */
function lookOf(image: Image): string {
  if (Math.min(image.width, image.height) < cells) return '';
  const grey = brightness(image);
  const mean = grey.reduce((sum, value) => sum + value, 0) / grey.length;
  const variance = grey.reduce((sum, value) => sum + (value - mean) ** 2, 0) / grey.length;
  if (variance < leastContrast ** 2) return '';
  const rows = new Float64Array(cells * frequencies);
  for (let y = 0; y < cells; y++)
    for (let k = 0; k < frequencies; k++) {
      let sum = 0;
      for (let x = 0; x < cells; x++) sum += grey[y * cells + x]! * cosines[k * cells + x]!;
      rows[y * frequencies + k] = sum;
    }
  const bytes = new Uint8Array(32);
  for (const [bit, place] of order.entries()) {
    const k = place % frequencies,
      j = Math.floor(place / frequencies);
    let sum = 0;
    for (let y = 0; y < cells; y++) sum += rows[y * frequencies + k]! * cosines[j * cells + y]!;
    if (place > 0 && sum > 0) bytes[bit >> 3]! |= 1 << (bit & 7);
  }
  return Buffer.from(bytes).toString('hex');
}

/** Places of the frequencies, the lowest first. */
const order = Array.from({ length: frequencies ** 2 }, (_, place) => place).sort((a, b) => {
  const height = (place: number): number => (place % frequencies) + Math.floor(place / frequencies);
  return height(a) - height(b) || a - b;
});

/** The mean brightness of each cell, 0 to 255, from at most 16 x 16 pixels of it. */
function brightness({ width, height, data }: Image): Float64Array {
  const result = new Float64Array(cells * cells);
  for (let row = 0; row < cells; row++) {
    const top = Math.floor((row * height) / cells),
      bottom = Math.floor(((row + 1) * height) / cells);
    const stepY = Math.ceil((bottom - top) / 16);
    for (let column = 0; column < cells; column++) {
      const left = Math.floor((column * width) / cells),
        right = Math.floor(((column + 1) * width) / cells);
      const stepX = Math.ceil((right - left) / 16);
      let sum = 0,
        count = 0;
      for (let y = top; y < bottom; y += stepY)
        for (let x = left; x < right; x += stepX, count++) {
          const at = (y * width + x) * 3;
          sum += 0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!;
        }
      result[row * cells + column] = sum / count;
    }
  }
  return result;
}
