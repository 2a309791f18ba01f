/** Boxes of random area and shape, which crops keep and erasing takes away. */
import type { Box, Size } from '../image/image.js';
import type { Random } from '../random.js';

/** How a box is drawn. */
export interface BoxShape {
  /** Bounds of its share of the image's area, uniform. */
  readonly scale: readonly [low: number, high: number];
  /** Bounds of the ratio of its sides, log-uniform. */
  readonly ratio: readonly [low: number, high: number];
  /** Which ratio that is: `width` over height, or `height` over width. */
  readonly ratioOf: 'width' | 'height';
}

/**
 * The size of such a box in whole pixels, drawn up to ten times until it `fits`; undefined when
 * none did.
 */
export function drawBoxSize(
  random: Random,
  image: Size,
  { scale, ratio, ratioOf }: BoxShape,
  fits: (box: Size) => boolean,
): Size | undefined {
  const area = image.width * image.height;
  for (let attempt = 0; attempt < 10; attempt++) {
    const target = area * random.between(scale[0], scale[1]);
    const aspect = Math.exp(random.between(Math.log(ratio[0]), Math.log(ratio[1])));
    const over = Math.round(Math.sqrt(target * aspect)),
      under = Math.round(Math.sqrt(target / aspect));
    const box = ratioOf === 'width' ? { width: over, height: under } : { width: under, height: over };
    if (fits(box)) return box;
  }
  return undefined;
}

/** A box of that size at a uniform place within the image. */
export function placeBox(random: Random, image: Size, { width, height }: Size): Box {
  const top = random.integer(image.height - height + 1),
    left = random.integer(image.width - width + 1);
  return { left, top, width, height };
}
