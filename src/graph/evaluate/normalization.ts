import { axisOf, numberOf } from '../attributes.js';
import { sizeOf } from '../../tensor.js';
import { around, dense, type Dense } from './dense.js';
import type { Kernels } from './kernel.js';

/** Mean and population variance of each group; `groupOf(i)` names the group of element i. */
function moments(
  x: Dense,
  groups: number,
  groupOf: (i: number) => number,
): { mean: Float64Array; variance: Float64Array } {
  const mean = new Float64Array(groups),
    variance = new Float64Array(groups),
    count = x.data.length / groups;
  for (let i = 0; i < x.data.length; i++) mean[groupOf(i)]! += x.data[i]! / count;
  for (let i = 0; i < x.data.length; i++) variance[groupOf(i)]! += (x.data[i]! - mean[groupOf(i)]!) ** 2 / count;
  return { mean, variance };
}

/** The channel of element i of [N, C, ...]. */
function channelOf(dims: readonly number[]): (i: number) => number {
  const plane = sizeOf(dims.slice(2)),
    channels = dims[1]!;
  return (i) => Math.floor(i / plane) % channels;
}

/** How elements were normalised. */
interface Statistics {
  /** Of each group. */
  readonly mean: ArrayLike<number>;
  /** 1 / sqrt(variance + epsilon) of each group. */
  readonly inverse: ArrayLike<number>;
  /** Whether they are those of the group itself, or given numbers. */
  readonly own: boolean;
  /** The group of element i. */
  readonly groupOf: (i: number) => number;
  /** The place in `scale` of element i. */
  readonly scaleOf: (i: number) => number;
}

/**
 * The gradient of y = scale * xhat + bias with xhat = (x - mean) * inverse: dxhat = dy * scale; dx =
 * inverse * (dxhat - mean(dxhat) - xhat * mean(dxhat * xhat)) with the group's own statistics, or
 * inverse * dxhat.
 */
function normalizationGradient(dy: Dense, x: Dense, scale: Dense, statistics: Statistics): Dense[] {
  const { mean, inverse, own, groupOf, scaleOf } = statistics;
  const groups = mean.length,
    count = x.data.length / groups;
  const meanD = new Float64Array(groups),
    meanDX = new Float64Array(groups);
  const dx = dense(x.dtype, x.dims),
    dscale = dense(x.dtype, scale.dims),
    dbias = dense(x.dtype, scale.dims);
  for (let i = 0; i < x.data.length; i++) {
    const g = groupOf(i),
      s = scaleOf(i),
      xhat = (x.data[i]! - mean[g]!) * inverse[g]!,
      dxhat = dy.data[i]! * scale.data[s]!;
    dscale.data[s]! += dy.data[i]! * xhat;
    dbias.data[s]! += dy.data[i]!;
    meanD[g]! += dxhat / count;
    meanDX[g]! += (dxhat * xhat) / count;
  }
  for (let i = 0; i < x.data.length; i++) {
    const g = groupOf(i),
      xhat = (x.data[i]! - mean[g]!) * inverse[g]!,
      dxhat = dy.data[i]! * scale.data[scaleOf(i)]!;
    dx.data[i] = inverse[g]! * (own ? dxhat - meanD[g]! - xhat * meanDX[g]! : dxhat);
  }
  return [dx, dscale, dbias];
}

/** Normalisations and their gradients. */
export const normalization: Kernels = {
  BatchNormalization: ({ input, attributes, outputCount }) => {
    const [x, scale, bias, mean, variance] = [0, 1, 2, 3, 4].map(input) as [Dense, Dense, Dense, Dense, Dense];
    const epsilon = numberOf(attributes, 'epsilon', 1e-5),
      momentum = numberOf(attributes, 'momentum', 0.9);
    const training = numberOf(attributes, 'training_mode', 0) === 1,
      channel = channelOf(x.dims);
    const own = training ? moments(x, scale.data.length, channel) : { mean: mean.data, variance: variance.data };
    const y = x.data.map((value, i) => {
      const c = channel(i);
      return ((value - own.mean[c]!) / Math.sqrt(own.variance[c]! + epsilon)) * scale.data[c]! + bias.data[c]!;
    });
    const running = (old: Dense, now: Float64Array): Dense =>
      dense(
        old.dtype,
        old.dims,
        old.data.map((value, c) => value * momentum + now[c]! * (1 - momentum)),
      );
    return [dense(x.dtype, x.dims, y), running(mean, own.mean), running(variance, own.variance)].slice(0, outputCount);
  },
  BatchNormalizationGrad: ({ input, attributes, outputCount }) => {
    const dy = input(0),
      x = input(1),
      scale = input(2),
      channel = channelOf(x.dims);
    const inverse = input(4).data.map((variance) => 1 / Math.sqrt(variance + numberOf(attributes, 'epsilon', 1e-5)));
    return normalizationGradient(dy, x, scale, {
      mean: input(3).data,
      inverse,
      own: numberOf(attributes, 'training_mode', 0) === 1,
      groupOf: channel,
      scaleOf: channel,
    }).slice(0, outputCount);
  },
  LayerNormalization: ({ input, inputs, attributes, outputCount }) => {
    const x = input(0),
      scale = input(1),
      bias = inputs[2],
      axis = axisOf(attributes, x.dims.length, -1);
    const inner = sizeOf(x.dims.slice(axis)),
      group = (i: number): number => Math.floor(i / inner);
    const { mean, variance } = moments(x, x.data.length / inner, group);
    const inverse = variance.map((value) => 1 / Math.sqrt(value + numberOf(attributes, 'epsilon', 1e-5)));
    const y = x.data.map(
      (value, i) =>
        (value - mean[group(i)]!) * inverse[group(i)]! * scale.data[i % scale.data.length]! +
        (bias ? bias.data[i % bias.data.length]! : 0),
    );
    const dims = x.dims.map((dim, i) => (i < axis ? dim : 1));
    return [dense(x.dtype, x.dims, y), dense(x.dtype, dims, mean), dense(x.dtype, dims, inverse)].slice(0, outputCount);
  },
  LayerNormalizationGrad: ({ input, attributes, outputCount }) => {
    const dy = input(0),
      x = input(1),
      scale = input(2),
      inner = sizeOf(x.dims.slice(axisOf(attributes, x.dims.length, -1)));
    return normalizationGradient(dy, x, scale, {
      mean: input(3).data,
      inverse: input(4).data,
      own: true,
      groupOf: (i) => Math.floor(i / inner),
      scaleOf: (i) => i % scale.data.length,
    }).slice(0, outputCount);
  },
  InstanceNormalization: ({ input, attributes }) => {
    const x = input(0),
      plane = sizeOf(x.dims.slice(2)),
      group = (i: number): number => Math.floor(i / plane),
      channel = channelOf(x.dims);
    const { mean, variance } = moments(x, x.dims[0]! * x.dims[1]!, group);
    return [
      dense(
        x.dtype,
        x.dims,
        x.data.map((value, i) => {
          const g = group(i),
            c = channel(i);
          return (
            ((value - mean[g]!) / Math.sqrt(variance[g]! + numberOf(attributes, 'epsilon', 1e-5))) * input(1).data[c]! +
            input(2).data[c]!
          );
        }),
      ),
    ];
  },
  LRN: ({ input, attributes }) => {
    const x = input(0),
      size = numberOf(attributes, 'size', 1),
      { size: channels, inner, outer } = around(x.dims, 1);
    const alpha = numberOf(attributes, 'alpha', 1e-4),
      beta = numberOf(attributes, 'beta', 0.75),
      bias = numberOf(attributes, 'bias', 1);
    const y = dense(x.dtype, x.dims);
    for (let n = 0; n < outer; n++) {
      for (let c = 0; c < channels; c++) {
        const first = Math.max(0, c - Math.floor((size - 1) / 2)),
          last = Math.min(channels - 1, c + Math.ceil((size - 1) / 2));
        for (let i = 0; i < inner; i++) {
          let sum = 0;
          for (let k = first; k <= last; k++) sum += x.data[(n * channels + k) * inner + i]! ** 2;
          const at = (n * channels + c) * inner + i;
          y.data[at] = x.data[at]! / (bias + (alpha / size) * sum) ** beta;
        }
      }
    }
    return [y];
  },
};
