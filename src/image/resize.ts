import { invariant } from '../errors.js';
import { allocate, release } from './buffers.js';
import { reserve } from './compiled.js';
import type { Box, Image, Size } from './image.js';

export type Interpolation = 'bilinear' | 'bicubic';

/**
 * Bits after the binary point of a filter weight: 8 bits of pixel, 22 of weight and 2 of headroom
 * fill an int32.
 */
const fractionBits = 22;
const half = 1 << (fractionBits - 1);

/** Triangle: 1 - |x| inside [-1, 1]. */
const triangle = (x: number): number => Math.max(0, 1 - Math.abs(x));

/** Keys' cubic convolution with a = -0.5 (Keys 1981). */
function keys(x: number): number {
  const a = -0.5;
  const t = Math.abs(x);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}

const filters = {
  bilinear: { support: 1, weight: triangle },
  bicubic: { support: 2, weight: keys },
} as const;

/**
 * For each output position: the first source position, how many follow, and their fixed-point
 * weights.
 */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
  readonly stride: number;
}

/**
 * Weights of one axis. When shrinking, the filter is widened by the scale, so that every source
 * pixel counts (antialias): weight(i) ~ f((i + 0.5 - centre) / max(scale, 1)), centre = start +
 * (out + 0.5) * scale.
 */
function taps(
  sourceSize: number,
  start: number,
  length: number,
  outputSize: number,
  interpolation: Interpolation,
): Taps {
  const { support, weight } = filters[interpolation];
  const scale = length / outputSize;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  const stride = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(outputSize),
    count = new Int32Array(outputSize);
  const weights = new Int32Array(outputSize * stride);
  const row = new Float64Array(stride);
  for (let out = 0; out < outputSize; out++) {
    const centre = start + (out + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - reach + 0.5));
    const high = Math.min(sourceSize, Math.trunc(centre + reach + 0.5));
    let sum = 0;
    for (let i = low; i < high; i++) sum += row[i - low] = weight((i - centre + 0.5) / stretch);
    first[out] = low;
    count[out] = high - low;
    for (let i = 0; i < high - low; i++) {
      const w = (row[i]! / sum) * (1 << fractionBits);
      weights[out * stride + i] = Math.trunc(w < 0 ? w - 0.5 : w + 0.5);
    }
  }
  return { first, count, weights, stride };
}

/** Rows [top, bottom) of the image resampled along x into a new [bottom - top, outputWidth, 3]. */
function horizontal(
  { width, data: source }: Image,
  [top, bottom]: readonly [top: number, bottom: number],
  outputWidth: number,
  t: Taps,
): Uint8Array {
  const rows = bottom - top;
  const result = allocate(rows * outputWidth * 3);
  const { first, count, weights, stride } = t;
  for (let y = 0; y < rows; y++) {
    const line = (top + y) * width * 3;
    let to = y * outputWidth * 3;
    for (let x = 0; x < outputWidth; x++) {
      let from = line + first[x]! * 3;
      let w = x * stride;
      const end = w + count[x]!;
      let r = half,
        g = half,
        b = half;
      for (; w < end; w++, from += 3) {
        const k = weights[w]!;
        r = (r + Math.imul(source[from]!, k)) | 0;
        g = (g + Math.imul(source[from + 1]!, k)) | 0;
        b = (b + Math.imul(source[from + 2]!, k)) | 0;
      }
      r >>= fractionBits;
      g >>= fractionBits;
      b >>= fractionBits;
      result[to++] = r < 0 ? 0 : r > 255 ? 255 : r;
      result[to++] = g < 0 ? 0 : g > 255 ? 255 : g;
      result[to++] = b < 0 ? 0 : b > 255 ? 255 : b;
    }
  }
  return result;
}

/**
 * `source` [height, width, 3], whose row 0 is row `top` of the image, resampled along y into
 * [outputHeight, width, 3].
 */
function vertical(source: Uint8Array, width: number, top: number, outputHeight: number, t: Taps): Uint8Array {
  const line = width * 3;
  const result = allocate(outputHeight * line);
  const { first, count, weights, stride } = t;
  const sums = new Int32Array(line);
  for (let y = 0; y < outputHeight; y++) {
    const to = y * line,
      last = count[y]! - 1;
    let from = (first[y]! - top) * line,
      w = y * stride;
    // Two source rows a pass: half the traffic to `sums`, none when there are only two.
    let fresh = true;
    for (let i = 0; i <= last; i += 2) {
      const k0 = weights[w++]!,
        k1 = i < last ? weights[w++]! : 0;
      const other = i < last ? from + line : from;
      if (i + 1 >= last) {
        for (let x = 0; x < line; x++) {
          const value =
            ((fresh ? half : sums[x]!) + Math.imul(source[from + x]!, k0) + Math.imul(source[other + x]!, k1)) >>
            fractionBits;
          result[to + x] = value < 0 ? 0 : value > 255 ? 255 : value;
        }
      } else if (fresh) {
        for (let x = 0; x < line; x++)
          sums[x] = (half + Math.imul(source[from + x]!, k0) + Math.imul(source[other + x]!, k1)) | 0;
      } else {
        for (let x = 0; x < line; x++)
          sums[x] = (sums[x]! + Math.imul(source[from + x]!, k0) + Math.imul(source[other + x]!, k1)) | 0;
      }
      fresh = false;
      from += 2 * line;
    }
  }
  return result;
}

/** Bytes of a photo's rows that are copied for the kernels at a time. */
const bandBytes = 4 * 2 ** 20;

/** The same by the compiled kernels, equal to the byte; undefined where they cannot be used. */
function compiled(
  { width: sourceWidth, height: sourceHeight, data }: Image,
  { width, height }: Size,
  interpolation: Interpolation,
  box: Box,
  { alongX, alongY }: { readonly alongX: boolean; readonly alongY: boolean },
): Uint8Array | undefined {
  const cubic = interpolation === 'bicubic' ? 1 : 0;
  const { support } = filters[interpolation];
  const pairsOf = (scale: number): number => Math.ceil(support * Math.max(scale, 1)) + 1;
  const xPairs = pairsOf(box.width / width),
    yPairs = pairsOf(box.height / height);
  // The rows that the box needs, and one more on either side.
  const reach = support * Math.max(box.height / height, 1) + 1;
  const firstRow = alongY ? Math.max(0, Math.floor(box.top - reach)) : 0;
  const lastRow = alongY ? Math.min(sourceHeight, Math.ceil(box.top + box.height + reach)) : sourceHeight;
  const rows = lastRow - firstRow,
    line = sourceWidth * 3;
  // Along x a band of rows at a time: a large photo is not copied as a whole.
  const band = alongX ? Math.min(rows, Math.max(1, Math.floor(bandBytes / line))) : rows;
  const room = reserve(
    band * line,
    alongX && alongY ? rows * width * 3 : 0,
    width * height * 3,
    width * 8,
    width * xPairs * 8,
    height * 8,
    height * yPairs * 8,
    16 * Math.max(xPairs, yPairs),
  );
  if (room === undefined) return undefined;
  const {
    kernels,
    addresses: [source, between, target, xTaps, xWeights, yTaps, yWeights, row],
  } = room as { kernels: typeof room.kernels; addresses: Eight };
  const bytes = new Uint8Array(kernels.memory.buffer);
  if (alongX) kernels.taps(sourceWidth, box.left, box.width, width, cubic, xPairs, xTaps, xWeights, row);
  for (let done = 0; done < rows; done += band) {
    const some = Math.min(band, rows - done);
    bytes.set(data.subarray((firstRow + done) * line, (firstRow + done + some) * line), source);
    const to = (alongY ? between : target) + done * width * 3;
    if (alongX) kernels.horizontal(source, sourceWidth, some, to, width, xTaps, xWeights, xPairs);
  }
  if (alongY) {
    kernels.taps(sourceHeight, box.top, box.height, height, cubic, yPairs, yTaps, yWeights, row);
    kernels.vertical(alongX ? between : source, width * 3, firstRow, lastRow, target, height, yTaps, yWeights, yPairs);
  }
  const result = allocate(width * height * 3);
  result.set(bytes.subarray(target, target + result.length));
  return result;
}

type Eight = [number, number, number, number, number, number, number, number];

/**
 * Resamples `box` (the whole image by default) to width x height pixels, antialiased; equal to
 * Pillow's `Image.resize(size, resample, box)`, in whose order it works: along x first, rounded to
 * bytes, then along y.
 */
export function resize(
  image: Image,
  width: number,
  height: number,
  interpolation: Interpolation = 'bilinear',
  box?: Box,
): Image {
  invariant(width >= 1 && height >= 1, `resize: impossible size ${width}x${height}`);
  const from = box ?? { left: 0, top: 0, width: image.width, height: image.height };
  const { left, top, width: boxWidth, height: boxHeight } = from;
  invariant(
    left >= 0 &&
      top >= 0 &&
      boxWidth > 0 &&
      boxHeight > 0 &&
      left + boxWidth <= image.width &&
      top + boxHeight <= image.height,
    `resize: box ${left},${top} ${boxWidth}x${boxHeight} is outside ${image.width}x${image.height}`,
  );
  const alongX = width !== image.width || left !== 0 || boxWidth !== width;
  const alongY = height !== image.height || top !== 0 || boxHeight !== height;
  if (!alongX && !alongY) return image;
  const fast = compiled(image, { width, height }, interpolation, from, { alongX, alongY });
  if (fast !== undefined) return { width, height, data: fast };
  const yTaps = alongY ? taps(image.height, top, boxHeight, height, interpolation) : undefined;
  const firstRow = yTaps === undefined ? 0 : yTaps.first[0]!;
  const lastRow = yTaps === undefined ? image.height : yTaps.first[height - 1]! + yTaps.count[height - 1]!;
  let data = image.data;
  let offset = 0;
  if (alongX) {
    data = horizontal(image, [firstRow, lastRow], width, taps(image.width, left, boxWidth, width, interpolation));
    offset = firstRow;
  }
  if (yTaps !== undefined) {
    const between = data;
    data = vertical(data, width, offset, height, yTaps);
    if (between !== image.data) release(between);
  }
  return { width, height, data };
}

/**
 * The size whose short side is `short` pixels and whose long side keeps the aspect ratio, rounded
 * down as torchvision does.
 */
export function shortSideSize({ width, height }: Size, short: number): Size {
  return width <= height
    ? { width: short, height: Math.max(1, Math.floor((short * height) / width)) }
    : { width: Math.max(1, Math.floor((short * width) / height)), height: short };
}

/** Resizes so that the short side is `short` pixels (torchvision's `Resize(int)`). */
export function resizeShort(image: Image, short: number, interpolation: Interpolation = 'bilinear'): Image {
  const { width, height } = shortSideSize(image, short);
  return resize(image, width, height, interpolation);
}
