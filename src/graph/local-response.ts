import { numberOf } from './attributes.js';
import type { GraphBuilder } from './builder.js';
import type { Attributes, Value } from './graph.js';
import { math } from './math.js';

/**
 * The mean over `size` neighbouring channels of [N, C, ...], zeros outside counted, as a pool over
 * [N, 1, C, space]. Of an even number one more lies behind a channel than before it, or (`isAdjoint`)
 * before it than behind. Sizes of the space must be known.
 */
export function neighbourMean(builder: GraphBuilder, x: Value, size: number, isAdjoint = false): Value {
  const [n, channels, ...space] = x.shape as (number | string)[];
  const inner = (space as number[]).reduce((product, dim) => product * dim, 1),
    [less, more] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  const plane = builder.op('Reshape', [
    x,
    builder.ints([typeof n === 'number' ? n : -1, 1, channels as number, inner]),
  ]);
  const pooled = builder.op('AveragePool', [plane], {
    kernel_shape: [size, 1],
    strides: [1, 1],
    pads: isAdjoint ? [more, 0, less, 0] : [less, 0, more, 0],
    count_include_pad: 1,
  });
  return builder.op('Reshape', [pooled, builder.ints(x.shape.map((dim) => (typeof dim === 'number' ? dim : -1)))]);
}

export interface LocalResponse {
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
  readonly bias: number;
}

/** The attributes of LRN. */
export const localResponse = (attributes: Attributes): LocalResponse => ({
  size: numberOf(attributes, 'size', 1),
  alpha: numberOf(attributes, 'alpha', 1e-4),
  beta: numberOf(attributes, 'beta', 0.75),
  bias: numberOf(attributes, 'bias', 1),
});

/** s = bias + alpha * (mean of x^2 over neighbouring channels); LRN is x s^-beta. */
export function responseScale(builder: GraphBuilder, x: Value, { size, alpha, bias }: LocalResponse): Value {
  const m = math(builder);
  return m.add(m.mul(neighbourMean(builder, m.square(x), size), alpha), bias);
}
