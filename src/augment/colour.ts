import * as v from 'valibot';
import { gaussianBlur } from '../image/filter.js';
import * as option from './options.js';
import { ops, type OpName } from './ops.js';
import { applyAll, row, withProbability } from './transform.js';

const opOptions = { sampling: 'bilinear', fill: [0, 0, 0] } as const;

/** An amount a, which means [1 - a, 1 + a] and no less than 0, or [low, high]. */
const factors = v.pipe(
  v.union(
    [option.numberFrom(0, 9), option.rangeOf(option.numberFrom(0, 10))],
    'give an amount from 0 to 9, or factors [low, high] from 0 to 10',
  ),
  v.transform((x): [number, number] => (typeof x === 'number' ? [Math.max(0, 1 - x), 1 + x] : x)),
);

const oddKernel = v.pipe(
  v.number('give an odd number of pixels'),
  v.check(
    (x) => Number.isInteger(x) && x % 2 === 1 && x >= 1 && x <= 999,
    'give an odd number of pixels from 1 to 999',
  ),
);

export interface Step {
  readonly op: OpName;
  readonly value: number;
}

/** Transforms of colours beyond the ops, by name. */
export const colourRows = {
  /** Brightness, contrast, saturation and hue, in a random order (torchvision's `ColorJitter`). */
  colourJitter: row(
    v.strictObject({
      brightness: v.optional(factors, 0),
      contrast: v.optional(factors, 0),
      saturation: v.optional(factors, 0),
      hue: v.optional(option.spreadWithin(0.5, 'shares of the circle'), 0),
      probability: option.probability(1),
    }),
    ({ brightness, contrast, saturation, hue, probability }) => {
      const parts = (
        [
          ['brightness', brightness],
          ['contrast', contrast],
          ['color', saturation],
          ['hue', hue],
        ] as const
      ).filter(([op, [low, high]]) => low !== ops[op].neutral || high !== low);
      return withProbability(probability, {
        name: 'colourJitter',
        sample: (random): Step[] =>
          random.shuffle(parts).map(([op, [low, high]]) => ({ op, value: random.between(low, high) })),
        apply: (image, steps: readonly Step[]) =>
          applyAll(
            image,
            steps.map(
              ({ op, value }) =>
                (given) =>
                  ops[op].apply(given, value, opOptions),
            ),
          ),
        describe: (steps) => steps.map(({ op, value }) => ops[op].describe(value)).join(', '),
      });
    },
  ),
  /**
   * Blur by a Gaussian whose sigma is uniform (torchvision's `GaussianBlur`); without `kernel`, one
   * as wide as the sigma asks for.
   */
  gaussianBlur: row(
    v.strictObject({
      sigma: v.optional(option.rangeOf(option.numberFrom(0.01, 50, 'a sigma in pixels')), [0.1, 2]),
      kernel: v.optional(oddKernel),
      probability: option.probability(1),
    }),
    ({ sigma: [low, high], kernel, probability }) =>
      withProbability(probability, {
        name: 'gaussianBlur',
        sample: (random) => random.between(low, high),
        apply: (image, sigma: number) => gaussianBlur(image, sigma, kernel),
        describe: (sigma) => ops.blur.describe(sigma),
      }),
  ),
} as const;
