import { numberOf } from '../../../graph/attributes.js';
import { PupilError } from '../../../errors.js';
import type { Attributes } from '../../../graph/graph.js';
import { windowOf } from '../../../graph/window.js';
import type { Emitter } from '../emitter.js';
import type { Sized } from '../sized.js';

/** A two-dimensional window with every number known. */
export interface Window {
  /** Height and width of input, output, kernel. */
  readonly input: Pair;
  readonly output: Pair;
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
  /** Zeros before and after, [height, width]; all attributes as in ONNX. */
  readonly before: Pair;
  readonly after: Pair;
}

/** A two-dimensional convolution with every number known. */
export interface Convolution extends Window {
  readonly batch: number;
  readonly inputChannels: number;
  readonly outputChannels: number;
  readonly group: number;
}

export type Pair = readonly [number, number];

/**
 * The window of a convolution or a pool over [N, C, H, W]. Throws `unsupported` unless it has two
 * spatial axes.
 */
export function windowOver(
  name: string,
  attributes: Attributes,
  input: readonly number[],
  kernel?: readonly number[],
): Window {
  if (input.length !== 4) {
    throw new PupilError(
      'unsupported',
      `${name}: only two-dimensional windows can be trained, got input [${input.join(', ')}]`,
    );
  }
  const { begin, end, ...window } = windowOf(attributes, input.slice(2), kernel);
  const two = (list: readonly number[]): Pair => [list[0]!, list[1]!];
  return {
    input: two(input.slice(2)),
    output: two(window.output),
    kernel: two(window.kernel),
    strides: two(window.strides),
    dilations: two(window.dilations),
    before: two(begin),
    after: two(end),
  };
}

/** The convolution of x [N, C, H, W] with filters [O, C/group, kh, kw]. */
export function convolutionOf(
  name: string,
  attributes: Attributes,
  x: readonly number[],
  w: readonly number[],
): Convolution {
  return {
    ...windowOver(name, attributes, x, w.slice(2)),
    batch: x[0]!,
    inputChannels: x[1]!,
    outputChannels: w[0]!,
    group: numberOf(attributes, 'group', 1),
  };
}

/** The attributes of a Conv or ConvTranspose node. */
export const windowAttributes = (c: Window & { readonly group: number }): Attributes => ({
  kernel_shape: [...c.kernel],
  strides: [...c.strides],
  dilations: [...c.dilations],
  pads: [...c.before, ...c.after],
  group: c.group,
});

export const isDepthwise = (c: Convolution): boolean =>
  c.group > 1 && c.group === c.inputChannels && c.group === c.outputChannels;

const unitStride = (c: Convolution): boolean => c.strides[0] === 1 && c.strides[1] === 1;

/**
 * The stride-1 convolution of dy that gives dx, or undefined when the strides or paddings do not
 * allow it: dx[h] = sum_k dy[h + p - d k] w[k] = conv(dy, w flipped, padding d (k-1) - p).
 */
export function inputGradientConvolution(c: Convolution): Convolution | undefined {
  const before = [0, 1].map((i) => c.dilations[i]! * (c.kernel[i]! - 1) - c.before[i]!) as unknown as Pair;
  const after = [0, 1].map((i) => c.dilations[i]! * (c.kernel[i]! - 1) - c.after[i]!) as unknown as Pair;
  if (!unitStride(c) || [...before, ...after].some((n) => n < 0)) return undefined;
  return {
    ...c,
    inputChannels: c.outputChannels,
    outputChannels: c.inputChannels,
    input: c.output,
    output: c.input,
    before,
    after,
  };
}

/**
 * Filters [O, C/g, kh, kw] flipped in space and with channels exchanged within groups: [C, O/g, kh,
 * kw].
 */
export function flippedFilters(e: Emitter, w: Sized, c: Convolution): Sized {
  const [kh, kw] = c.kernel;
  const flipped = kh * kw === 1 ? w : e.slice(w, [2, 3], [kh - 1, kw - 1], [-1, -1], [-1, -1]);
  const outputs = c.outputChannels / c.group;
  const inputs = c.inputChannels / c.group;
  if (outputs === 1 && inputs === 1) return flipped;
  const grouped = e.reshape(flipped, [c.group, outputs, inputs, kh, kw]);
  return e.reshape(e.transpose(grouped, [0, 2, 1, 3, 4]), [c.inputChannels, outputs, kh, kw]);
}

/**
 * dx of a convolution from dy [N, O, OH, OW] and its filters: a convolution where that is possible,
 * else ConvTranspose.
 */
export function plainInputGradient(e: Emitter, dy: Sized, w: Sized, c: Convolution): Sized {
  const shape = [c.batch, c.inputChannels, ...c.input];
  const back = inputGradientConvolution(c);
  if (back) return e.emit('Conv', [dy, flippedFilters(e, w, c)], windowAttributes(back), shape);
  // rows of x that no window reaches: s (OH-1) + d (k-1) + 1 - padding falls short of H by them
  const reached = [0, 1].map(
    (i) => c.strides[i]! * (c.output[i]! - 1) + c.dilations[i]! * (c.kernel[i]! - 1) + 1 - c.before[i]! - c.after[i]!,
  );
  const rest = [0, 1].map((i) => c.input[i]! - reached[i]!);
  return e.emit('ConvTranspose', [dy, w], { ...windowAttributes(c), output_padding: rest }, shape);
}

/** The parts of x [N, C, H, W] that the filter's taps (row, column) meet, each [N, C, OH, OW]. */
function tapsOf(e: Emitter, x: Sized, c: Convolution): (row: number, column: number) => Sized {
  const ends = [0, 1].map((i) => (c.kernel[i]! - 1) * c.dilations[i]! + (c.output[i]! - 1) * c.strides[i]! + 1);
  if (unitStride(c) || c.kernel[0] * c.kernel[1] === 1) {
    const padded = e.pad(x, [0, 0, ...c.before], [0, 0, ...c.after]);
    return (row, column) => {
      const start = [row * c.dilations[0], column * c.dilations[1]];
      const end = [0, 1].map((i) => start[i]! + (c.output[i]! - 1) * c.strides[i]! + 1);
      return e.slice(padded, [2, 3], start, end, unitStride(c) ? undefined : [...c.strides]);
    };
  }
  // pixels of equal phase (row mod stride, column mod stride) are put together once: then taps are
  // whole stretches of rows
  const [sh, sw] = c.strides;
  const sizes = [0, 1].map((i) => Math.ceil(ends[i]! / c.strides[i]!));
  const rest = [0, 1].map((i) => sizes[i]! * c.strides[i]! - c.input[i]! - c.before[i]!);
  const padded = e.pad(x, [0, 0, ...c.before], [0, 0, ...rest]);
  const parts = e.reshape(padded, [c.batch, c.inputChannels, sizes[0]!, sh, sizes[1]!, sw]);
  const phases = e.transpose(parts, [3, 5, 0, 1, 2, 4]);
  const known = new Map<number, Sized>();
  const phase = (index: number): Sized => {
    let image = known.get(index);
    if (!image) {
      const flat = e.reshape(phases, [sh * sw, c.batch, c.inputChannels, sizes[0]!, sizes[1]!]);
      image = e.reshape(e.slice(flat, [0], [index], [index + 1]), [c.batch, c.inputChannels, sizes[0]!, sizes[1]!]);
      known.set(index, image);
    }
    return image;
  };
  return (row, column) => {
    const [y, x] = [row * c.dilations[0], column * c.dilations[1]];
    const start = [Math.floor(y / sh), Math.floor(x / sw)];
    return e.slice(phase((y % sh) * sw + (x % sw)), [2, 3], start, [start[0]! + c.output[0], start[1]! + c.output[1]]);
  };
}

/** How dense filter gradients may be computed; which is fastest depends on the shape. */
export const filterGradientMethods = ['banks', 'samples', 'rows', 'exchanged'] as const;
export type FilterGradientMethod = (typeof filterGradientMethods)[number];

/**
 * dw [O, C/g, kh, kw] of a convolution: dw[o, c, k] = sum over n, p of dy[n, o, p] x[n, c, s p + d
 * k - pad].
 *  - `banks`: by blocked convolutions (filter-banks.ts), where those are at hand; else as `rows`;
 *  - `samples`: for every tap a matrix product per sample, then a sum over the samples;
 *  - `rows`: channels-first matrices over all samples at once, one product per tap (group 1);
 *  - `exchanged`: one convolution with batch and channels exchanged, strides and dilations
 *    exchanged (group 1).
 */
export function plainFilterGradient(
  e: Emitter,
  dy: Sized,
  x: Sized,
  c: Convolution,
  method: FilterGradientMethod,
): Sized {
  if (c.group > 1) return samples(e, dy, x, c);
  return { samples, rows, banks: rows, exchanged }[method](e, dy, x, c);
}

function samples(e: Emitter, dy: Sized, x: Sized, c: Convolution): Sized {
  const { group, batch } = c;
  const [outputs, inputs] = [c.outputChannels / group, c.inputChannels / group];
  const pixels = c.output[0] * c.output[1];
  const tap = tapsOf(e, x, c);
  const left = e.reshape(dy, [batch, group, outputs, pixels]);
  return fromTaps(e, c, group === 1 ? Math.max(1, Math.floor(64 / inputs)) : 1, (places) => {
    const joined = e.concat(
      places.map(([row, column]) => tap(row, column)),
      1,
    );
    const right = e.reshape(joined, [batch, group, places.length * inputs, pixels]);
    return e.sum(e.matmul(left, right, { transB: true }), [0]);
  });
}

function rows(e: Emitter, dy: Sized, x: Sized, c: Convolution): Sized {
  const pixels = c.batch * c.output[0] * c.output[1];
  // channels take the place of samples
  const tap = tapsOf(e, e.transpose(x, [1, 0, 2, 3]), { ...c, batch: c.inputChannels, inputChannels: c.batch });
  const left = e.reshape(e.transpose(dy, [1, 0, 2, 3]), [c.outputChannels, pixels]);
  return fromTaps(e, c, 1, ([place]) => {
    const right = e.reshape(tap(...place!), [c.inputChannels, pixels]);
    return e.matmul(left, right, { transB: true });
  });
}

function exchanged(e: Emitter, dy: Sized, x: Sized, c: Convolution): Sized {
  const image = e.transpose(x, [1, 0, 2, 3]);
  const filters = e.transpose(dy, [1, 0, 2, 3]);
  const size = [0, 1].map((i) => c.input[i]! + c.before[i]! + c.after[i]! - c.strides[i]! * (c.output[i]! - 1));
  const full = e.emit(
    'Conv',
    [image, filters],
    windowAttributes({
      ...c,
      group: 1,
      kernel: c.output,
      strides: c.dilations,
      dilations: c.strides,
    }),
    [c.inputChannels, c.outputChannels, Math.ceil(size[0]! / c.dilations[0]), Math.ceil(size[1]! / c.dilations[1])],
  );
  return e.transpose(e.slice(full, [2, 3], [0, 0], c.kernel), [1, 0, 2, 3]);
}

/**
 * dw from products for some taps at a time, each [O, taps C/g]. Few input channels make small
 * products: taps are joined then.
 */
function fromTaps(e: Emitter, c: Convolution, joined: number, product: (places: readonly Pair[]) => Sized): Sized {
  const places = Array.from({ length: c.kernel[0] * c.kernel[1] }, (_, k): Pair => [
    Math.floor(k / c.kernel[1]),
    k % c.kernel[1],
  ]);
  const inputs = c.inputChannels / c.group;
  const parts: Sized[] = [];
  for (let from = 0; from < places.length; from += joined) {
    const taken = places.slice(from, from + joined);
    parts.push(e.reshape(product(taken), [c.outputChannels, taken.length, inputs]));
  }
  const all = e.transpose(e.concat(parts, 1), [0, 2, 1]);
  return e.reshape(all, [c.outputChannels, inputs, ...c.kernel]);
}
