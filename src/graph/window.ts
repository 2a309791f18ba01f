import { listOf, numberOf, textOf } from './attributes.js';
import { formatShape, type Attributes, type Dim } from './graph.js';
import { addDims, divideDims } from './inference/dims.js';

/** How a convolution or pooling window walks over the spatial axes; one entry per axis. */
export interface Window<D extends Dim = number> {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Padding before the first element of each axis. */
  readonly begin: readonly number[];
  readonly end: readonly number[];
  /** Sizes of the result; of sizes that are names, a formula of these. */
  readonly output: readonly D[];
}

/** What a window cannot do, in words that follow the op's name. */
type Refuse = (message: string) => never;
const refuseWindow: Refuse = (message) => {
  throw new Error(`a window ${message}`);
};

/**
 * Resolves strides, dilations, pads, `auto_pad` and `ceil_mode` of Conv and the pools for an input
 * of spatial sizes `input`: floor or ceil((in + begin + end - ((k - 1) d + 1)) / stride) + 1. With
 * `ceil_mode` a last window that would begin in the end padding is left out, as in PyTorch.
 */
export function windowOf<D extends Dim>(
  attributes: Attributes,
  input: readonly D[],
  kernel = listOf(attributes, 'kernel_shape'),
  refuse = refuseWindow,
): Window<D> {
  const rank = input.length;
  if (!kernel) return refuse('has no kernel_shape');
  const strides = listOf(attributes, 'strides') ?? kernel.map(() => 1),
    dilations = listOf(attributes, 'dilations') ?? kernel.map(() => 1);
  const reach = kernel.map((size, i) => (size - 1) * dilations[i]! + 1),
    [begin, end] = padsOf(attributes, input, { reach, strides }, refuse);
  if ([kernel, strides, dilations, begin, end].some((list) => list.length !== rank))
    return refuse(`has strides, dilations, pads or a kernel that do not fit ${rank} spatial dimensions`);
  const isCeil = numberOf(attributes, 'ceil_mode', 0) === 1;
  const output = input.map((size, i) => {
    const room = addDims(size, begin[i]! + end[i]! - reach[i]!),
      count = addDims(divideDims(room, strides[i]!, isCeil ? 'ceil' : 'floor'), 1);
    const isBeyond =
      isCeil && typeof count === 'number' && typeof size === 'number' && (count - 1) * strides[i]! >= size + begin[i]!;
    return (isBeyond ? count - 1 : count) as D;
  });
  return { kernel, strides, dilations, begin, end, output };
}

/** Padding before and after. `auto_pad` needs known sizes, unless the stride is 1. */
function padsOf(
  attributes: Attributes,
  input: readonly Dim[],
  { reach, strides }: { readonly reach: readonly number[]; readonly strides: readonly number[] },
  refuse: Refuse,
): readonly [begin: readonly number[], end: readonly number[]] {
  const mode = textOf(attributes, 'auto_pad', 'NOTSET'),
    none = reach.map(() => 0);
  if (mode === 'VALID') return [none, none];
  if (mode === 'NOTSET') {
    const pads = listOf(attributes, 'pads') ?? [...none, ...none];
    return [pads.slice(0, pads.length / 2), pads.slice(pads.length / 2)];
  }
  // SAME: output = ceil(input / stride); an odd pad goes to the end (UPPER) or to the beginning
  // (LOWER)
  const total = input.map((size, i) => {
    if (strides[i] === 1) return reach[i]! - 1;
    if (typeof size === 'string')
      return refuse(`with auto_pad=${mode} needs a fixed image size, got ${formatShape(input)}`);
    return Math.max(0, (Math.ceil(size / strides[i]!) - 1) * strides[i]! + reach[i]! - size);
  });
  const less = total.map((pad) => Math.floor(pad / 2)),
    more = total.map((pad) => Math.ceil(pad / 2));
  return mode === 'SAME_LOWER' ? [more, less] : [less, more];
}
