import type { Image } from './image.js';

export type Sampling = 'nearest' | 'bilinear';

/** Output to source coordinates: x' = a x + b y + c, y' = d x + e y + f, in pixels, pixel centres at halves. */
export type AffineMatrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/**
 * An affine map of the image onto its own size; what comes from outside is `fill`. The same geometry as Pillow's
 * `Image.transform(size, AFFINE, matrix)`: no antialias, edges repeated for half a pixel.
 */
export function affine(
  image: Image, matrix: AffineMatrix, sampling: Sampling = 'bilinear', fill: readonly [number, number, number] = [0, 0, 0],
): Image {
  const { width, height, data } = image;
  const [a, b, c, d, e, f] = matrix;
  const result = new Uint8Array(width * height * 3);
  const [red, green, blue] = fill;
  const line = width * 3;
  for (let y = 0, to = 0; y < height; y++) {
    const startX = b * (y + 0.5) + c, startY = e * (y + 0.5) + f;
    for (let x = 0; x < width; x++, to += 3) {
      const sourceX = a * (x + 0.5) + startX, sourceY = d * (x + 0.5) + startY;
      if (!(sourceX >= 0 && sourceX < width && sourceY >= 0 && sourceY < height)) {
        result[to] = red; result[to + 1] = green; result[to + 2] = blue;
        continue;
      }
      if (sampling === 'nearest') {
        const from = (sourceY | 0) * line + (sourceX | 0) * 3;
        result[to] = data[from]!; result[to + 1] = data[from + 1]!; result[to + 2] = data[from + 2]!;
        continue;
      }
      const left = Math.floor(sourceX - 0.5), top = Math.floor(sourceY - 0.5);
      const wx = sourceX - 0.5 - left, wy = sourceY - 0.5 - top;
      const x0 = left < 0 ? 0 : left, x1 = left + 1 < width ? left + 1 : width - 1;
      const y0 = top < 0 ? 0 : top, y1 = top + 1 < height ? top + 1 : height - 1;
      const p00 = y0 * line + x0 * 3, p01 = y0 * line + x1 * 3, p10 = y1 * line + x0 * 3, p11 = y1 * line + x1 * 3;
      for (let k = 0; k < 3; k++) {
        const above = data[p00 + k]! + (data[p01 + k]! - data[p00 + k]!) * wx;
        const below = data[p10 + k]! + (data[p11 + k]! - data[p10 + k]!) * wx;
        result[to + k] = above + (below - above) * wy; // truncated, as Pillow does
      }
    }
  }
  return { width, height, data: result };
}

export interface AffineParameters {
  /** Degrees. */
  readonly angle?: number;
  /** Pixels to the right and down. */
  readonly translate?: readonly [x: number, y: number];
  readonly scale?: number;
  /** Degrees along x and y. */
  readonly shear?: readonly [x: number, y: number];
  readonly centre?: readonly [x: number, y: number];
}
