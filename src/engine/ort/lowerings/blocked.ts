import type { Attributes, Value } from '../../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import { isSized, type Sized } from '../sized.js';
import type { AffineOptions, Fusible, InBlocks, LoweringContext } from '../lowering.js';
import { inputGradientConvolution, isDepthwise, windowAttributes, type Convolution, type Pair } from './convolution.js';
import { reorder } from './reorder.js';

/**
 * onnxruntime's blocked layout, domain `com.microsoft.nchwc`: an activation [N, C, H, W] is kept in
 * memory as [N, C/b, H, W, b] with b = 16 (AVX-512) or 8 channels next to each other, C filled up
 * with zero channels to a multiple of b. Its shape is written [N, C filled up, H, W]. Filters O x I
 * x kh x kw are kept as [O/b, I/b, kh, kw, b of I, b of O], or [C/b, kh, kw, b] when depthwise.
 * Weights change every step, so they are put in order inside the graph.
 */

export const filled = (channels: number, block: number): number => Math.ceil(channels / block) * block;

/** A node of onnxruntime's blocked domain. */
export const nchwc = (
  e: Emitter,
  op: string,
  inputs: readonly (Sized | null)[],
  attributes: Attributes,
  shape: readonly number[],
): Sized => e.emit(op, inputs, attributes, shape, { domain: 'com.microsoft.nchwc' });

/** Plain to blocked; the number of channels must be a multiple of 4. */
export const toBlocked = (e: Emitter, x: Sized, block: number): Sized =>
  nchwc(e, 'ReorderInput', [x], {}, [x.shape[0]!, filled(x.shape[1]!, block), ...x.shape.slice(2)]);

/** Blocked to plain. */
export const toPlain = (e: Emitter, x: Sized, channels: number): Sized =>
  nchwc(e, 'ReorderOutput', [x], { channels }, [x.shape[0]!, channels, ...x.shape.slice(2)]);

/** Zeros after the end of some axes, up to the sizes given. */
const fill = (e: Emitter, x: Sized, sizes: readonly number[]): Sized =>
  e.pad(
    x,
    sizes.map(() => 0),
    sizes.map((size, i) => size - x.shape[i]!),
  );

/** Numbers per channel [C] filled up with zeros. */
export const fillChannels = (e: Emitter, x: Sized, block: number): Sized => fill(e, x, [filled(x.shape[0]!, block)]);

/** The first numbers of a filled-up [C]. */
export const dropFilling = (e: Emitter, x: Sized, channels: number): Sized => e.slice(x, [0], [0], [channels]);

/** Whether channels can be blocked without much waste. */
export const canBlock = (channels: number, block: number): boolean =>
  block > 0 && channels % 4 === 0 && channels >= block && filled(channels, block) <= channels * 1.5;

/** float32 [N, C, H, W] with known sizes, more than one pixel and channels worth blocking. */
export function isImage(value: Value, block: number): value is Sized {
  if (value.dtype !== 'float32' || value.shape.length !== 4 || !isSized(value)) return false;
  return value.shape[2]! * value.shape[3]! > 1 && canBlock(value.shape[1]!, block);
}

/** A result that an addition or an activation may be fused with. */
export function fusible(context: LoweringContext, compute: Fusible): [InBlocks] {
  const blocked = compute({});
  context.fusible.set(blocked.name, compute);
  return [{ blocked }];
}

/** How the blocked kernels compute a convolution; the one with few inputs takes a plain image. */
export type BlockedKind = 'depthwise' | 'dense' | 'few inputs';

/** How the blocked kernels can compute a convolution: undefined when they cannot. */
export function blockedKind(c: Convolution, block: number): BlockedKind | undefined {
  if (block === 0 || c.input[0] * c.input[1] === 1) return undefined;
  if (isDepthwise(c)) return canBlock(c.group, block) ? 'depthwise' : undefined;
  if (c.group > 1) {
    return (c.inputChannels / c.group) % block === 0 && (c.outputChannels / c.group) % block === 0
      ? 'dense'
      : undefined;
  }
  if (!canBlock(c.outputChannels, block)) return undefined;
  if (canBlock(c.inputChannels, block)) return 'dense';
  return c.inputChannels < block ? 'few inputs' : undefined;
}

/** Filters [O, I/g, kh, kw] in the order that the forward kernels want. */
function forwardFilters(e: Emitter, w: Sized, c: Convolution, kind: BlockedKind, block: number): Sized {
  const [kh, kw] = c.kernel;
  const outputs = filled(c.outputChannels, block);
  if (kind !== 'dense') {
    const inputs = w.shape[1]!;
    const parts = e.reshape(fill(e, w, [outputs, inputs, kh, kw]), [outputs / block, block, inputs, kh, kw]);
    return e.reshape(reorder(e, parts, [0, 2, 3, 4, 1]), [outputs, inputs, kh, kw]);
  }
  const inputs = filled(w.shape[1]!, block);
  const parts = e.reshape(fill(e, w, [outputs, inputs, kh, kw]), [
    outputs / block,
    block,
    inputs / block,
    block,
    kh,
    kw,
  ]);
  return e.reshape(reorder(e, parts, [0, 2, 4, 5, 3, 1]), [outputs, inputs, kh, kw]);
}

/**
 * Filters turned around for the gradient of the input: flipped in space, inputs and outputs
 * exchanged within groups.
 */
function backwardFilters(e: Emitter, w: Sized, c: Convolution, kind: 'depthwise' | 'dense', block: number): Sized {
  const [kh, kw] = c.kernel;
  const flipped = kh * kw === 1 ? w : e.slice(w, [2, 3], [kh - 1, kw - 1], [-1, -1], [-1, -1]);
  if (kind === 'depthwise') return forwardFilters(e, flipped, c, kind, block);
  const [outputs, inputs] = [filled(c.outputChannels / c.group, block), filled(c.inputChannels / c.group, block)];
  const parts = e.reshape(fill(e, flipped, [outputs * c.group, inputs, kh, kw]), [
    c.group,
    outputs / block,
    block,
    inputs / block,
    block,
    kh,
    kw,
  ]);
  return e.reshape(reorder(e, parts, [0, 3, 1, 5, 6, 2, 4]), [inputs * c.group, outputs, kh, kw]);
}

/** The attributes of a blocked Conv whose channels are filled up. */
const filledAttributes = (c: Convolution, block: number): Attributes =>
  windowAttributes({ ...c, group: isDepthwise(c) ? filled(c.group, block) : c.group });

/**
 * Forward convolution of a blocked x (plain with few input channels) to a blocked y, to be computed
 * with what follows.
 */
export function blockedConvolution(
  e: Emitter,
  x: Sized,
  { w, bias }: { readonly w: Sized; readonly bias?: Sized | undefined },
  c: Convolution,
  { kind, block }: { readonly kind: BlockedKind; readonly block: number },
): Fusible {
  const weights = { filters: forwardFilters(e, w, c, kind, block), bias: bias && fillChannels(e, bias, block) };
  const output = {
    attributes: filledAttributes(c, block),
    shape: [c.batch, filled(c.outputChannels, block), ...c.output],
  };
  return (options) => convolve(e, x, weights, output, options);
}

/**
 * Zeros between the pixels of a blocked [N, C, H, W] so that it has steps of `strides`, and as many
 * after the last: [N, C, H sh, W sw].
 */
function spread(e: Emitter, x: Sized, strides: Pair, block: number): Sized {
  const [batch, channels, rows, columns] = x.shape as [number, number, number, number];
  const lines = e.reshape(x, [((batch * channels) / block) * rows, 1, columns, block]);
  const wide = e.pad(lines, [0, 0, 0, 0], [0, strides[0] - 1, 0, (strides[1] - 1) * block]);
  return e.reshape(wide, [batch, channels, rows * strides[0], columns * strides[1]]);
}

/**
 * Gradient of the input of a convolution, blocked from blocked dy, or undefined where the blocked
 * kernels cannot: a stride-1 convolution with filters turned around; strided depthwise filters see
 * dy with zeros in between, strided 1x1 ones run on dy as it is and their result is spread.
 */
export function blockedInputGradient(
  e: Emitter,
  dy: Sized,
  w: Sized,
  c: Convolution,
  block: number,
): Fusible | undefined {
  const kind = blockedKind(c, block);
  if (kind === undefined || kind === 'few inputs') return undefined;
  const shape = [c.batch, filled(c.inputChannels, block), ...c.input];
  const filters = backwardFilters(e, w, c, kind, block);
  const run =
    (image: Sized, back: Convolution, to: readonly number[]): Fusible =>
    (options) =>
      convolve(e, image, { filters }, { attributes: filledAttributes(back, block), shape: to }, options);
  const direct = inputGradientConvolution(c);
  if (direct) return run(dy, direct, shape);
  const exact = [0, 1].every((i) => c.input[i] === c.output[i]! * c.strides[i]!);
  const noExtent = c.kernel.every((n) => n === 1) && [...c.before, ...c.after].every((n) => n === 0);
  if (noExtent && exact) {
    const small: Convolution = { ...c, input: c.output, strides: [1, 1] };
    const result = spread(
      e,
      run(dy, inputGradientConvolution(small)!, [c.batch, shape[1]!, ...c.output])({}),
      c.strides,
      block,
    );
    return ({ plus }) => (plus ? e.add(result, plus) : result);
  }
  if (kind !== 'depthwise') return undefined;
  const reach = [0, 1].map((i) => c.dilations[i]! * (c.kernel[i]! - 1));
  const before = [0, 1].map((i) => reach[i]! - c.before[i]!) as unknown as Pair;
  const after = [0, 1].map(
    (i) => c.input[i]! - c.output[i]! * c.strides[i]! - before[i]! + reach[i]!,
  ) as unknown as Pair;
  if ([...before, ...after].some((n) => n < 0)) return undefined;
  const input = [c.output[0] * c.strides[0], c.output[1] * c.strides[1]] as const;
  return run(spread(e, dy, c.strides, block), { ...c, input, output: c.input, strides: [1, 1], before, after }, shape);
}

/**
 * Gradient of depthwise filters from blocked x and dy, plain [C, 1, kh, kw]: in memory a blocked dy
 * is a bank of N C depthwise filters, so one convolution with the batch as channels gives the
 * gradient per sample.
 */
export function blockedDepthwiseGradient(
  e: Emitter,
  dy: Sized,
  x: Sized,
  c: Convolution,
  block: number,
): Sized | undefined {
  const channels = x.shape[1]!;
  const after = [0, 1].map(
    (i) => c.dilations[i]! * (c.kernel[i]! - 1) + c.strides[i]! * (c.output[i]! - 1) + 1 - c.input[i]! - c.before[i]!,
  );
  const result = [0, 1].map((i) => c.kernel[i]! + Math.ceil(Math.max(0, -after[i]!) / c.dilations[i]!));
  const pads = after.map((n) => Math.max(0, n));
  const group = c.batch * channels;
  const image = e.reshape(x, [1, group, ...c.input]);
  const filters = e.reshape(dy, [group, 1, ...c.output]);
  const perSample = nchwc(
    e,
    'Conv',
    [image, filters],
    {
      kernel_shape: [...c.output],
      strides: [...c.dilations],
      dilations: [...c.strides],
      pads: [...c.before, ...pads],
      group,
    },
    [1, group, ...result],
  );
  const sum = e.sum(e.reshape(perSample, [c.batch, channels * result[0]! * result[1]!]), [0]);
  const blocks = e.slice(e.reshape(sum, [channels / block, result[0]!, result[1]!, block]), [1, 2], [0, 0], c.kernel);
  const ordered = e.reshape(reorder(e, blocks, [0, 3, 1, 2]), [channels, 1, ...c.kernel]);
  return dropFilling(e, ordered, c.group);
}

/**
 * a x + b per channel (both [C filled up]) over a blocked x in one pass: a depthwise 1x1
 * convolution.
 */
export function affine(e: Emitter, x: Sized, a: Sized, b: Sized | undefined, options: AffineOptions = {}): Sized {
  const group = x.shape[1]!;
  const attributes = { kernel_shape: [1, 1], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], group };
  return convolve(e, x, { filters: e.reshape(a, [group, 1, 1, 1]), bias: b }, { attributes, shape: x.shape }, options);
}

/** A blocked Conv node. */
function convolve(
  e: Emitter,
  x: Sized,
  { filters, bias }: { readonly filters: Sized; readonly bias?: Sized | undefined },
  { attributes, shape }: { readonly attributes: Attributes; readonly shape: readonly number[] },
  { plus, activation }: AffineOptions,
): Sized {
  const inputs: (Sized | null)[] = [x, filters];
  if (bias || plus) inputs.push(bias ?? null);
  if (plus) inputs.push(plus);
  return nchwc(e, 'Conv', inputs, { ...attributes, ...activationAttributes(activation) }, shape);
}

/** The attributes with which a blocked Conv applies an activation to its result. */
function activationAttributes(activation: AffineOptions['activation']): Attributes {
  if (!activation) return {};
  const { name, parameters } = activation;
  return parameters.length > 0 ? { activation: name, activation_params: [...parameters] } : { activation: name };
}

/** Rows of pixels that are summed in one go: few enough terms that float32 loses little. */
function stripe(rows: number, columns: number): number {
  for (let count = rows; count > 1; count--) if (rows % count === 0 && count * columns <= 256) return count;
  return 1;
}

/**
 * A blocked tensor as channels of stripes: [1, N C H / stripe, stripe, W]. In memory nothing
 * changes.
 */
function stripes(e: Emitter, x: Sized): { view: Sized; groups: number; rows: number } {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const rows = stripe(height, width);
  const groups = batch * channels * (height / rows);
  return { view: e.reshape(x, [1, groups, rows, width]), groups, rows };
}

/** Mean over batch and pixels of a blocked x: [C filled up]. */
export function blockedMean(e: Emitter, x: Sized, block: number): Sized {
  const { view, groups, rows } = stripes(e, x);
  const means = nchwc(e, 'GlobalAveragePool', [view], {}, [1, groups, 1, 1]);
  const parts = e.reshape(means, [x.shape[0]!, x.shape[1]! / block, x.shape[2]! / rows, block]);
  const mean = e.emit('ReduceMean', [parts], { axes: [0, 2], keepdims: 0 }, [x.shape[1]! / block, block]);
  return e.reshape(mean, [x.shape[1]!]);
}

/**
 * Sum over batch and pixels of x y, both blocked, without writing the product: y's stripes are
 * filters over x's. [C filled up].
 */
export function blockedProductSum(e: Emitter, x: Sized, y: Sized, block: number): Sized {
  const { view, groups, rows } = stripes(e, x);
  const kernel = [rows, x.shape[3]!];
  const sums = nchwc(
    e,
    'Conv',
    [view, e.reshape(y, [groups, 1, ...kernel])],
    {
      kernel_shape: kernel,
      strides: [1, 1],
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
      group: groups,
    },
    [1, groups, 1, 1],
  );
  const parts = e.reshape(sums, [x.shape[0]!, x.shape[1]! / block, x.shape[2]! / rows, block]);
  return e.reshape(e.sum(parts, [0, 2]), [x.shape[1]!]);
}

/** Mean over the pixels of each sample and channel, plain [N, C, 1, 1]. */
export function blockedGlobalAverage(e: Emitter, x: Sized, channels: number): Sized {
  const [batch, all] = x.shape as [number, number];
  // with one pixel the blocked order is the plain one
  return e.slice(nchwc(e, 'GlobalAveragePool', [x], {}, [batch, all, 1, 1]), [1], [0], [channels]);
}

/** MaxPool or AveragePool of a blocked x. */
export const blockedPool = (
  e: Emitter,
  op: 'MaxPool' | 'AveragePool',
  x: Sized,
  attributes: Attributes,
  output: Pair,
): Sized => nchwc(e, op, [x], attributes, [x.shape[0]!, x.shape[1]!, ...output]);

/**
 * x times a number for every sample and channel, s plain [N, C, 1, 1]: depthwise 1x1 with the batch
 * as channels.
 */
export function blockedSampleScale(e: Emitter, x: Sized, s: Sized): Sized {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const weights = fill(e, s, [batch, channels, 1, 1]);
  const scaled = affine(
    e,
    e.reshape(x, [1, batch * channels, height, width]),
    e.reshape(weights, [batch * channels]),
    undefined,
  );
  return e.reshape(scaled, x.shape);
}
