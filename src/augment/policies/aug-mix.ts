import * as v from 'valibot';
import { allocate, release } from '../../image/buffers.js';
import type { Image } from '../../image/image.js';
import type { Random } from '../../random.js';
import type { OpName, OpOptions } from '../ops.js';
import * as option from '../options.js';
import { row, type Transform } from '../transform.js';
import { applyDrawn, describeDrawn, drawOp, drawOptions, opOptions, pick, type Drawn } from './draw.js';

/**
 * The share of the image itself, and chains of ops with the share of what each gives; shares add up
 * to 1.
 */
export interface MixDraw {
  readonly original: number;
  readonly chains: readonly { readonly weight: number; readonly ops: readonly Drawn[] }[];
}

/** Dirichlet(alpha, ..., alpha): positive numbers that add up to 1. */
function dirichlet(random: Random, alpha: number, count: number): number[] {
  const parts = Array.from({ length: count }, () => random.gamma(alpha));
  const sum = parts.reduce((a, b) => a + b, 0);
  // A very small alpha may underflow everywhere; its limit is one part with everything.
  if (!(sum > 0)) return parts.map((_, i) => (i === 0 ? 1 : 0));
  return parts.map((part) => part / sum);
}

/**
 * Draws `width` chains of `depth` ops (1 to 3 where depth < 1), their shares Dirichlet and the
 * image's own Beta.
 */
export function sampleMixture(
  random: Random,
  { width, depth, alpha }: { width: number; depth: number; alpha: number },
  draw: () => Drawn | readonly Drawn[],
): MixDraw {
  const [original = 1, mixed = 0] = dirichlet(random, alpha, 2);
  const weights = dirichlet(random, alpha, width);
  return {
    original: Math.fround(original),
    chains: weights.map((weight) => ({
      weight: Math.fround(weight * mixed),
      ops: Array.from({ length: depth > 0 ? depth : 1 + random.integer(3) }, draw).flat(),
    })),
  };
}

let sums = new Float32Array(0);

/** original * image + sum of weight * chain(image), in single precision, truncated to bytes. */
export function applyMixture(image: Image, { original, chains }: MixDraw, options: OpOptions): Image {
  const { width, height, data } = image;
  const { length } = data;
  if (sums.length < length) sums = new Float32Array(length);
  const sum = sums;
  const own = Math.fround(original);
  for (let i = 0; i < length; i++) sum[i] = own * data[i]!;
  for (const { weight, ops } of chains) {
    const augmented = applyDrawn(image, ops, options);
    add(sum, augmented.data, Math.fround(weight));
    if (augmented.data !== data) release(augmented.data);
  }
  const result = allocate(length);
  for (let i = 0; i < length; i++) result[i] = sum[i]!; // the shares add up to 1, so at most 255 and a rounding
  return { width, height, data: result };
}

function add(sum: Float32Array, data: Uint8Array, weight: number): void {
  for (let i = 0; i < data.length; i++) sum[i] = sum[i]! + Math.fround(weight * data[i]!);
}

/** A caption: each chain with its share in percent. */
export const describeMixture = ({ original, chains }: MixDraw): string =>
  [
    `${Math.round(original * 100)}% original`,
    ...chains.map(({ weight, ops }) => `${Math.round(weight * 100)}% ${describeDrawn(ops) || 'original'}`),
  ].join(' + ');

const geometric: readonly OpName[] = [
  'shearX',
  'shearY',
  'translateX',
  'translateY',
  'rotate',
  'posterize',
  'solarize',
  'autoContrast',
  'equalize',
];
const withEnhancing: readonly OpName[] = [...geometric, 'brightness', 'color', 'contrast', 'sharpness'];

/**
 * AugMix (Hendrycks et al. 2020): `width` chains of ops mixed with one another and with the image.
 * Magnitudes are uniform among the `severity` lowest of ten; a `depth` of -1 draws 1 to 3 ops a
 * chain; `allOps` adds brightness, color, contrast and sharpness, which the paper leaves out
 * because its test corruptions contain them.
 */
export const augMix = row(
  v.strictObject({
    severity: v.optional(option.wholeFrom(1, 10), 3),
    width: v.optional(option.wholeFrom(1, 16), 3),
    depth: v.optional(option.wholeFrom(-1, 16), -1),
    alpha: v.optional(option.numberFrom(0.01, 100), 1),
    allOps: v.optional(v.boolean('give true or false'), true),
    ...drawOptions,
  }),
  ({ severity, width, depth, alpha, allOps, ...options }): Transform<MixDraw> => {
    const how = opOptions(options, 'augMix', 'bilinear');
    const names = allOps ? withEnhancing : geometric;
    return {
      name: 'augMix',
      sample: (random, size) =>
        sampleMixture(random, { width, depth, alpha }, () =>
          drawOp(random, 'augMix', pick(random, names), random.integer(severity), size),
        ),
      apply: (image, mixture) => applyMixture(image, mixture, how),
      describe: describeMixture,
    };
  },
);
