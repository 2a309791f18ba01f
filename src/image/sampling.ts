/**
 * Reading an image between its pixels: what the geometric kernels share. Coordinates have pixel
 * centres at halves.
 */
import type { Colour, Image } from './image.js';

/**
 * How a pixel is read at a fractional place: the nearest one, 2x2 (linear) or 4x4 (cubic, Keys 1981
 * with a = -1, as Pillow's `transform`).
 */
export type Sampling = 'nearest' | 'bilinear' | 'bicubic';

/** Writes `fill` over the pixels that take the bytes [start, end). */
export function paint(data: Uint8Array, start: number, end: number, [red, green, blue]: Colour): void {
  if (start >= end) return;
  if (red === green && green === blue) {
    data.fill(red, start, end);
    return;
  }
  for (let i = start; i < end; i += 3) {
    data[i] = red;
    data[i + 1] = green;
    data[i + 2] = blue;
  }
}

/** For reading and writing whole words, little end first. */
export const viewOf = (data: Uint8Array): DataView => new DataView(data.buffer, data.byteOffset, data.length);

/** An image to read from, and the same bytes for reading words. */
export interface Source extends Image {
  readonly view: DataView;
}

export const sourceOf = ({ width, height, data }: Image): Source => ({ width, height, data, view: viewOf(data) });

/** Where the pixels of one output row are read: (xs[i], ys[i]) in the source. */
export interface Coordinates {
  readonly xs: Float64Array;
  readonly ys: Float64Array;
}

/**
 * Pixels [from, to) of an output row, whose coordinates are all inside the image, sampled into
 * `result` from pixel `start + from` on. In doubles and truncated, as Pillow computes it.
 */
type Sampler = (
  source: Source,
  coordinates: Coordinates,
  [from, to]: readonly [from: number, to: number],
  result: Uint8Array,
  start: number,
) => void;

const nearest: Sampler = ({ width, data }, { xs, ys }, [from, to], result, start) => {
  for (let i = from, to3 = (start + from) * 3; i < to; i++, to3 += 3) {
    const at = ((ys[i]! | 0) * width + (xs[i]! | 0)) * 3;
    result[to3] = data[at]!;
    result[to3 + 1] = data[at + 1]!;
    result[to3 + 2] = data[at + 2]!;
  }
};

const bilinear: Sampler = (source, { xs, ys }, [from, to], result, start) => {
  const { width, height, view } = source;
  const line = width * 3,
    lastX = width - 1,
    lastY = height - 1;
  for (let i = from, at = (start + from) * 3; i < to; i++, at += 3) {
    const x = xs[i]! - 0.5,
      y = ys[i]! - 0.5;
    if (!(x >= 0 && x < lastX && y >= 0 && y < lastY)) {
      bilinearAtEdge(source, x, y, result, at);
      continue;
    }
    const left = x | 0,
      top = y | 0;
    const wx = x - left,
      wy = y - top;
    const p = (top * line + left * 3) | 0,
      q = (p + line) | 0;
    // Two words hold the two pixels of a row: red, green, blue, red and blue, red, green, blue.
    const above = view.getInt32(p, true),
      above2 = view.getInt32(p + 2, true);
    const below = view.getInt32(q, true),
      below2 = view.getInt32(q + 2, true);
    const red = above & 255,
      green = (above >> 8) & 255,
      blue = above2 & 255;
    const redBelow = below & 255,
      greenBelow = (below >> 8) & 255,
      blueBelow = below2 & 255;
    const aboveRed = red + (((above >>> 24) - red) | 0) * wx;
    const aboveGreen = green + ((((above2 >> 16) & 255) - green) | 0) * wx;
    const aboveBlue = blue + (((above2 >>> 24) - blue) | 0) * wx;
    const belowRed = redBelow + (((below >>> 24) - redBelow) | 0) * wx;
    const belowGreen = greenBelow + ((((below2 >> 16) & 255) - greenBelow) | 0) * wx;
    const belowBlue = blueBelow + (((below2 >>> 24) - blueBelow) | 0) * wx;
    result[at] = (aboveRed + (belowRed - aboveRed) * wy) | 0;
    result[at + 1] = (aboveGreen + (belowGreen - aboveGreen) * wy) | 0;
    result[at + 2] = (aboveBlue + (belowBlue - aboveBlue) * wy) | 0;
  }
};

/** One pixel within half a pixel of the edge, which is repeated outwards. */
function bilinearAtEdge({ width, height, data }: Image, x: number, y: number, result: Uint8Array, at: number): void {
  const left = Math.floor(x),
    top = Math.floor(y);
  const x0 = Math.max(left, 0) * 3,
    x1 = Math.min(left + 1, width - 1) * 3;
  const y0 = Math.max(top, 0) * width * 3,
    y1 = Math.min(top + 1, height - 1) * width * 3;
  for (let k = 0; k < 3; k++) {
    const above = data[y0 + x0 + k]! + (data[y0 + x1 + k]! - data[y0 + x0 + k]!) * (x - left);
    const below = data[y1 + x0 + k]! + (data[y1 + x1 + k]! - data[y1 + x0 + k]!) * (x - left);
    result[at + k] = above + (below - above) * (y - top);
  }
}

/** The cubic through b and c, with the slopes of its neighbours a and d, at t in [0, 1]. */
const cubic = (a: number, b: number, c: number, d: number, t: number): number =>
  b + t * (c - a + t * (2 * (a - b) + c - d + t * (b - a - c + d)));

const bicubic: Sampler = ({ width, height, data }, { xs, ys }, [from, to], result, start) => {
  const line = width * 3,
    lastX = width - 1,
    lastY = height - 1;
  for (let i = from, at = (start + from) * 3; i < to; i++, at += 3) {
    const x = xs[i]! - 0.5,
      y = ys[i]! - 0.5;
    const floorX = Math.floor(x),
      floorY = Math.floor(y);
    const wx = x - floorX,
      wy = y - floorY;
    const left = floorX | 0,
      top = floorY | 0;
    const x0 = (left < 1 ? 0 : left - 1) * 3,
      x1 = (left < 0 ? 0 : left) * 3;
    const x2 = (left < lastX ? left + 1 : lastX) * 3,
      x3 = (left + 1 < lastX ? left + 2 : lastX) * 3;
    let p0 = (top < 1 ? 0 : top - 1) * line,
      p1 = (top < 0 ? 0 : top) * line;
    let p2 = (top < lastY ? top + 1 : lastY) * line,
      p3 = (top + 1 < lastY ? top + 2 : lastY) * line;
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

let row: Coordinates = { xs: new Float64Array(0), ys: new Float64Array(0) };

/** Room for the coordinates of `length` pixels or more, the same every time. */
export function coordinateRow(length: number): Coordinates {
  if (row.xs.length < length) row = { xs: new Float64Array(length), ys: new Float64Array(length) };
  return row;
}
