import { invariant } from '../errors.js';
import { allocate } from './buffers.js';
import { transformed } from './compiled.js';
import { rotateHalfTurn, rotateQuarterTurn } from './crop.js';
import type { Colour, Image, Size } from './image.js';
import { coordinateRow, paint, samplers, sourceOf, type Sampling } from './sampling.js';

export type { Sampling } from './sampling.js';

/**
 * Output to source coordinates: x' = a x + b y + c, y' = d x + e y + f, in pixels, pixel centres at
 * halves.
 */
export type AffineMatrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

const black: Colour = [0, 0, 0];

/**
 * An affine map of the image onto its own size; what comes from outside is `fill`. No antialias,
 * edges repeated for half a pixel. Equal, byte for byte, to Pillow's `Image.transform(size, AFFINE,
 * matrix, sampling, fillcolor)`, whose three ways of finding the nearest pixel are followed: tables
 * per axis without rotation and shear, else 16.16 fixed point, else (beyond 32,767 pixels) doubles.
 */
export function affine(
  image: Image,
  matrix: AffineMatrix,
  sampling: Sampling = 'bilinear',
  fill: Colour = black,
): Image {
  const { width, height } = image;
  const [a, b, c, d, e, f] = matrix;
  invariant(matrix.every(Number.isFinite), `affine: matrix ${matrix.join(', ')}`);
  const upright = b === 0 && d === 0;
  if (sampling === 'nearest' && !upright && fitsFixed(matrix, width, height)) {
    const fast = transformed(image.data, 0, (kernels, from, to) =>
      kernels.nearest(
        from,
        to,
        width,
        height,
        fixedPoint(c + a * 0.5 + b * 0.5),
        fixedPoint(f + d * 0.5 + e * 0.5),
        fixedPoint(a),
        fixedPoint(d),
        fixedPoint(b),
        fixedPoint(e),
        fill[0] | (fill[1] << 8) | (fill[2] << 16) | (fill[0] << 24),
      ),
    );
    if (fast !== undefined) return { width, height, data: fast };
  }
  const data = allocate(width * height * 3);
  // Shifts by whole pixels read whole pixels, however they are sampled.
  if (upright && (sampling === 'nearest' || (a === 1 && e === 1 && Number.isInteger(c) && Number.isInteger(f)))) {
    nearestByAxis(image, matrix, fill, data);
  } else if (sampling === 'nearest' && fitsFixed(matrix, width, height)) {
    nearestFixed(image, matrix, fill, data);
  } else {
    const coordinates = coordinateRow(width);
    const { xs, ys } = coordinates;
    const sample = samplers[sampling],
      source = sourceOf(image);
    let startX = c + b * 0.5 + a * 0.5,
      startY = f + e * 0.5 + d * 0.5;
    for (let y = 0, start = 0; y < height; y++, start += width) {
      if (sampling === 'nearest') {
        // Steps are summed up, as Pillow does here.
        let x = startX,
          otherY = startY;
        for (let i = 0; i < width; i++) {
          xs[i] = x;
          ys[i] = otherY;
          x += a;
          otherY += d;
        }
        startX += b;
        startY += e;
      } else {
        const bx = b * (y + 0.5),
          ey = e * (y + 0.5);
        for (let i = 0; i < width; i++) {
          xs[i] = a * (i + 0.5) + bx + c;
          ys[i] = d * (i + 0.5) + ey + f;
        }
      }
      // What is inside lies together, as a line crosses a rectangle once.
      let from = 0,
        to = width;
      while (from < to && !(xs[from]! >= 0 && xs[from]! < width && ys[from]! >= 0 && ys[from]! < height)) from++;
      while (from < to && !(xs[to - 1]! >= 0 && xs[to - 1]! < width && ys[to - 1]! >= 0 && ys[to - 1]! < height)) to--;
      paint(data, start * 3, (start + from) * 3, fill);
      paint(data, (start + to) * 3, (start + width) * 3, fill);
      sample(source, coordinates, [from, to], data, start);
    }
  }
  return { width, height, data };
}

let columns = new Int32Array(0);

/**
 * Nearest pixels under scale and translation: one table of source columns, coordinates summed up in
 * doubles.
 */
function nearestByAxis(
  { width, height, data: source }: Image,
  [a, , c, , e, f]: AffineMatrix,
  fill: Colour,
  result: Uint8Array,
): void {
  if (columns.length < width) columns = new Int32Array(width);
  const table = columns,
    line = width * 3;
  let from = width,
    to = 0;
  let runs = true;
  for (let x = 0, at = c + a * 0.5; x < width; x++, at += a) {
    if (!(at >= 0 && at < width)) continue;
    if (x < from) from = x;
    to = x + 1;
    table[x] = Math.trunc(at) * 3;
    if (table[x] !== table[from]! + (x - from) * 3) runs = false;
  }
  for (let y = 0, start = 0, at = f + e * 0.5; y < height; y++, start += line, at += e) {
    if (from >= to || !(at >= 0 && at < height)) {
      paint(result, start, start + line, fill);
      continue;
    }
    const row = Math.trunc(at) * line;
    paint(result, start, start + from * 3, fill);
    if (runs) result.set(source.subarray(row + table[from]!, row + table[from]! + (to - from) * 3), start + from * 3);
    else {
      for (let x = from, i = start + from * 3; x < to; x++, i += 3) {
        const p = row + table[x]!;
        result[i] = source[p]!;
        result[i + 1] = source[p + 1]!;
        result[i + 2] = source[p + 2]!;
      }
    }
    paint(result, start + to * 3, start + line, fill);
  }
}

const one = 65536;
const fixedPoint = (value: number): number => Math.floor(value * one + 0.5);

/** True where 16 bits hold the source coordinates of the four corners. */
function fitsFixed([a, b, c, d, e, f]: AffineMatrix, width: number, height: number): boolean {
  const fits = (x: number, y: number): boolean =>
    Math.abs(x * a + y * b + c) < 32768 && Math.abs(x * d + y * e + f) < 32768;
  return fits(0, 0) && fits(width, height) && fits(0, height) && fits(width, 0);
}

/** The first i with start + i * step >= 0, within [0, length]; whole numbers, step > 0. */
const firstNotBelow = (start: number, step: number, length: number): number =>
  start >= 0 ? 0 : Math.min(length, Math.ceil(-start / step));

/**
 * Nearest pixels by 16.16 fixed-point steps; the part of each row that is inside is known before
 * its pixels are read.
 */
function nearestFixed(
  { width, height, data: source }: Image,
  [a, b, c, d, e, f]: AffineMatrix,
  fill: Colour,
  result: Uint8Array,
): void {
  const stepX = fixedPoint(a),
    stepY = fixedPoint(d),
    downX = fixedPoint(b),
    downY = fixedPoint(e);
  const limitX = width * one,
    limitY = height * one;
  let startX = fixedPoint(c + a * 0.5 + b * 0.5),
    startY = fixedPoint(f + d * 0.5 + e * 0.5);
  for (let y = 0, start = 0; y < height; y++, start += width * 3, startX += downX, startY += downY) {
    // 0 <= startX + i stepX < limitX and the same along y.
    let from = 0,
      to = width;
    if (stepX > 0) {
      from = firstNotBelow(startX, stepX, width);
      to = firstNotBelow(startX - limitX, stepX, width);
    } else if (stepX < 0) {
      from = firstNotBelow(limitX - 1 - startX, -stepX, width);
      to = firstNotBelow(-1 - startX, -stepX, width);
    } else if (startX < 0 || startX >= limitX) to = 0;
    if (stepY > 0) {
      from = Math.max(from, firstNotBelow(startY, stepY, width));
      to = Math.min(to, firstNotBelow(startY - limitY, stepY, width));
    } else if (stepY < 0) {
      from = Math.max(from, firstNotBelow(limitY - 1 - startY, -stepY, width));
      to = Math.min(to, firstNotBelow(-1 - startY, -stepY, width));
    } else if (startY < 0 || startY >= limitY) to = 0;
    if (from >= to) {
      paint(result, start, start + width * 3, fill);
      continue;
    }
    paint(result, start, start + from * 3, fill);
    let sourceX = (startX + from * stepX) | 0,
      sourceY = (startY + from * stepY) | 0;
    const end = start + to * 3;
    for (let i = start + from * 3; i < end; i += 3) {
      const p = ((sourceY >> 16) * width + (sourceX >> 16)) * 3;
      result[i] = source[p]!;
      result[i + 1] = source[p + 1]!;
      result[i + 2] = source[p + 2]!;
      sourceX = (sourceX + stepX) | 0;
      sourceY = (sourceY + stepY) | 0;
    }
    paint(result, end, start + width * 3, fill);
  }
}

export interface AffineParameters {
  /** Degrees, clockwise. */
  readonly angle?: number;
  /** Pixels to the right and down. */
  readonly translate?: readonly [x: number, y: number];
  /** Above 0; 2 doubles what is seen. */
  readonly scale?: number;
  /** Degrees along x and y. */
  readonly shear?: readonly [x: number, y: number];
  /** What stays in place, pixels from the top left corner; default the middle of the image. */
  readonly centre?: readonly [x: number, y: number];
}

const radians = Math.PI / 180;

/**
 * The output-to-source matrix of T C R(angle) S(scale) H(shear) C^-1 (T translation, C centre):
 * scaled and sheared, turned about the centre, then moved. The same numbers as torchvision's
 * `affine`, so that `affine(image, affineMatrix(...))` gives its pixels.
 */
export function affineMatrix(
  {
    angle = 0,
    translate: [moveX, moveY] = [0, 0],
    scale = 1,
    shear: [shearX, shearY] = [0, 0],
    centre,
  }: AffineParameters,
  { width, height }: Size,
): AffineMatrix {
  invariant(scale > 0, `affineMatrix: scale ${scale} is not above 0`);
  const turn = angle * radians,
    sx = shearX * radians,
    sy = shearY * radians;
  const [centreX, centreY] = centre ?? [width * 0.5, height * 0.5];
  const endX = centreX + moveX,
    endY = centreY + moveY;
  // Forward, without scale: [p q; r s], whose determinant is 1.
  const tangent = Math.tan(sx);
  const p = Math.cos(turn - sy) / Math.cos(sy),
    r = Math.sin(turn - sy) / Math.cos(sy);
  const q = -(p * tangent + Math.sin(turn)),
    s = Math.cos(turn) - r * tangent;
  const a = s / scale,
    b = -q / scale,
    d = -r / scale,
    e = p / scale;
  return [a, b, centreX - a * endX - b * endY, d, e, centreY - d * endX - e * endY];
}

/**
 * Turned about the middle by `degrees`, counter-clockwise; the size stays, corners are filled.
 * Equal to Pillow's `Image.rotate`: half turns, and quarter turns of squares, move whole pixels;
 * the matrix is rounded to 15 decimals. The same image for whole turns.
 */
export function rotate(image: Image, degrees: number, sampling: Sampling = 'bilinear', fill: Colour = black): Image {
  const rest = degrees % 360;
  const angle = rest < 0 ? rest + 360 : rest;
  if (angle === 0) return image;
  if (angle === 180) return rotateHalfTurn(image);
  if ((angle === 90 || angle === 270) && image.width === image.height) return rotateQuarterTurn(image, angle === 90);
  const cos = round15(Math.cos(-(angle * radians))),
    sin = round15(Math.sin(-(angle * radians)));
  const x = image.width / 2,
    y = image.height / 2;
  // Output to source: turned back about the middle.
  return affine(image, [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y], sampling, fill);
}

const round15 = (x: number): number => Number(x.toFixed(15));

/**
 * Moved by (x, y) pixels to the right and down, fractions allowed (torchvision's policies cut them
 * off first); the rest is filled.
 */
export const translate = (
  image: Image,
  x: number,
  y: number,
  sampling: Sampling = 'bilinear',
  fill: Colour = black,
): Image => (x === 0 && y === 0 ? image : affine(image, affineMatrix({ translate: [x, y] }, image), sampling, fill));

/**
 * Slanted along x by the tangent `x` and along y by `y`, the top left corner staying: source x' = x
 * + tangent * y. As the policies of torchvision and AutoAugment (Cubuk et al. 2018) do it, through
 * the angle of the tangent.
 */
export const shear = (
  image: Image,
  x: number,
  y: number,
  sampling: Sampling = 'bilinear',
  fill: Colour = black,
): Image =>
  x === 0 && y === 0
    ? image
    : affine(
        image,
        affineMatrix(
          { shear: [Math.atan(x) * (180 / Math.PI), Math.atan(y) * (180 / Math.PI)], centre: [0, 0] },
          image,
        ),
        sampling,
        fill,
      );
