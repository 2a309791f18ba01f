import { allocate } from './buffers.js';
import { reserve, transformed } from './compiled.js';
import type { Image } from './image.js';

/** Luma of ITU-R 601 in 16-bit fixed point: 0.299 R + 0.587 G + 0.114 B, rounded. */
const luma = (r: number, g: number, b: number): number => (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;

const like = ({ width, height }: Image, data: Uint8Array): Image => ({ width, height, data });

/**
 * Four bytes at a time where the array starts on a word; the words share its memory. The last 0 to
 * 3 bytes are left over.
 */
const wordsOf = (data: Uint8Array): Int32Array | undefined =>
  data.byteOffset % 4 === 0 ? new Int32Array(data.buffer, data.byteOffset, data.length >> 2) : undefined;

/** Every byte through a table of 256 bytes. */
export function lookUp(image: Image, table: Uint8Array): Image {
  const source = image.data;
  const { length } = source;
  const fast = transformed(source, 256, (kernels, from, to, at, memory) => {
    memory.set(table, at);
    kernels.lookUp(from, to, length, at);
  });
  if (fast !== undefined) return like(image, fast);
  const data = allocate(length);
  const from = wordsOf(source),
    to = wordsOf(data);
  let i = 0;
  if (from !== undefined && to !== undefined) {
    const count = from.length;
    for (let k = 0; k < count; k++) {
      const word = from[k]!;
      to[k] =
        table[word & 255]! |
        (table[(word >>> 8) & 255]! << 8) |
        (table[(word >>> 16) & 255]! << 16) |
        (table[word >>> 24]! << 24);
    }
    i = count * 4;
  }
  for (; i < length; i++) data[i] = table[source[i]!]!;
  return like(image, data);
}

/** Every byte b becomes (b & mask) ^ flip, without a table. */
function maskBytes(image: Image, mask: number, flip: number): Image {
  const source = image.data;
  const { length } = source;
  const data = allocate(length);
  const from = wordsOf(source),
    to = wordsOf(data);
  let i = 0;
  if (from !== undefined && to !== undefined) {
    const count = from.length;
    const wideMask = Math.imul(mask, 0x01010101),
      wideFlip = Math.imul(flip, 0x01010101);
    for (let k = 0; k < count; k++) to[k] = (from[k]! & wideMask) ^ wideFlip;
    i = count * 4;
  }
  for (; i < length; i++) data[i] = (source[i]! & mask) ^ flip;
  return like(image, data);
}

const scratch = new Uint8Array(256);

/** `scratch` filled with f(0..255), which must be whole and within bytes. */
function tabulate(f: (value: number) => number): Uint8Array {
  for (let value = 0; value < 256; value++) scratch[value] = f(value);
  return scratch;
}

/**
 * from + factor (to - from), clipped to bytes and truncated. Pillow blends in single precision
 * (`factor` is already rounded to it), which shows where the product is nearly whole: 0.1 * 10 is 1
 * there and 1.00000001 in double. It clips only outside [0, 1], where inside nothing is left to
 * clip.
 */
export function blend(from: number, to: number, factor: number): number {
  const value = Math.fround(from + Math.fround(factor * (to - from)));
  return value <= 0 ? 0 : value >= 255 ? 255 : value | 0;
}

/**
 * Blends with black: factor 0 is black, 1 the image, 2 twice as bright (Pillow's
 * `ImageEnhance.Brightness`, to the byte).
 */
export function brightness(image: Image, factor: number): Image {
  const single = Math.fround(factor);
  return single === 1
    ? image
    : lookUp(
        image,
        tabulate((value) => blend(0, value, single)),
      );
}

/** The sum of the luma of all pixels. */
function sumLuma(data: Uint8Array): number {
  const { length } = data;
  const room = reserve(length);
  if (room !== undefined) {
    const at = room.addresses[0]!;
    new Uint8Array(room.kernels.memory.buffer).set(data, at);
    return room.kernels.sumLuma(at, length / 3);
  }
  let sum = 0;
  for (let i = 0; i < length; i += 3) sum += luma(data[i]!, data[i + 1]!, data[i + 2]!);
  return sum;
}

/**
 * Blends with the image's mean grey: factor 0 is flat, 1 the image (Pillow's
 * `ImageEnhance.Contrast`, to the byte).
 */
export function contrast(image: Image, factor: number): Image {
  const single = Math.fround(factor);
  if (single === 1) return image;
  const mean = Math.trunc(sumLuma(image.data) / (image.data.length / 3) + 0.5);
  return lookUp(
    image,
    tabulate((value) => blend(mean, value, single)),
  );
}

/**
 * Blends each pixel with its own grey: factor 0 is grey, 1 the image (Pillow's
 * `ImageEnhance.Color`, to the byte).
 */
export function saturation(image: Image, factor: number): Image {
  const single = Math.fround(factor);
  if (single === 1) return image;
  const source = image.data;
  const { length } = source;
  const fast = transformed(source, 0, (kernels, from, to) => kernels.saturate(from, to, length / 3, single));
  if (fast !== undefined) return like(image, fast);
  const data = allocate(length);
  for (let i = 0; i < length; i += 3) {
    const r = source[i]!,
      g = source[i + 1]!,
      b = source[i + 2]!;
    const grey = luma(r, g, b);
    data[i] = blend(grey, r, single);
    data[i + 1] = blend(grey, g, single);
    data[i + 2] = blend(grey, b, single);
  }
  return like(image, data);
}

/**
 * Luma in all three channels (torchvision's `to_grayscale` of a PIL image with 3 channels, to the
 * byte).
 */
export function grayscale(image: Image): Image {
  const source = image.data;
  const { length } = source;
  const data = allocate(length);
  for (let i = 0; i < length; i += 3) {
    const grey = luma(source[i]!, source[i + 1]!, source[i + 2]!);
    data[i] = grey;
    data[i + 1] = grey;
    data[i + 2] = grey;
  }
  return like(image, data);
}

/** 255 minus every byte (Pillow's `ImageOps.invert`). */
export const invert = (image: Image): Image => maskBytes(image, 255, 255);

/**
 * Keeps the upper `bits` (0 to 8) of every byte and clears the others; 0 is black, 8 the image
 * (Pillow's `ImageOps.posterize`).
 */
export const posterize = (image: Image, bits: number): Image =>
  bits >= 8 ? image : maskBytes(image, (0xff << (8 - bits)) & 255, 0);

/**
 * Inverts the bytes at or above `threshold`; above 255 the image stays (Pillow's
 * `ImageOps.solarize`, to the byte).
 */
export const solarize = (image: Image, threshold: number): Image =>
  threshold > 255
    ? image
    : lookUp(
        image,
        tabulate((value) => (value < threshold ? value : 255 - value)),
      );

/**
 * Adds `amount` to the bytes below `threshold`, clipped and truncated (timm's `solarize_add`, to
 * the byte).
 */
export const solarizeAdd = (image: Image, amount: number, threshold = 128): Image =>
  amount === 0
    ? image
    : lookUp(
        image,
        tabulate((value) => (value < threshold ? Math.max(0, Math.min(255, value + amount)) : value)),
      );

/**
 * What Pillow makes of the 256 hues: which channel gets the value, the low and the middle colour,
 * how far the hue is in its sixth.
 */
interface Hues {
  readonly value: Uint8Array;
  readonly low: Uint8Array;
  readonly middle: Uint8Array;
  readonly share: Float64Array;
  /** Saturation 0..255 as a share, in single precision. */
  readonly saturation: Float64Array;
}

let hues: Hues | undefined;

function makeHues(): Hues {
  const value = new Uint8Array(256),
    low = new Uint8Array(256),
    middle = new Uint8Array(256);
  const share = new Float64Array(256),
    saturationShare = new Float64Array(256);
  for (let hue = 0; hue < 256; hue++) {
    const position = (hue * 6) / 255;
    const sixth = Math.floor(position);
    // The middle channel rises towards the value in even sixths and falls from it in odd ones.
    const rest = Math.fround(position - sixth);
    share[hue] = sixth % 2 === 1 ? rest : 1 - rest;
    value[hue] = [0, 1, 1, 2, 2, 0][sixth % 6]!;
    middle[hue] = [1, 0, 2, 1, 0, 2][sixth % 6]!;
    low[hue] = 3 - value[hue]! - middle[hue]!;
    saturationShare[hue] = Math.fround(hue / 255);
  }
  return { value, low, middle, share, saturation: saturationShare };
}

/**
 * Turns the hue by `shift` (-0.5 to 0.5) of the circle, in whole 1/255: through Pillow's HSV of
 * bytes, as torchvision's `adjust_hue` of a PIL image, to the byte. Shift 0 gives the image itself,
 * not what the way through HSV and back would lose.
 */
export function hue(image: Image, shift: number): Image {
  if (shift === 0) return image;
  const turn = Math.trunc(shift * 255) & 255;
  hues ??= makeHues();
  const { value, low, middle, share, saturation: shares } = hues;
  const source = image.data;
  const { length } = source;
  const data = allocate(length);
  for (let i = 0; i < length; i += 3) {
    const r = source[i]!,
      g = source[i + 1]!,
      b = source[i + 2]!;
    const most = r > g ? (r > b ? r : b) : g > b ? g : b;
    const least = r < g ? (r < b ? r : b) : g < b ? g : b;
    const range = most - least;
    const s = range === 0 ? 0 : (Math.fround(range / most) * 255) | 0;
    if (s === 0) {
      data[i] = most;
      data[i + 1] = most;
      data[i + 2] = most;
      continue;
    }
    const rc = Math.fround((most - r) / range),
      gc = Math.fround((most - g) / range),
      bc = Math.fround((most - b) / range);
    const sixths = Math.fround(r === most ? bc - gc : g === most ? 2 + rc - bc : 4 + gc - rc);
    const circle = sixths / 6 + 1;
    const h = (((Math.fround(circle >= 1 ? circle - 1 : circle) * 255) | 0) + turn) & 255;
    const part = shares[s]!;
    data[i + value[h]!] = most;
    data[i + low[h]!] = (most * (1 - part) + 0.5) | 0;
    data[i + middle[h]!] = (most * (1 - part * share[h]!) + 0.5) | 0;
  }
  return like(image, data);
}
