import type { Preprocessing } from '../data/preprocessing.js';

/**
 * Pixels uint8 [count, H, W, 3] as a file for the hub takes them: float32 [count, 3, H, W], (x / 255 - mean) /
 * std by channel.
 */
export function pixelValues(
  pixels: Uint8Array,
  { size: [height, width], mean, std }: Pick<Preprocessing, 'size' | 'mean' | 'std'>,
): Float32Array {
  const values = new Float32Array(pixels.length),
    area = height * width;
  for (let image = 0; image < pixels.length; image += 3 * area)
    for (let c = 0; c < 3; c++)
      for (let i = 0; i < area; i++)
        values[image + c * area + i] = (pixels[image + 3 * i + c]! / 255 - mean[c]!) / std[c]!;
  return values;
}
