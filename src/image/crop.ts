import { invariant } from '../errors.js';
import { allocate } from './buffers.js';
import { transformed } from './compiled.js';
import type { Box, Colour, Image } from './image.js';
import { paint, viewOf } from './sampling.js';

/**
 * The pixels in the box; what lies outside the image is filled with `fill`. Whole pixels. Always a
 * new image.
 */
export function crop(image: Image, { left, top, width, height }: Box, fill: Colour = [0, 0, 0]): Image {
  invariant(width >= 1 && height >= 1, `crop: impossible size ${width}x${height}`);
  const data = allocate(width * height * 3);
  const fromX = Math.max(0, left),
    toX = Math.min(image.width, left + width);
  const fromY = Math.max(0, top),
    toY = Math.min(image.height, top + height);
  if (fromX >= toX || fromY >= toY) {
    paint(data, 0, data.length, fill);
    return { width, height, data };
  }
  const line = width * 3,
    before = (fromX - left) * 3,
    length = (toX - fromX) * 3;
  paint(data, 0, (fromY - top) * line, fill);
  paint(data, (toY - top) * line, data.length, fill);
  if (length === line && width === image.width) {
    data.set(image.data.subarray(fromY * line, toY * line), (fromY - top) * line);
    return { width, height, data };
  }
  for (let y = fromY; y < toY; y++) {
    const from = (y * image.width + fromX) * 3,
      to = (y - top) * line;
    paint(data, to, to + before, fill);
    data.set(image.data.subarray(from, from + length), to + before);
    paint(data, to + before + length, to + line, fill);
  }
  return { width, height, data };
}

/** Halves go to the even neighbour, as in Python, so that centre crops equal torchvision's. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor & 1) : Math.round(x);
}

/**
 * The central width x height pixels (torchvision's `CenterCrop`); a smaller image is padded with
 * black on all sides.
 */
export function centreCrop(image: Image, width: number, height: number): Image {
  const padLeft = Math.max(0, Math.floor((width - image.width) / 2));
  const padTop = Math.max(0, Math.floor((height - image.height) / 2));
  const left = width > image.width ? -padLeft : roundHalfEven((image.width - width) / 2);
  const top = height > image.height ? -padTop : roundHalfEven((image.height - height) / 2);
  return crop(image, { left, top, width, height });
}

/**
 * `count` pixels of `source` backwards from byte `from`, to `result` (as long) from byte `to` on.
 */
function reverse(source: Uint8Array, from: number, result: Uint8Array, to: number, count: number): void {
  const end = to + count * 3,
    last = source.length - 4;
  // One word a pixel, half the time of three bytes: the fourth byte is overwritten by the next
  // pixel. It does not fit at the very end.
  const reading = viewOf(source),
    writing = viewOf(result);
  for (; to < end && from > last; to += 3, from -= 3) copyPixel(source, from, result, to);
  for (const stop = Math.min(end, last + 1); to < stop; to += 3, from -= 3)
    writing.setInt32(to, reading.getInt32(from, true), true);
  for (; to < end; to += 3, from -= 3) copyPixel(source, from, result, to);
}

function copyPixel(source: Uint8Array, from: number, result: Uint8Array, to: number): void {
  result[to] = source[from]!;
  result[to + 1] = source[from + 1]!;
  result[to + 2] = source[from + 2]!;
}

/** Mirrored left to right. */
export function flipHorizontal({ width, height, data }: Image): Image {
  const fast = transformed(data, 0, (kernels, from, to) => kernels.mirror(from, to, width, height));
  if (fast !== undefined) return { width, height, data: fast };
  const result = allocate(data.length);
  const line = width * 3;
  for (let start = 0; start < data.length; start += line) reverse(data, start + line - 3, result, start, width);
  return { width, height, data: result };
}

/** Mirrored top to bottom. */
export function flipVertical({ width, height, data }: Image): Image {
  const result = allocate(data.length);
  const line = width * 3;
  for (let from = 0, to = data.length - line; to >= 0; from += line, to -= line)
    result.set(data.subarray(from, from + line), to);
  return { width, height, data: result };
}

/** Turned by 180 degrees. */
export function rotateHalfTurn({ width, height, data }: Image): Image {
  const result = allocate(data.length);
  reverse(data, data.length - 3, result, 0, width * height);
  return { width, height, data: result };
}

/** Turned by 90 degrees, counter-clockwise or clockwise: width and height change places. */
export function rotateQuarterTurn({ width, height, data }: Image, counterClockwise: boolean): Image {
  const result = allocate(data.length);
  // Output row y is source column y (clockwise, read upwards) or width - 1 - y (counter-clockwise,
  // read downwards).
  const step = (counterClockwise ? width : -width) * 3;
  let i = 0;
  for (let y = 0; y < width; y++) {
    let p = (counterClockwise ? width - 1 - y : (height - 1) * width + y) * 3;
    for (let x = 0; x < height; x++, i += 3, p += step) copyPixel(data, p, result, i);
  }
  return { width: height, height: width, data: result };
}
