import * as v from 'valibot';
import type { Sampling } from '../../image/affine.js';
import type { Colour, Image, Size } from '../../image/image.js';
import { suggestion } from '../../nearest.js';
import type { Random } from '../../random.js';
import { findOp, opNames, ops, type OpName, type OpOptions } from '../ops.js';
import * as option from '../options.js';
import { applyAll } from '../transform.js';
import { applySign, fillOf, largest, magnitude, scaleNames, type AnyScale, type ScaleName } from './scales.js';

/** An op and its value in the op's natural unit, sign included: what a policy draws. */
export interface Drawn {
  readonly op: OpName;
  readonly value: number;
}

/**
 * The value of magnitude `m` on one side or the other, each with probability 1/2 where the op has
 * two.
 */
export function drawOp(random: Random, scale: AnyScale, op: OpName, m: number, size: Size): Drawn {
  const { value, signed } = magnitude(scale, op, m, size);
  return { op, value: signed && random.chance(0.5) ? applySign(scale, op, value) : value };
}

/** One of `items`. */
export const pick = <T>(random: Random, items: readonly T[]): T => items[random.integer(items.length)]!;

/** The image after the drawn ops, in order. */
export const applyDrawn = (image: Image, drawn: readonly Drawn[], options: OpOptions): Image =>
  applyAll(
    image,
    drawn.map(
      ({ op, value }) =>
        (current: Image) =>
          ops[op].apply(current, value, options),
    ),
  );

/** A caption: `rotate 9°, color 1.27`; empty where nothing was drawn. */
export const describeDrawn = (drawn: readonly Drawn[]): string =>
  drawn.map(({ op, value }) => ops[op].describe(value)).join(', ');

/**
 * The options that every policy has: how geometric ops read between pixels, and the colour outside
 * (default as its scale's publication).
 */
export const drawOptions = {
  sampling: v.optional(v.picklist(['nearest', 'bilinear'], 'give nearest or bilinear')),
  fill: v.optional(option.colour),
};

/** Those options, filled in; `usual` is the default sampling. */
export const opOptions = (
  { sampling, fill }: { readonly sampling?: Sampling | undefined; readonly fill?: Colour | undefined },
  scale: AnyScale,
  usual: Sampling = 'nearest',
): OpOptions => ({ sampling: sampling ?? usual, fill: fill ?? fillOf(scale) });

export const scaleSchema = v.optional(v.picklist(scaleNames, `give one of ${scaleNames.join(', ')}`), 'torchvision');

/** An op's name in any case or hyphenation. */
export const opSchema = v.pipe(
  v.string('give the name of an op'),
  v.rawTransform(({ dataset, addIssue, NEVER }): OpName => {
    try {
      return findOp(dataset.value);
    } catch {
      addIssue({ message: `give the name of an op (${suggestion(dataset.value, opNames)})` });
      return NEVER;
    }
  }),
);

/** The message for a magnitude that a scale does not reach. */
export const reach = (scale: ScaleName): string =>
  `give a number from 0 to ${largest[scale]} on the scale ${scale}` +
  (largest[scale] < largest.paper ? ' (the scale paper goes to 30)' : '');
