import { invariant } from '../errors.js';

/** Width and height in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * A rectangle in pixels from the top left corner; fractions are allowed where a resize samples from
 * it.
 */
export interface Box extends Size {
  readonly left: number;
  readonly top: number;
}

/** Pixels: red, green, blue bytes (sRGB), row by row, `data.length === width * height * 3`. */
export interface Image extends Size {
  readonly data: Uint8Array;
}

/** Red, green and blue, 0 to 255. */
export type Colour = readonly [red: number, green: number, blue: number];

/** An image over `data` (not copied). Throws when the sizes disagree. */
export function imageOf(width: number, height: number, data: Uint8Array): Image {
  invariant(data.length === width * height * 3, `image: ${data.length} bytes do not fill ${width}x${height}x3`);
  return { width, height, data };
}

/** An image of one colour (red, green, blue in 0..255), black by default. */
export function blank(width: number, height: number, fill: Colour = [0, 0, 0]): Image {
  const data = new Uint8Array(width * height * 3);
  if (fill[0] !== 0 || fill[1] !== 0 || fill[2] !== 0) {
    for (let i = 0; i < data.length; i += 3) {
      data[i] = fill[0];
      data[i + 1] = fill[1];
      data[i + 2] = fill[2];
    }
  }
  return { width, height, data };
}
