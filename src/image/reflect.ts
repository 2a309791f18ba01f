import { allocate } from './buffers.js';
import type { Box, Image } from './image.js';

/**
 * Where each of `length` positions from `start` on lies in [0, size): mirrored at the first and
 * last pixel, which are not repeated.
 */
function mirrored(start: number, length: number, size: number): Int32Array {
  const period = Math.max(1, 2 * (size - 1));
  return Int32Array.from({ length }, (_, i) => {
    const position = (((start + i) % period) + period) % period;
    return position < size ? position : period - position;
  });
}

/**
 * The pixels in the box, whole ones; outside, the image is continued by reflection (numpy's and
 * torchvision's padding mode `reflect`), as often as it takes. Always a new image.
 */
export function cropReflected(image: Image, { left, top, width, height }: Box): Image {
  const source = image.data;
  const data = allocate(width * height * 3);
  const columns = mirrored(left, width, image.width),
    rows = mirrored(top, height, image.height);
  let to = 0;
  for (let y = 0; y < height; y++) {
    const line = rows[y]! * image.width;
    for (let x = 0; x < width; x++) {
      let from = (line + columns[x]!) * 3;
      data[to++] = source[from++]!;
      data[to++] = source[from++]!;
      data[to++] = source[from]!;
    }
  }
  return { width, height, data };
}
