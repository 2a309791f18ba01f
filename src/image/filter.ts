import { allocate } from './buffers.js';
import { blend } from './colour.js';
import { transformed } from './compiled.js';
import type { Image } from './image.js';

/**
 * Sums of the smoothing kernel, at most 13 * 255, divided by 13 and rounded: halves do not occur,
 * for 13 is odd.
 */
const thirteenths = Uint8Array.from({ length: 13 * 255 + 1 }, (_, sum) => Math.floor((2 * sum + 13) / 26));

/**
 * Blends with the image smoothed by (1 1 1, 1 5 1, 1 1 1) / 13: factor 0 is smooth, 1 the image, 2
 * sharp. Pixels of the border are kept (Pillow's `ImageEnhance.Sharpness`, to the byte).
 */
export function sharpness(image: Image, factor: number): Image {
  const single = Math.fround(factor);
  const { width, height, data: source } = image;
  if (single === 1 || width < 3 || height < 3) return image;
  const fast = transformed(source, 0, (kernels, from, to) => kernels.sharpen(from, to, width, height, single));
  if (fast !== undefined) return { width, height, data: fast };
  const stride = width * 3,
    last = (height - 1) * stride;
  const data = allocate(source.length);
  data.set(source.subarray(0, stride));
  data.set(source.subarray(last), last);
  for (let row = stride; row < last; row += stride) {
    for (let channel = 0; channel < 3; channel++) {
      const end = row + channel + stride - 3;
      let i = row + channel;
      data[i] = source[i]!;
      // Sums of three pixels above each other, which move from right to left.
      let left = source[i - stride]! + source[i]! + source[i + stride]!;
      i += 3;
      let value = source[i]!;
      let middle = source[i - stride]! + value + source[i + stride]!;
      for (; i < end; i += 3) {
        const next = source[i + 3]!;
        const right = source[i + 3 - stride]! + next + source[i + 3 + stride]!;
        data[i] = blend(thirteenths[left + middle + right + 4 * value]!, value, single);
        left = middle;
        middle = right;
        value = next;
      }
      data[end] = source[end]!;
    }
  }
  return { width, height, data };
}

/**
 * The index that mirroring at the ends gives; where the picture is too small even for that, its
 * end.
 */
function mirrored(i: number, length: number): number {
  const inside = i < 0 ? -i : i >= length ? 2 * (length - 1) - i : i;
  return Math.max(0, Math.min(length - 1, inside));
}

/**
 * One side of a Gaussian in whole numbers, centre first and 0 beyond `half`; both sides together
 * sum to `scale`. Rounding the running sum from the outside keeps all of them positive.
 */
function gaussian(sigma: number, half: number, reach: number, scale: number): Float64Array {
  const weights = new Float64Array(reach + 1);
  let total = 0;
  for (let k = 0; k <= half; k++) total += (weights[k] = Math.exp(-0.5 * (k / sigma) ** 2)) * (k === 0 ? 1 : 2);
  let sum = 0,
    before = 0;
  for (let k = half; k > 0; k--) {
    sum += (weights[k]! / total) * scale;
    const rounded = Math.round(sum);
    weights[k] = rounded - before;
    before = rounded;
  }
  weights[0] = scale - 2 * before;
  return weights;
}

/**
 * sums = start + w[0] row(0) + w[1] (row(-1) + row(1)) + w[2] (row(-2) + row(2)) + ..., two pairs
 * at a time.
 */
function weigh(
  sums: Float64Array,
  start: number,
  weights: Float64Array,
  rowAt: (offset: number) => Float64Array,
): void {
  const { length } = sums;
  const centre = rowAt(0),
    weight = weights[0]!;
  let a = rowAt(-1),
    b = rowAt(1),
    c = rowAt(-2),
    d = rowAt(2),
    near = weights[1]!,
    far = weights[2]!;
  for (let x = 0; x < length; x++)
    sums[x] = start + weight * centre[x]! + near * (a[x]! + b[x]!) + far * (c[x]! + d[x]!);
  for (let k = 3; k < weights.length; k += 2) {
    a = rowAt(-k);
    b = rowAt(k);
    c = rowAt(-k - 1);
    d = rowAt(k + 1);
    near = weights[k]!;
    far = weights[k + 1]!;
    for (let x = 0; x < length; x++) sums[x] = sums[x]! + near * (a[x]! + b[x]!) + far * (c[x]! + d[x]!);
  }
}

/**
 * A double holds two whole numbers of 26 bits: one of the left half of a row, and this times one of
 * the right half.
 */
const lane = 2 ** 26;
/**
 * Bits of the weights down the columns, of what is dropped of those sums, of the weights along the
 * rows: 8 + 18 - 14 + 14 = 26.
 */
const downBits = 18,
  droppedBits = 14,
  alongBits = 14;
const unit = 2 ** (downBits - droppedBits + alongBits);

/** Working memory of a blur, kept for the next picture of the same width. */
interface Work {
  readonly width: number;
  readonly reach: number;
  /** The last 2 reach + 1 rows, packed. */
  readonly ring: readonly Float64Array[];
  readonly sums: Float64Array;
  /**
   * A row blurred down its columns, with margins; the same packed; the packed row from -reach to
   * reach pixels on.
   */
  readonly line: Float64Array;
  readonly packed: Float64Array;
  readonly shifted: readonly Float64Array[];
}

let work: Work | undefined;

function workFor(width: number, reach: number): Work {
  if (work?.width === width && work.reach === reach) return work;
  const length = ((width + 1) >> 1) * 3,
    margins = 6 * reach,
    count = 2 * reach + 1;
  const packed = new Float64Array(length + margins);
  return (work = {
    width,
    reach,
    packed,
    ring: Array.from({ length: count }, () => new Float64Array(length)),
    sums: new Float64Array(length),
    line: new Float64Array(2 * length + margins),
    shifted: Array.from({ length: count }, (_, k) => packed.subarray(3 * k, 3 * k + length)),
  });
}

/**
 * Gaussian blur with standard deviation `sigma` (pixels) over `kernelSize` (odd; by default 2
 * round(3 sigma) + 1, at least 3) pixels each way, mirrored at the borders: torchvision's
 * `gaussian_blur`, within a level. Pictures too small to mirror are continued with their border.
 * Sigma 0 and sizes up to 1 give the image itself.
 */
export function gaussianBlur(
  image: Image,
  sigma: number,
  kernelSize: number = Math.max(3, 2 * Math.round(3 * sigma) + 1),
): Image {
  const half = Math.trunc(kernelSize / 2);
  if (!(sigma > 0) || half < 1) return image;
  // Even, as pairs are added two at a time.
  const reach = half + (half % 2);
  const { width, height, data: source } = image;
  const down = gaussian(sigma, half, reach, 2 ** downBits),
    along = gaussian(sigma, half, reach, 2 ** alongBits);
  const { ring, sums, line, packed, shifted } = workFor(width, reach);
  const stride = width * 3,
    margin = reach * 3;
  const left = sums.length,
    right = stride - left;
  const data = allocate(source.length);
  let y = 0,
    ready = 0;
  const above = (offset: number): Float64Array => ring[mirrored(y + offset, height) % ring.length]!;
  const beside = (offset: number): Float64Array => shifted[reach + offset]!;
  for (; y < height; y++) {
    for (; ready < height && ready <= y + reach; ready++) {
      const into = ring[ready % ring.length]!,
        from = ready * stride;
      for (let x = 0; x < right; x++) into[x] = source[from + x]! + lane * source[from + left + x]!;
      for (let x = right; x < left; x++) into[x] = source[from + x]!;
    }
    weigh(sums, 0, down, above);
    for (let x = 0; x < left; x++) {
      const high = (sums[x]! / lane) | 0;
      line[margin + x] = ((sums[x]! - high * lane) * 2 ** -droppedBits + 0.5) | 0;
      line[margin + left + x] = (high * 2 ** -droppedBits + 0.5) | 0;
    }
    for (let k = 1; k <= reach; k++) {
      const before = margin + mirrored(-k, width) * 3,
        after = margin + mirrored(width - 1 + k, width) * 3;
      for (let c = 0; c < 3; c++) {
        line[margin - k * 3 + c] = line[before + c]!;
        line[margin + stride + (k - 1) * 3 + c] = line[after + c]!;
      }
    }
    for (let x = 0; x < packed.length; x++) packed[x] = line[x]! + lane * line[left + x]!;
    // Half a level in both lanes, so that truncation rounds.
    weigh(sums, (unit / 2) * (1 + lane), along, beside);
    const row = y * stride;
    for (let x = 0; x < left; x++) {
      const high = (sums[x]! / lane) | 0;
      data[row + x] = (sums[x]! - high * lane) / unit;
      if (x < right) data[row + left + x] = high / unit;
    }
  }
  return { width, height, data };
}
