import * as v from 'valibot';
import * as option from '../options.js';
import { row, type Transform } from '../transform.js';
import {
  applyDrawn,
  describeDrawn,
  drawOp,
  drawOptions,
  opOptions,
  opSchema,
  pick,
  reach,
  scaleSchema,
  type Drawn,
} from './draw.js';
import { largest, opsOf } from './scales.js';

/** Magnitudes and ops per image that are accepted. */
export const randAugmentOptions = v.pipe(
  v.strictObject({
    n: v.optional(option.wholeFrom(0, 16), 2),
    m: v.optional(option.numberFrom(0, 30), 9),
    scale: scaleSchema,
    ops: v.optional(v.pipe(v.array(opSchema, 'give a list of ops'), v.minLength(1, 'give one op or more'))),
    ...drawOptions,
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed || dataset.value.m <= largest[dataset.value.scale]) return;
    const { m, scale } = dataset.value;
    addIssue({
      message: reach(scale),
      input: m,
      path: [{ type: 'object', origin: 'value', input: dataset.value, key: 'm', value: m }],
    });
  }),
);

/**
 * RandAugment (Cubuk et al. 2019): `n` of the ops, each drawn uniformly with replacement, always
 * applied, all with magnitude `m`, the sign drawn per op.
 */
export const randAugment = row(
  randAugmentOptions,
  ({ n, m, scale, ops = opsOf[scale], ...options }): Transform<readonly Drawn[]> => {
    const how = opOptions(options, scale);
    return {
      name: 'randAugment',
      sample: (random, size) => Array.from({ length: n }, () => drawOp(random, scale, pick(random, ops), m, size)),
      apply: (image, drawn) => applyDrawn(image, drawn, how),
      describe: describeDrawn,
    };
  },
);

/**
 * TrivialAugmentWide (Mueller and Hutter 2021): one op per image with one of 31 magnitudes, over
 * wide ranges.
 */
export const trivialAugment = row(v.strictObject(drawOptions), (options): Transform<readonly Drawn[]> => {
  const how = opOptions(options, 'trivial');
  return {
    name: 'trivialAugment',
    sample: (random, size) => [drawOp(random, 'trivial', pick(random, opsOf.torchvision), random.integer(31), size)],
    apply: (image, drawn) => applyDrawn(image, drawn, how),
    describe: describeDrawn,
  };
});
