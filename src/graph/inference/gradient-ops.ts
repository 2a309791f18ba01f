import { activationGradients } from '../activations.js';
import { numberOf } from '../attributes.js';
import { invariant } from '../../errors.js';
import type { Value } from '../graph.js';
import type { InferenceContext, InferenceRule } from './rule.js';

function required({ inputs, name, op }: InferenceContext, count: number): Value[] {
  return Array.from({ length: count }, (_, index) => {
    const value = inputs[index];
    invariant(value, `${name}: ${op} needs input ${index}`);
    return value;
  });
}

function ints({ attributes, name, op }: InferenceContext, attribute: string): readonly number[] {
  const list = attributes[attribute];
  invariant(Array.isArray(list), `${name}: ${op} needs the attribute ${attribute}`);
  return list as readonly number[];
}

/** dy, x and scale come first: the results are shaped like x, scale and scale. */
const normalization: InferenceRule = (context) => {
  const [, x, scale] = required(context, 5) as [Value, Value, Value];
  return [x, scale, scale].map(({ dtype, shape }) => ({ dtype, shape }));
};

const likeInputShape =
  (inputCount: number): InferenceRule =>
  (context) => {
    const dy = required(context, inputCount)[0]!;
    return [{ dtype: dy.dtype, shape: ints(context, 'input_shape') }];
  };

/**
 * Types and shapes of the ops of the domain `pupil`: gradients that stay whole until an engine
 * lowers them. Their attributes are those of the forward op with pads as numbers (never
 * `auto_pad`), and `input_shape`, the whole shape of the forward input:
 *
 *     ConvGradInput(dy, w; kernel_shape, strides, pads, dilations, group, input_shape) -> dx
 *     ConvGradWeight(x, dy; kernel_shape, strides, pads, dilations, group) -> dw
 *     BatchNormalizationGrad(dy, x, scale, mean, var; epsilon, training_mode) -> dx, dscale, dbias
 *       (training_mode 1: mean and var, the population variance, are the batch's own; 0: constants)
 *     LayerNormalizationGrad(dy, x, scale, mean, inv_std; axis) -> dx, dscale, dbias
 *     MaxPoolGrad(x, y, dy; kernel_shape, strides, pads, dilations, ceil_mode) -> dx (the first
 *       maximum of a window takes all)
 *     AveragePoolGrad(dy; kernel_shape, strides, pads, dilations, ceil_mode, count_include_pad,
 *       input_shape) -> dx
 *     ClipGrad(dy, y; low, high) -> dx (dy where low < y < high, else 0; y is the clipped result)
 *     SwishGrad(dy, x; alpha), GeluGrad(dy, x; approximate), HardSwishGrad(dy, x),
 *       MishGrad(dy, x) -> dx
 */
export const gradientOpRules: ReadonlyMap<string, InferenceRule> = new Map<string, InferenceRule>([
  ['ConvGradInput', likeInputShape(2)],
  [
    'ConvGradWeight',
    (context) => {
      const [x, dy] = required(context, 2) as [Value, Value];
      const channels = x.shape[1]!,
        filters = dy.shape[1]!,
        group = numberOf(context.attributes, 'group', 1);
      invariant(typeof channels === 'number', `${context.name}: the number of channels must be known`);
      return [{ dtype: x.dtype, shape: [filters, channels / group, ...ints(context, 'kernel_shape')] }];
    },
  ],
  ['BatchNormalizationGrad', normalization],
  ['LayerNormalizationGrad', normalization],
  [
    'MaxPoolGrad',
    (context) => {
      const { dtype, shape } = required(context, 3)[0]!;
      return [{ dtype, shape }];
    },
  ],
  ['AveragePoolGrad', likeInputShape(1)],
  ...['ClipGrad', ...activationGradients.values()].map((op): [string, InferenceRule] => [
    op,
    (context) => {
      const { dtype, shape } = required(context, 2)[0]!;
      return [{ dtype, shape }];
    },
  ]),
]);
