import { allocate } from './buffers.js';
import { blend } from './colour.js';
import type { Image } from './image.js';

/** Sums of the smoothing kernel, at most 13 * 255, divided by 13 and rounded: halves do not occur, for 13 is odd. */
const thirteenths = Uint8Array.from({ length: 13 * 255 + 1 }, (_, sum) => Math.floor((2 * sum + 13) / 26));

let columns = new Int32Array(0);

/**
 * Blends with the image smoothed by (1 1 1, 1 5 1, 1 1 1) / 13: factor 0 is smooth, 1 the image, 2 sharp. Pixels of the border are
 * kept (Pillow's `ImageEnhance.Sharpness`, to the byte).
 */
export function sharpness(image: Image, factor: number): Image {
  const single = Math.fround(factor);
  const { width, height, data: source } = image;
  if (single === 1 || width < 3 || height < 3) return image;
  const stride = width * 3;
  const data = allocate(source.length);
  if (columns.length < stride) columns = new Int32Array(stride);
  const sums = columns;
  data.set(source.subarray(0, stride));
  for (let y = 1; y < height - 1; y++) {
    const row = y * stride;
    for (let x = 0, i = row; x < stride; x++, i++) sums[x] = source[i - stride]! + source[i]! + source[i + stride]!;
    for (let x = 0; x < 3; x++) {
      data[row + x] = source[row + x]!;
      data[row + stride - 3 + x] = source[row + stride - 3 + x]!;
    }
    for (let x = 3, i = row + 3; x < stride - 3; x++, i++) {
      const value = source[i]!;
      data[i] = blend(thirteenths[sums[x - 3]! + sums[x]! + sums[x + 3]! + 4 * value]!, value, single);
    }
  }
  data.set(source.subarray((height - 1) * stride), (height - 1) * stride);
  return { width, height, data };
}

/** The index that mirroring at the ends gives; where the picture is too small even for that, its end. */
const mirrored = (i: number, length: number): number => {
  const inside = i < 0 ? -i : i >= length ? 2 * (length - 1) - i : i;
  return Math.max(0, Math.min(length - 1, inside));
};

let line = new Float64Array(0);

/**
 * Gaussian blur with standard deviation `sigma` (pixels) over `kernelSize` (odd; by default 2 round(3 sigma) + 1, at least 3) pixels each way,
 * mirrored at the borders: torchvision's `gaussian_blur` within a level. Sizes up to 1 and sigma 0 give the image itself.
 */
export function gaussianBlur(image: Image, sigma: number, kernelSize: number = Math.max(3, 2 * Math.round(3 * sigma) + 1)): Image {
  const half = Math.trunc(kernelSize / 2);
  if (sigma <= 0 || half < 1) return image;
  const { width, height, data: source } = image;
  const weights = new Float64Array(half + 1);
  let total = 0;
  for (let k = 0; k <= half; k++) total += (weights[k] = Math.exp(-0.5 * (k / sigma) ** 2)) * (k === 0 ? 1 : 2);
  for (let k = 0; k <= half; k++) weights[k]! /= total;
  const stride = width * 3, margin = half * 3;
  if (line.length < stride + 2 * margin) line = new Float64Array(stride + 2 * margin);
  const sums = line;
  const data = allocate(source.length);
  for (let y = 0; y < height; y++) {
    const row = y * stride;
    const centre = weights[0]!;
    for (let x = 0; x < stride; x++) sums[margin + x] = centre * source[row + x]!;
    for (let k = 1; k <= half; k++) {
      const weight = weights[k]!;
      const above = mirrored(y - k, height) * stride, below = mirrored(y + k, height) * stride;
      for (let x = 0; x < stride; x++) sums[margin + x]! += weight * (source[above + x]! + source[below + x]!);
    }
    for (let k = 1; k <= half; k++) {
      const left = margin + mirrored(-k, width) * 3, right = margin + mirrored(width - 1 + k, width) * 3;
      for (let c = 0; c < 3; c++) {
        sums[margin - k * 3 + c] = sums[left + c]!;
        sums[margin + stride + (k - 1) * 3 + c] = sums[right + c]!;
      }
    }
    for (let x = 0; x < stride; x++) {
      const at = margin + x;
      let sum = centre * sums[at]! + 0.5;
      for (let k = 1, offset = 3; k <= half; k++, offset += 3) sum += weights[k]! * (sums[at - offset]! + sums[at + offset]!);
      data[row + x] = sum;
    }
  }
  return { width, height, data };
}
