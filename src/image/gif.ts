/** Where the first frame of a GIF stands on its canvas, as browsers show it. */
import { allocate, release } from './buffers.js';
import type { Box, Image, Size } from './image.js';

export interface GifLayout {
  /** That which the file states, or larger where the first frame reaches beyond it. */
  readonly canvas: Size;
  readonly frame: Box;
}

const extension = 0x21,
  descriptor = 0x2c;

/** Where blocks of data that begin at `at` end: behind the empty one. */
function endOfBlocks(bytes: Uint8Array, at: number): number {
  while (at < bytes.length && bytes[at] !== 0) at += 1 + bytes[at]!;
  return at + 1;
}

const coloursIn = (flags: number): number => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1));

/** Reads the canvas and the place of the first frame; undefined where the file ends before it. */
export function gifLayout(bytes: Uint8Array): GifLayout | undefined {
  const short = (at: number): number => bytes[at]! + 256 * bytes[at + 1]!;
  if (bytes.length < 13) return undefined;
  let at = 13 + coloursIn(bytes[10]!);
  while (bytes[at] === extension) at = endOfBlocks(bytes, at + 2);
  if (bytes[at] !== descriptor || at + 10 > bytes.length) return undefined;
  const [left, top, width, height] = [short(at + 1), short(at + 3), short(at + 5), short(at + 7)];
  return {
    canvas: { width: Math.max(short(6), left + width), height: Math.max(short(8), top + height) },
    frame: { left, top, width, height },
  };
}

/**
 * The first frame on the whole canvas, white around it. The codec takes usual sizes of screens and
 * those above 2,048 pixels for no canvas at all, and what is outside of the frame for black.
 */
export function onCanvas(decoded: Image, { canvas, frame }: GifLayout): Image {
  const { width, height } = canvas;
  const whole = frame.width === width && frame.height === height;
  if (whole && decoded.width === width && decoded.height === height) return decoded;
  const data = allocate(width * height * 3).fill(255);
  for (let y = frame.top; y < frame.top + frame.height; y++) {
    const from = 3 * (y * decoded.width + frame.left);
    data.set(decoded.data.subarray(from, from + 3 * frame.width), 3 * (y * width + frame.left));
  }
  release(decoded.data);
  return { width, height, data };
}
