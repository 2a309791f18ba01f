/** Reading an image between its pixels: what the geometric kernels share. Coordinates have pixel centres at halves. */
import type { Colour, Image } from './image.js';

/** How a pixel is read at a fractional place: the nearest one, 2x2 (linear) or 4x4 (cubic, Keys 1981 with a = -1, as Pillow's `transform`). */
export type Sampling = 'nearest' | 'bilinear' | 'bicubic';

/** Writes `fill` over the pixels that take the bytes [start, end). */
export function paint(data: Uint8Array, start: number, end: number, [red, green, blue]: Colour): void {
  if (start >= end) return;
  if (red === green && green === blue) {
    data.fill(red, start, end);
    return;
  }
  for (let i = start; i < end; i += 3) {
    data[i] = red; data[i + 1] = green; data[i + 2] = blue;
  }
}

/**
 * Source coordinates (xs[i], ys[i]) for i in [from, to), all inside the image, sampled into `result` from pixel `start + from` on.
 * In doubles and truncated, as Pillow computes it.
 */
type Sampler = (image: Image, xs: Float64Array, ys: Float64Array, from: number, to: number, result: Uint8Array, start: number) => void;

const nearest: Sampler = ({ width, data }, xs, ys, from, to, result, start) => {
  for (let i = from, to3 = (start + from) * 3; i < to; i++, to3 += 3) {
    const at = ((ys[i]! | 0) * width + (xs[i]! | 0)) * 3;
    result[to3] = data[at]!; result[to3 + 1] = data[at + 1]!; result[to3 + 2] = data[at + 2]!;
  }
};

const bilinear: Sampler = ({ width, height, data }, xs, ys, from, to, result, start) => {
  const line = width * 3, lastX = width - 1, lastY = height - 1;
  for (let i = from, at = (start + from) * 3; i < to; i++, at += 3) {
    const x = xs[i]! - 0.5, y = ys[i]! - 0.5;
    const floorX = Math.floor(x), floorY = Math.floor(y);
    const wx = x - floorX, wy = y - floorY;
    const left = floorX | 0, top = floorY | 0;
    // Half a pixel around the image repeats its edge.
    const p = (top < 0 ? 0 : top) * line + (left < 0 ? 0 : left) * 3;
    const right = left >= 0 && left < lastX ? 3 : 0;
    const q = top >= 0 && top < lastY ? p + line : p;
    const red = data[p]!, green = data[p + 1]!, blue = data[p + 2]!;
    const red2 = data[q]!, green2 = data[q + 1]!, blue2 = data[q + 2]!;
    const aboveRed = red + (data[p + right]! - red) * wx, belowRed = red2 + (data[q + right]! - red2) * wx;
    const aboveGreen = green + (data[p + right + 1]! - green) * wx, belowGreen = green2 + (data[q + right + 1]! - green2) * wx;
    const aboveBlue = blue + (data[p + right + 2]! - blue) * wx, belowBlue = blue2 + (data[q + right + 2]! - blue2) * wx;
    result[at] = aboveRed + (belowRed - aboveRed) * wy;
    result[at + 1] = aboveGreen + (belowGreen - aboveGreen) * wy;
    result[at + 2] = aboveBlue + (belowBlue - aboveBlue) * wy;
  }
};

/** The cubic through b and c, with the slopes of its neighbours a and d, at t in [0, 1]. */
const cubic = (a: number, b: number, c: number, d: number, t: number): number =>
  b + t * (c - a + t * (2 * (a - b) + c - d + t * (b - a - c + d)));

const bicubic: Sampler = ({ width, height, data }, xs, ys, from, to, result, start) => {
  const line = width * 3, lastX = width - 1, lastY = height - 1;
  for (let i = from, at = (start + from) * 3; i < to; i++, at += 3) {
    const x = xs[i]! - 0.5, y = ys[i]! - 0.5;
    const floorX = Math.floor(x), floorY = Math.floor(y);
    const wx = x - floorX, wy = y - floorY;
    const left = floorX | 0, top = floorY | 0;
    const x0 = (left < 1 ? 0 : left - 1) * 3, x1 = (left < 0 ? 0 : left) * 3;
    const x2 = (left < lastX ? left + 1 : lastX) * 3, x3 = (left + 1 < lastX ? left + 2 : lastX) * 3;
    let p0 = (top < 1 ? 0 : top - 1) * line, p1 = (top < 0 ? 0 : top) * line;
    let p2 = (top < lastY ? top + 1 : lastY) * line, p3 = (top + 1 < lastY ? top + 2 : lastY) * line;
    for (let k = 0; k < 3; k++, p0++, p1++, p2++, p3++) {
      const value = cubic(
        cubic(data[p0 + x0]!, data[p0 + x1]!, data[p0 + x2]!, data[p0 + x3]!, wx),
        cubic(data[p1 + x0]!, data[p1 + x1]!, data[p1 + x2]!, data[p1 + x3]!, wx),
        cubic(data[p2 + x0]!, data[p2 + x1]!, data[p2 + x2]!, data[p2 + x3]!, wx),
        cubic(data[p3 + x0]!, data[p3 + x1]!, data[p3 + x2]!, data[p3 + x3]!, wx),
        wy,
      );
      result[at + k] = value <= 0 ? 0 : value >= 255 ? 255 : value;
    }
  }
};

export const samplers: Readonly<Record<Sampling, Sampler>> = { nearest, bilinear, bicubic };

let rowX = new Float64Array(0), rowY = new Float64Array(0);

/** Two arrays of at least `length` numbers, the same ones every time: for the coordinates of one row. */
export function coordinateRows(length: number): readonly [xs: Float64Array, ys: Float64Array] {
  if (rowX.length < length) {
    rowX = new Float64Array(length);
    rowY = new Float64Array(length);
  }
  return [rowX, rowY];
}
