import type { Random } from '../random.js';
import { allocate } from './buffers.js';
import type { Box, Colour, Image } from './image.js';
import { paint } from './sampling.js';

/**
 * Normal noise in bytes: middle and standard deviation. An ImageNet pixel, normalised, has about
 * these.
 */
const middle = 128,
  deviation = 64;
/** Levels of probability in the table: 10 bits, three channels of one random word. */
const levels = 1024;

let quantiles: Uint8Array | undefined;

/**
 * Bytes of which `levels` equally likely ones follow the clipped normal distribution: the smallest
 * v with P(byte <= v) >= (i + 1/2) / levels.
 */
function normalQuantiles(): Uint8Array {
  if (quantiles !== undefined) return quantiles;
  quantiles = new Uint8Array(levels);
  let value = 0;
  for (let i = 0; i < levels; i++) {
    while (value < 255 && normalBelow((value + 0.5 - middle) / deviation) < (i + 0.5) / levels) value++;
    quantiles[i] = value;
  }
  return quantiles;
}

/**
 * The share of a standard normal distribution below x, to 1e-7 (Abramowitz and Stegun 1964,
 * 26.2.17).
 */
function normalBelow(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const tail =
    (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return x < 0 ? tail : 1 - tail;
}

/**
 * The image with a rectangle (whole pixels, cut at the edges) of one colour or of noise: each byte
 * of its own, normal around 128 with standard deviation 64, clipped (random erasing, Zhong et al.
 * 2017; noise a pixel, as timm's mode `pixel` fills normalised images with N(0, 1)). One random
 * word a pixel. The same image where the rectangle is empty.
 */
export function erase(image: Image, box: Box, fill: Colour | { readonly noise: Random }): Image {
  const { width, height } = image;
  const left = Math.max(0, Math.round(box.left)),
    right = Math.min(width, Math.round(box.left + box.width));
  const top = Math.max(0, Math.round(box.top)),
    bottom = Math.min(height, Math.round(box.top + box.height));
  if (!(left < right && top < bottom)) return image;
  const data = allocate(width * height * 3);
  data.set(image.data);
  const table = normalQuantiles();
  for (let y = top; y < bottom; y++) {
    const start = (y * width + left) * 3,
      end = (y * width + right) * 3;
    if (!('noise' in fill)) {
      paint(data, start, end, fill);
      continue;
    }
    for (let i = start; i < end; i += 3) {
      const bits = fill.noise.uint32();
      data[i] = table[bits & 1023]!;
      data[i + 1] = table[(bits >>> 10) & 1023]!;
      data[i + 2] = table[(bits >>> 20) & 1023]!;
    }
  }
  return { width, height, data };
}
