import { listOf, numberOf } from '../attributes.js';
import { formatShape, type Dim, type Shape } from '../graph.js';
import type { InferenceContext, InferenceRule } from './rule.js';
import { atLeast, fail, likeFirst, mayEqual, need, sameType } from './common.js';
import { addDims, multiplyDims } from './dims.js';
import { windowOf } from '../window.js';

/** The spatial sizes after a sliding window. */
function slide(context: InferenceContext, spatial: Shape, given: readonly number[]): readonly Dim[] {
  const { kernel, output } = windowOf(context.attributes, spatial, given, (message) => fail(context, message));
  if (output.some((size) => typeof size === 'number' && size < 1)) {
    fail(
      context,
      `with a ${kernel.join('x')} window does not fit an input of ${spatial.join('x')}; give larger images`,
    );
  }
  return output;
}

const conv: InferenceRule = (context) => {
  const [x, w] = [need(context, 0), need(context, 1)];
  const rank = x.shape.length;
  if (rank < 3 || w.shape.length !== rank) {
    fail(
      context,
      'needs an input and a weight of equal rank of at least 3, ' +
        `got ${formatShape(x.shape)} and ${formatShape(w.shape)}`,
    );
  }
  const group = numberOf(context.attributes, 'group', 1);
  const [n, channels] = x.shape as [Dim, Dim];
  if (!mayEqual(channels, multiplyDims(w.shape[1]!, group))) {
    fail(
      context,
      `has an input of ${channels} channels, but its weight ${formatShape(w.shape)} with group=${group} needs ` +
        `${multiplyDims(w.shape[1]!, group)}`,
    );
  }
  const kernel = listOf(context.attributes, 'kernel_shape') ?? (w.shape.slice(2) as number[]);
  if (kernel.some((k, i) => !mayEqual(k, w.shape[i + 2]!)))
    fail(context, `has kernel_shape ${kernel.join('x')} but a weight ${formatShape(w.shape)}`);
  return [{ dtype: sameType(context, [x, w]), shape: [n, w.shape[0]!, ...slide(context, x.shape.slice(2), kernel)] }];
};

const convTranspose: InferenceRule = (context) => {
  const [x, w] = [need(context, 0), need(context, 1)];
  const spatial = x.shape.slice(2);
  const kernel = listOf(context.attributes, 'kernel_shape') ?? (w.shape.slice(2) as number[]);
  const strides = listOf(context.attributes, 'strides') ?? spatial.map(() => 1);
  const dilations = listOf(context.attributes, 'dilations') ?? spatial.map(() => 1);
  const extra = listOf(context.attributes, 'output_padding') ?? spatial.map(() => 0);
  const pads = listOf(context.attributes, 'pads') ?? new Array<number>(2 * spatial.length).fill(0);
  const mode = context.attributes.auto_pad ?? 'NOTSET';
  const given = listOf(context.attributes, 'output_shape');
  if (!mayEqual(x.shape[1]!, w.shape[0]!))
    fail(context, `has an input ${formatShape(x.shape)} that does not fit its weight ${formatShape(w.shape)}`);
  // out = stride (in - 1) + output_padding + (k - 1) d + 1 - begin - end
  const sizes =
    given ??
    spatial.map((size, i) =>
      mode === 'SAME_UPPER' || mode === 'SAME_LOWER'
        ? multiplyDims(size, strides[i]!)
        : addDims(
            multiplyDims(size, strides[i]!),
            extra[i]! - strides[i]! + (kernel[i]! - 1) * dilations[i]! + 1 - pads[i]! - pads[i + spatial.length]!,
          ),
    );
  return [
    {
      dtype: x.dtype,
      shape: [x.shape[0]!, multiplyDims(w.shape[1]!, numberOf(context.attributes, 'group', 1)), ...sizes],
    },
  ];
};

const pool: InferenceRule = (context) => {
  const x = need(context, 0);
  if (x.shape.length < 3) fail(context, `needs an input of at least 3 dimensions, got ${formatShape(x.shape)}`);
  const kernel = listOf(context.attributes, 'kernel_shape') ?? fail(context, 'has no kernel_shape');
  const shape = [...x.shape.slice(0, 2), ...slide(context, x.shape.slice(2), kernel)];
  return atLeast(context, 1, [
    { dtype: x.dtype, shape },
    { dtype: 'int64', shape },
  ]);
};

const globalPool: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  return [{ dtype, shape: shape.map((dim, i) => (i < 2 ? dim : 1)) }];
};

/** [out, mean, variance] in training mode, else [out]. */
const batchNormalization: InferenceRule = (context) => {
  const x = need(context, 0);
  const channels = need(context, 1).shape;
  if (channels.length !== 1 || !mayEqual(channels[0]!, x.shape[1] ?? 1)) {
    fail(context, `has an input ${formatShape(x.shape)} but a scale of ${formatShape(channels)}`);
  }
  const statistics = { dtype: need(context, 3).dtype, shape: channels };
  const y = { dtype: x.dtype, shape: x.shape };
  return numberOf(context.attributes, 'training_mode', 0) === 1
    ? atLeast(context, 3, [y, statistics, statistics])
    : [y];
};

/**
 * [out] and, when asked for, the mean and 1 / standard deviation with the normalised axes kept as
 * 1.
 */
const layerNormalization: InferenceRule = (context) => {
  const x = need(context, 0);
  const axis = numberOf(context.attributes, 'axis', -1);
  const from = axis < 0 ? axis + x.shape.length : axis;
  const statistics = { dtype: x.dtype, shape: x.shape.map((dim, i) => (i < from ? dim : 1)) };
  return atLeast(context, 1, [{ dtype: x.dtype, shape: x.shape }, statistics, statistics]);
};

/**
 * onnxruntime's blocked layout: the logical shape stays, channels are padded by whoever builds the
 * graph.
 */
const reorderOutput: InferenceRule = (context) => {
  const x = need(context, 0);
  const channels = numberOf(context.attributes, 'channels', 0);
  const shape = x.shape.map((dim, i) => (i === 1 ? channels || dim : dim));
  return [
    {
      dtype: x.dtype,
      shape: numberOf(context.attributes, 'channels_last', 0) === 1 ? [shape[0]!, ...shape.slice(2), shape[1]!] : shape,
    },
  ];
};

export const windowRules: ReadonlyMap<string, InferenceRule> = new Map<string, InferenceRule>([
  ['Conv', conv],
  ['FusedConv', conv],
  ['ConvTranspose', convTranspose],
  ['MaxPool', pool],
  ['AveragePool', pool],
  ['GlobalAveragePool', globalPool],
  ['GlobalMaxPool', globalPool],
  ['BatchNormalization', batchNormalization],
  ['LayerNormalization', layerNormalization],
  ['ReorderInput', likeFirst],
  ['ReorderOutput', reorderOutput],
]);
