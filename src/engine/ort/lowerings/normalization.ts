import { sizeOf } from '../../../tensor.js';
import type { Emitter } from '../emitter.js';
import type { Sized } from '../sized.js';

/** Gradients of a normalisation: dx and, where asked for, those of scale and bias. */
export interface NormalizationGradients {
  readonly dx: Sized;
  readonly dscale: Sized;
  readonly dbias: Sized;
}

/** What a BatchNormalization normalises by, each [C]. */
export interface ChannelStatistics {
  readonly mean: Sized;
  readonly variance: Sized;
  readonly epsilon: number;
  /** Whether they are the batch's own, so that the gradient passes through them. */
  readonly isOfBatch: boolean;
}

/** Per-channel numbers that a BatchNormalization gradient comes down to: dx = a dy + b x + c. */
export interface ChannelGradient {
  readonly a: Sized;
  /** Absent when the statistics are constants (running ones): then dx = a dy. */
  readonly b: Sized | undefined;
  readonly c: Sized | undefined;
  readonly dscale: Sized;
  readonly dbias: Sized;
}

/** Sums over batch and pixels, each [C]. */
export interface ChannelSums {
  readonly dy: Sized;
  readonly dyx: Sized;
  /** Values per channel that were summed. */
  readonly count: number;
}

/**
 * The coefficients of dx from sums over batch and pixels, all of shape [C]. With xhat = (x - mean)
 * r, r = 1 / sqrt(var + epsilon), n values per channel: dbias = sum dy, dscale = r (sum dy x - mean
 * sum dy), and, through batch statistics, dx = scale r (dy - dbias / n - xhat dscale / n).
 */
export function channelGradient(
  e: Emitter,
  sums: ChannelSums,
  scale: Sized,
  { mean, variance, epsilon, isOfBatch }: ChannelStatistics,
): ChannelGradient {
  const rate = inverseRoot(e, variance, epsilon);
  const dscale = e.mul(e.sub(sums.dyx, e.mul(mean, sums.dy)), rate);
  const a = e.mul(scale, rate);
  if (!isOfBatch) return { a, b: undefined, c: undefined, dscale, dbias: sums.dy };
  const b = e.scale(e.mul(e.mul(a, rate), dscale), -1 / sums.count);
  const c = e.neg(e.add(e.scale(e.mul(a, sums.dy), 1 / sums.count), e.mul(b, mean)));
  return { a, b, c, dscale, dbias: sums.dy };
}

/** 1 / sqrt(variance + epsilon). */
export function inverseRoot(e: Emitter, variance: Sized, epsilon: number): Sized {
  const shifted = e.add(variance, epsilon);
  return e.emit('Reciprocal', [e.sqrt(shifted)], {}, shifted.shape);
}

/**
 * Sums over batch and pixels of dy and of dy x: first over the pixels of each sample, which keeps
 * rounding small.
 */
export function channelSums(e: Emitter, dy: Sized, x: Sized): ChannelSums {
  const [batch, channels] = [x.shape[0]!, x.shape[1]!];
  const pixels = sizeOf(x.shape.slice(2));
  const sum = (t: Sized): Sized => e.sum(e.sum(e.reshape(t, [batch, channels, pixels]), [2]), [0]);
  return { dy: sum(dy), dyx: sum(e.mul(dy, x)), count: batch * pixels };
}

/**
 * a x + b per channel, written as BatchNormalization with mean 0 and variance 1, which is one pass.
 */
export function perChannel(e: Emitter, x: Sized, a: Sized, b: Sized | undefined): Sized {
  const zeros = e.floats(a.shape, new Float32Array(a.shape[0]!));
  const ones = e.floats(a.shape, new Float32Array(a.shape[0]!).fill(1));
  return e.emit('BatchNormalization', [x, a, b ?? zeros, zeros, ones], { epsilon: 0 }, x.shape);
}

/** Gradients of BatchNormalization over x [N, C, ...]. */
export function batchNormalizationGradient(
  e: Emitter,
  dy: Sized,
  x: Sized,
  scale: Sized,
  statistics: ChannelStatistics,
): NormalizationGradients {
  const { a, b, c, dscale, dbias } = channelGradient(e, channelSums(e, dy, x), scale, statistics);
  const scaled = perChannel(e, dy, a, c);
  return { dx: b ? e.add(scaled, perChannel(e, x, b, undefined)) : scaled, dscale, dbias };
}

/**
 * Gradients of LayerNormalization over `axis` and those after it, from its mean and rate r = 1 /
 * sqrt(var + epsilon). With xhat = (x - mean) r and g = dy scale: dx = r (g - mean(g) - xhat mean(g
 * xhat)).
 */
export function layerNormalizationGradient(
  e: Emitter,
  dy: Sized,
  x: Sized,
  scale: Sized,
  { axis, ...statistics }: { readonly mean: Sized; readonly rate: Sized; readonly axis: number },
): NormalizationGradients {
  const first = (axis + x.shape.length) % x.shape.length;
  const rows = sizeOf(x.shape.slice(0, first));
  const columns = sizeOf(x.shape.slice(first));
  const gradient = e.reshape(dy, [rows, columns]);
  const average = (t: Sized): Sized => e.emit('ReduceMean', [t], { axes: [1], keepdims: 1 }, [rows, 1]);
  const centred = e.sub(e.reshape(x, [rows, columns]), e.reshape(statistics.mean, [rows, 1]));
  const rate = e.reshape(statistics.rate, [rows, 1]);
  const normal = e.mul(centred, rate);
  const product = e.mul(gradient, normal);
  const scaled = e.mul(gradient, e.reshape(scale, [columns]));
  const correction = e.add(average(scaled), e.mul(normal, average(e.mul(scaled, normal))));
  const dx = e.mul(e.sub(scaled, correction), rate);
  return {
    dx: e.reshape(dx, x.shape),
    dscale: e.reshape(e.sum(product, [0]), scale.shape),
    dbias: e.reshape(e.sum(gradient, [0]), scale.shape),
  };
}

/**
 * BatchNormalization with the batch's own statistics: y, and the running ones momentum old + (1 -
 * momentum) new. onnxruntime writes the node's second and third output over its mean and variance
 * inputs, even when those are fed or used elsewhere; so it gets numbers that nobody else reads
 * (with its momentum at 0 their values do not count).
 */
export function trainedNormalization(
  e: Emitter,
  x: Sized,
  { scale, bias }: { readonly scale: Sized; readonly bias: Sized },
  running: readonly [mean: Sized, variance: Sized],
  options: { readonly epsilon: number; readonly momentum: number },
): readonly [y: Sized, mean: Sized, variance: Sized] {
  const channels = [x.shape[1]!];
  const flat = e.reshape(x, [sizeOf(x.shape)]);
  const first = e.slice(flat, [0], [0], channels);
  const scratch = [first, e.neg(first)];
  const attributes = { epsilon: options.epsilon, momentum: 0, training_mode: 1 };
  const [y, ...statistics] = e.emitAll('BatchNormalization', [x, scale, bias, ...scratch], attributes, x.shape, {
    more: [{ shape: channels }, { shape: channels }],
  });
  const [mean, variance] = mixed(e, running, [statistics[0]!, statistics[1]!], options.momentum);
  return [y!, mean, variance];
}

/** momentum old + (1 - momentum) new, for mean and variance. */
export function mixed(
  e: Emitter,
  old: readonly [Sized, Sized],
  now: readonly [Sized, Sized],
  momentum: number,
): readonly [Sized, Sized] {
  if (momentum === 0) return now;
  const mix = (i: 0 | 1): Sized => e.add(e.scale(old[i], momentum), e.scale(now[i], 1 - momentum));
  return [mix(0), mix(1)];
}
