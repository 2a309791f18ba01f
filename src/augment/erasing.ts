import * as v from 'valibot';
import { erase } from '../image/erase.js';
import type { Box, Colour, Image } from '../image/image.js';
import { Random } from '../random.js';
import { drawBoxSize, placeBox } from './box.js';
import * as option from './options.js';
import { row, withProbability } from './transform.js';

/** ImageNet's mean: about 0 once normalised, where the papers erase. */
const mean: Colour = [124, 116, 104];

const fill = v.optional(
  v.union([v.literal('noise'), option.colour], 'give "noise" or [red, green, blue], each from 0 to 255'),
  [...mean],
);

export interface Erased extends Box {
  /** Seed of the noise; absent for a colour. */
  readonly seed?: number | undefined;
}

const seedOf = (colour: Colour | 'noise', random: Random): number | undefined =>
  colour === 'noise' ? random.uint32() : undefined;

function applyErased(image: Image, box: Erased | null, colour: Colour | 'noise'): Image {
  if (box === null) return image;
  return erase(image, box, colour === 'noise' ? { noise: new Random(box.seed ?? 0, 'erase') } : colour);
}

const describe =
  (what: string) =>
  (box: Erased | null): string =>
    box === null ? '' : `${what} ${box.width}x${box.height} at ${box.left},${box.top}`;

/** Transforms that take a part of the picture away, by name. */
export const erasingRows = {
  /**
   * A box of random area and aspect ratio, filled (Zhong et al. 2017; drawn as torchvision's
   * `RandomErasing`).
   */
  randomErasing: row(
    v.strictObject({
      probability: option.probability(0.5),
      /** Share of the image's area. */
      scale: v.optional(option.rangeOf(option.share), [0.02, 0.33]),
      /** Height over width. */
      ratio: v.optional(option.rangeOf(option.numberFrom(0.01, 100)), [0.3, 3.3]),
      fill,
    }),
    ({ probability, scale, ratio, fill: colour }) =>
      withProbability(probability, {
        name: 'randomErasing',
        sample(random, image): Erased | null {
          const size = drawBoxSize(
            random,
            image,
            { scale, ratio, ratioOf: 'height' },
            ({ width, height }) => height < image.height && width < image.width,
          );
          if (size === undefined || size.width === 0 || size.height === 0) return null;
          return { ...placeBox(random, image, size), seed: seedOf(colour, random) };
        },
        apply: (image, box) => applyErased(image, box, colour),
        describe: describe('erase'),
      }),
  ),
  /** A square around a uniform pixel, cut off at the borders (DeVries and Taylor 2017). */
  cutout: row(
    v.strictObject({
      /** Side of the square as a share of the image's short side. */
      size: v.optional(option.share, 0.5),
      probability: option.probability(1),
      fill,
    }),
    ({ size, probability, fill: colour }) =>
      withProbability(probability, {
        name: 'cutout',
        sample(random, { width, height }): Erased | null {
          const side = Math.round(size * Math.min(width, height));
          const x = random.integer(width) - Math.floor(side / 2),
            y = random.integer(height) - Math.floor(side / 2);
          const left = Math.max(0, x),
            top = Math.max(0, y);
          const right = Math.min(width, x + side),
            bottom = Math.min(height, y + side);
          if (right <= left || bottom <= top) return null;
          return {
            left,
            top,
            width: right - left,
            height: bottom - top,
            seed: seedOf(colour, random),
          };
        },
        apply: (image, box) => applyErased(image, box, colour),
        describe: describe('cutout'),
      }),
  ),
} as const;
