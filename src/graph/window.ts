import { invariant } from '../errors.js';
import type { Attributes } from './graph.js';

/** How a convolution or pooling window walks over the spatial axes; one entry per axis. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Padding before the first element of each axis. */
  readonly begin: readonly number[];
  readonly end: readonly number[];
  /** Sizes of the result. */
  readonly output: readonly number[];
}

const list = (attributes: Attributes, name: string): readonly number[] | undefined =>
  attributes[name] as readonly number[] | undefined;

/**
 * Resolves strides, dilations, pads, `auto_pad` and `ceil_mode` of Conv and the pools for an input
 * of spatial sizes `input`. With `ceil_mode` a last window that would begin in the end padding is
 * left out, as in PyTorch.
 */
export function windowOf(
  attributes: Attributes,
  input: readonly number[],
  kernel = list(attributes, 'kernel_shape'),
): Window {
  invariant(
    kernel && kernel.length === input.length,
    `a window over ${input.length} axes needs a kernel_shape of that length`,
  );
  const strides = list(attributes, 'strides') ?? kernel.map(() => 1);
  const dilations = list(attributes, 'dilations') ?? kernel.map(() => 1);
  const reach = kernel.map((size, i) => (size - 1) * dilations[i]! + 1);
  const mode = attributes.auto_pad ?? 'NOTSET';
  const pads = list(attributes, 'pads') ?? [...kernel, ...kernel].map(() => 0);
  let begin = pads.slice(0, kernel.length),
    end = pads.slice(kernel.length);
  if (mode === 'VALID') {
    begin = end = kernel.map(() => 0);
  } else if (mode !== 'NOTSET') {
    // SAME: output = ceil(input / stride); an odd pad goes to the end (UPPER) or to the beginning
    // (LOWER)
    const total = input.map((size, i) =>
      Math.max(0, (Math.ceil(size / strides[i]!) - 1) * strides[i]! + reach[i]! - size),
    );
    const less = total.map((pad) => Math.floor(pad / 2)),
      more = total.map((pad) => Math.ceil(pad / 2));
    [begin, end] = mode === 'SAME_LOWER' ? [more, less] : [less, more];
  }
  const output = input.map((size, i) => {
    const room = size + begin[i]! + end[i]! - reach[i]!;
    if (attributes.ceil_mode !== 1) return Math.floor(room / strides[i]!) + 1;
    const count = Math.ceil(room / strides[i]!) + 1;
    return (count - 1) * strides[i]! >= size + begin[i]! ? count - 1 : count;
  });
  return { kernel, strides, dilations, begin, end, output };
}
