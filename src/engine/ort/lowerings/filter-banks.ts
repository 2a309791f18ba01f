import type { Emitter } from '../emitter.js';
import type { Sized } from '../sized.js';
import { dropFilling, filled, nchwc, toBlocked, toPlain } from './blocked.js';
import type { Convolution } from './convolution.js';
import { reorder } from './reorder.js';

/**
 * Gradients of dense filters by the blocked convolution kernels, which are about twice as fast as
 * products of matrices: dw[o, c, k] = sum over n, p of dy[n, o, p] x[n, c, s p + d k - pad]. In
 * memory a blocked dy [N, O/b, H, W, b] is N filters of one channel and H x W taps for each of O
 * outputs, which slide over the image x: k becomes the position, s the dilation, d the stride.
 */

/** An image in either layout: convolutions of few channels have it in plain order. */
export interface Image {
  readonly value: Sized;
  readonly isBlocked: boolean;
}

/** Numbers that the kernels may write before they are summed over samples: 16 MB. */
const largest = 2 ** 22;

/**
 * Samples that one convolution sums over: a larger filter is worth it where there are few pixels.
 */
function samplesOf(batch: number, few: boolean, block: number): number {
  if (few && batch % block === 0) return batch;
  for (let count = Math.min(8, block - 1); count > 1; count--) if (batch % count === 0) return count;
  return 1;
}

/**
 * Samples take the place of channels, of which the kernels want fewer than a block or whole blocks.
 */
const wholeBatch = (batch: number, block: number): number => (batch < block ? batch : filled(batch, block));

/**
 * With samples of zeros after the last, up to a number that the kernels take; they add nothing to a
 * sum.
 */
const fillSamples = (e: Emitter, x: Sized, block: number): Sized =>
  e.pad(x, [0, 0, 0, 0], [wholeBatch(x.shape[0]!, block) - x.shape[0]!, 0, 0, 0]);

/**
 * A sum over the samples of a batch: of two images [N, ...] at once, or where that would take many samples of zeros,
 * of equal parts of them. 20 samples are two times 10, less work than 32 of which 12 are zeros.
 */
function overSamples(
  e: Emitter,
  [x, y]: readonly [Sized, Sized],
  block: number,
  sum: (x: Sized, y: Sized) => Sized,
): Sized {
  const batch = x.shape[0]!,
    pieces = wholeBatch(batch, block) < 1.25 * batch ? 1 : piecesOf(batch, block);
  const part = (value: Sized, i: number): Sized =>
    e.slice(value, [0], [(i * batch) / pieces], [((i + 1) * batch) / pieces]);
  return Array.from({ length: pieces }, (_, i) => sum(part(x, i), part(y, i))).reduce((all, one) => e.add(all, one));
}

/** Of a batch the fewest equal parts, of five samples at least, that are less than a block; 1 where there are none. */
function piecesOf(batch: number, block: number): number {
  for (let pieces = 2; 5 * pieces <= batch; pieces++) if (batch % pieces === 0 && batch / pieces < block) return pieces;
  return 1;
}

/**
 * Whether a dense filter gradient has enough taps in each filter: with few, products of matrices
 * are as fast.
 */
export function suitsBanks(c: Convolution, block: number): boolean {
  const pixels = c.output[0] * c.output[1];
  return block > 0 && c.group === 1 && samplesOf(wholeBatch(c.batch, block), true, block) * pixels >= 64;
}

/**
 * Blocked activations as filters over `samples` inputs: [N/samples F, samples, H, W] in the order
 * that the kernels want.
 */
function bank(e: Emitter, x: Sized, samples: number, block: number): Sized {
  const [batch, channels, ...pixels] = x.shape as [number, number, number, number];
  const taps = pixels[0] * pixels[1];
  if (samples < block) {
    const parts = e.reshape(x, [batch / samples, samples, channels / block, taps * block]);
    return e.reshape(samples === 1 ? parts : e.transpose(parts, [0, 2, 1, 3]), [
      (batch / samples) * channels,
      samples,
      ...pixels,
    ]);
  }
  const parts = e.reshape(x, [batch / block, block, channels / block, taps, block]);
  return e.reshape(e.transpose(parts, [2, 0, 3, 1, 4]), [channels, batch, ...pixels]);
}

/** Sums [groups, ...] over the first axis. */
const overGroups = (e: Emitter, x: Sized): Sized => (x.shape[0] === 1 ? e.reshape(x, x.shape.slice(1)) : e.sum(x, [0]));

/**
 * x with zeros at the sides of every row, or without its last columns, and without the last rows:
 * plain, samples as channels [C, N, H, W]. Pixels after the last that a window reaches are missing
 * where `bottom` and `right` are positive, and left over where negative.
 */
function exchangedImage(
  e: Emitter,
  x: Image,
  c: Convolution,
  [bottom, right]: readonly [bottom: number, right: number],
  block: number,
): Sized {
  const [rows, columns] = [c.input[0] + Math.min(0, bottom), c.input[1] + Math.min(0, right)];
  const step = x.isBlocked ? block : 1,
    channels = x.value.shape[1]!,
    planes = (c.batch * channels) / step;
  // In blocks, too, a plane is rows of pixels, which have `step` numbers.
  const whole = e.reshape(x.value, [planes, c.input[0], c.input[1] * step]);
  const lines = e.reshape(e.slice(whole, [1, 2], [0, 0], [rows, columns * step]), [planes * rows, columns * step]);
  const width = c.before[1] + columns + Math.max(0, right);
  const wide = e.reshape(e.pad(lines, [0, c.before[1] * step], [0, Math.max(0, right) * step]), [
    c.batch,
    channels,
    rows,
    width,
  ]);
  return e.transpose(x.isBlocked ? toPlain(e, wide, c.inputChannels) : wide, [1, 0, 2, 3]);
}

/**
 * dw [O, C, kh, kw] from x and a blocked dy: x's channels take the place of samples and its samples
 * that of channels. Zeros at the sides are written, since the kernels compute the positions that
 * reach over an edge one at a time.
 */
export function bankFilterGradient(e: Emitter, dy: Sized, x: Image, c: Convolution, block: number): Sized {
  const outputs = dy.shape[1]!,
    taps = c.kernel[0] * c.kernel[1];
  const sums = overSamples(e, [dy, x.value], block, (some, value) =>
    tapSums(e, some, { ...x, value }, { ...c, batch: value.shape[0]! }, block),
  );
  const sum = e.reshape(sums, [c.inputChannels, outputs / block, taps, block]);
  const filters = e.reshape(reorder(e, sum, [1, 3, 0, 2]), [outputs, c.inputChannels, ...c.kernel]);
  return dropFilling(e, filters, c.outputChannels);
}

/** The sums over samples and pixels that dw is made of: [C, O kh kw], O in blocks. */
function tapSums(e: Emitter, dy: Sized, x: Image, convolution: Convolution, block: number): Sized {
  const c = { ...convolution, batch: wholeBatch(convolution.batch, block) };
  const outputs = dy.shape[1]!;
  const taps = c.kernel[0] * c.kernel[1];
  const few = c.output[0] * c.output[1] <= 64 || (c.batch / 8) * outputs * c.inputChannels * taps > largest;
  const samples = samplesOf(c.batch, few, block);
  const groups = c.batch / samples;
  const ends = ([0, 1] as const).map(
    (i) => c.dilations[i] * (c.kernel[i] - 1) + c.strides[i] * (c.output[i] - 1) + 1 - c.input[i] - c.before[i],
  ) as [bottom: number, right: number];
  const image = exchangedImage(e, { ...x, value: fillSamples(e, x.value, block) }, c, ends, block);
  const sums = nchwc(
    e,
    'Conv',
    [samples < block ? image : toBlocked(e, image, block), bank(e, fillSamples(e, dy, block), samples, block)],
    {
      kernel_shape: [...c.output],
      strides: [...c.dilations],
      dilations: [...c.strides],
      pads: [c.before[0], 0, Math.max(0, ends[0]), 0],
      group: groups,
    },
    [c.inputChannels, groups * outputs, ...c.kernel],
  );
  const parts = e.reshape(sums, [c.inputChannels, groups, outputs * taps]);
  return groups === 1 ? e.reshape(parts, [c.inputChannels, outputs * taps]) : e.sum(parts, [1]);
}

/**
 * dw of 1x1 filters as [F, M] = sum over n, p of filters[n, f, p] image[n, m, p], from blocked
 * activations with F channels and plain ones with M: the planes of a sample lie one after the
 * other, so that one convolution with steps of a plane gives a row of M numbers.
 */
export function planeProducts(e: Emitter, filters: Sized, image: Sized, block: number): Sized {
  const outputs = filters.shape[1]!,
    planes = image.shape[1]!;
  const sum = overSamples(e, [filters, image], block, (some, value) => planeSums(e, some, value, block));
  const parts = e.reshape(sum, [outputs / block, planes, block]);
  return e.reshape(e.transpose(parts, [0, 2, 1]), [outputs, planes]);
}

/** The sums that these products are made of: [F M], F in blocks. */
function planeSums(e: Emitter, filters: Sized, image: Sized, block: number): Sized {
  const [, outputs, ...size] = filters.shape as [number, number, number, number];
  const batch = wholeBatch(filters.shape[0]!, block);
  const planes = image.shape[1]!;
  const pixels = size[0] * size[1];
  const samples = pixels >= 128 && batch * outputs * planes <= largest ? 1 : samplesOf(batch, false, block);
  const groups = batch / samples;
  const shaped = e.reshape(bank(e, fillSamples(e, filters, block), samples, block), [
    groups * outputs,
    samples,
    1,
    pixels,
  ]);
  const sums = nchwc(
    e,
    'Conv',
    [e.reshape(fillSamples(e, image, block), [1, batch, 1, planes * pixels]), shaped],
    {
      kernel_shape: [1, pixels],
      strides: [1, pixels],
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
      group: groups,
    },
    [1, groups * outputs, 1, planes],
  );
  return overGroups(e, e.reshape(sums, [groups, outputs * planes]));
}
