import { listOf, numberOf, requiredList } from '../attributes.js';
import { invariant } from '../../errors.js';
import { sizeOf } from '../../tensor.js';
import type { Attributes } from '../graph.js';
import { windowOf, type Window } from '../window.js';
import { dense, type Dense } from './dense.js';
import type { Kernels } from './kernel.js';

/**
 * Positions that meet in a convolution: `count` of them, x by steps of `stride`, y by steps of one,
 * all with weight w.
 */
type Visit = (x: number, y: number, w: number, count: number, stride: number) => void;

/** Output positions o with 0 <= o * stride - pad + tap < size, as [first, end). */
function inside(size: number, output: number, stride: number, pad: number, tap: number): [number, number] {
  const first = Math.max(0, Math.ceil((pad - tap) / stride));
  return [first, Math.max(first, Math.min(output, Math.floor((size - 1 + pad - tap) / stride) + 1))];
}

/**
 * Walks over all products of a convolution of x [N, C, ...] with w [M, C / group, ...] (one to three
 * spatial axes).
 */
function walk(xDims: readonly number[], wDims: readonly number[], window: Window, group: number, visit: Visit): void {
  const [batch, channels] = xDims as [number, number],
    filters = wDims[0]!;
  invariant(
    channels === wDims[1]! * group && filters % group === 0,
    `a convolution of [${xDims.join(', ')}] with [${wDims.join(', ')}] in ${group} groups`,
  );
  invariant(window.kernel.length <= 3, 'convolutions over more than three axes are not supported');
  type Three = readonly [number, number, number];
  const three = (list: readonly number[], missing: number): Three =>
    [...[missing, missing].slice(list.length - 1), ...list] as unknown as Three;
  const input = three(xDims.slice(2), 1),
    kernel = three(window.kernel, 1),
    output = three(window.output, 1);
  const strides = three(window.strides, 1),
    dilations = three(window.dilations, 1),
    begin = three(window.begin, 0);
  /** Where tap `tap` of an axis meets: the outputs, and the input of the first of them. */
  const met = (axis: 0 | 1 | 2, tap: number): { first: number; end: number; from: number } => {
    const offset = tap * dilations[axis],
      [first, end] = inside(input[axis], output[axis], strides[axis], begin[axis], offset);
    return { first, end, from: first * strides[axis] - begin[axis] + offset };
  };
  const perGroup = wDims[1]!,
    filtersPerGroup = filters / group;
  /** All taps of one filter over one channel. */
  const walkPlane = (xPlane: number, yPlane: number, wPlane: number): void => {
    let w = wPlane;
    for (let kz = 0; kz < kernel[0]; kz++) {
      const z = met(0, kz);
      for (let ky = 0; ky < kernel[1]; ky++) {
        const y = met(1, ky);
        for (let kx = 0; kx < kernel[2]; kx++, w++) {
          const x = met(2, kx);
          for (let oz = z.first; oz < z.end; oz++) {
            const slice = (z.from + (oz - z.first) * strides[0]) * input[1];
            for (let oy = y.first; oy < y.end; oy++) {
              const row = slice + y.from + (oy - y.first) * strides[1],
                to = yPlane + (oz * output[1] + oy) * output[2] + x.first;
              visit(xPlane + row * input[2] + x.from, to, w, x.end - x.first, strides[2]);
            }
          }
        }
      }
    }
  };
  const [xSize, wSize, ySize] = [sizeOf(input), sizeOf(kernel), sizeOf(output)];
  for (let n = 0; n < batch; n++) {
    for (let f = 0; f < filters; f++) {
      const first = Math.floor(f / filtersPerGroup) * perGroup;
      for (let c = 0; c < perGroup; c++)
        walkPlane((n * channels + first + c) * xSize, (n * filters + f) * ySize, (f * perGroup + c) * wSize);
    }
  }
}

const groupOf = (attributes: Attributes): number => numberOf(attributes, 'group', 1);

/** y = w * x, the cross-correlation of ONNX Conv, without bias. */
function convolve(x: Dense, w: Dense, attributes: Attributes): Dense {
  const window = windowOf(attributes, x.dims.slice(2), w.dims.slice(2));
  const y = dense(x.dtype, [x.dims[0]!, w.dims[0]!, ...window.output]);
  walk(x.dims, w.dims, window, groupOf(attributes), (xAt, yAt, wAt, count, stride) => {
    const weight = w.data[wAt]!;
    for (let i = 0; i < count; i++) y.data[yAt + i]! += weight * x.data[xAt + i * stride]!;
  });
  return y;
}

/** The adjoint of the convolution in x: spreads dy over an array of `dims`. */
function spread(dy: Dense, w: Dense, attributes: Attributes, dims: readonly number[]): Dense {
  const window = windowOf(attributes, dims.slice(2), w.dims.slice(2));
  invariant(
    dy.data.length === dims[0]! * w.dims[0]! * sizeOf(window.output),
    `dy [${dy.dims.join(', ')}] does not belong to an input of [${dims.join(', ')}]`,
  );
  const dx = dense(dy.dtype, dims);
  walk(dims, w.dims, window, groupOf(attributes), (xAt, yAt, wAt, count, stride) => {
    const weight = w.data[wAt]!;
    for (let i = 0; i < count; i++) dx.data[xAt + i * stride]! += weight * dy.data[yAt + i]!;
  });
  return dx;
}

function addBias(y: Dense, bias: Dense | undefined): Dense {
  if (!bias) return y;
  const plane = sizeOf(y.dims.slice(2)),
    channels = y.dims[1]!;
  return dense(
    y.dtype,
    y.dims,
    y.data.map((value, i) => value + bias.data[Math.floor(i / plane) % channels]!),
  );
}

/**
 * Spatial sizes of ConvTranspose's result and its pads, as attributes of the convolution it is the
 * adjoint of.
 */
export function transposedWindow(
  attributes: Attributes,
  input: readonly number[],
  kernel: readonly number[],
): { output: number[]; attributes: Attributes } {
  const strides = listOf(attributes, 'strides') ?? kernel.map(() => 1),
    dilations = listOf(attributes, 'dilations') ?? kernel.map(() => 1);
  const extra = listOf(attributes, 'output_padding') ?? kernel.map(() => 0);
  const full = input.map((size, i) => strides[i]! * (size - 1) + extra[i]! + (kernel[i]! - 1) * dilations[i]! + 1);
  let pads = listOf(attributes, 'pads') ?? [...kernel, ...kernel].map(() => 0);
  const wanted = listOf(attributes, 'output_shape')?.slice(-input.length);
  const mode = attributes.auto_pad ?? 'NOTSET';
  if (wanted !== undefined || mode === 'SAME_UPPER' || mode === 'SAME_LOWER') {
    const total = full.map((size, i) => Math.max(0, size - (wanted?.[i] ?? input[i]! * strides[i]!)));
    const less = total.map((pad) => Math.floor(pad / 2)),
      more = total.map((pad, i) => pad - less[i]!);
    pads = mode === 'SAME_UPPER' ? [...less, ...more] : [...more, ...less];
  }
  const output = full.map((size, i) => size - pads[i]! - pads[i + input.length]!);
  return {
    output,
    attributes: { strides, dilations, pads, group: numberOf(attributes, 'group', 1), kernel_shape: kernel },
  };
}

/** Convolutions and their gradients. */
export const convolutions: Kernels = {
  Conv: ({ input, inputs, attributes }) => [addBias(convolve(input(0), input(1), attributes), inputs[2])],
  ConvTranspose: ({ input, inputs, attributes }) => {
    const x = input(0),
      w = input(1);
    const { output, attributes: forward } = transposedWindow(attributes, x.dims.slice(2), w.dims.slice(2));
    return [addBias(spread(x, w, forward, [x.dims[0]!, w.dims[1]! * groupOf(attributes), ...output]), inputs[2])];
  },
  ConvGradInput: ({ input, attributes }) => [
    spread(input(0), input(1), attributes, requiredList(attributes, 'input_shape')),
  ],
  ConvGradWeight: ({ input, attributes }) => {
    const x = input(0),
      dy = input(1),
      kernel = requiredList(attributes, 'kernel_shape'),
      group = groupOf(attributes);
    const dw = dense(x.dtype, [dy.dims[1]!, x.dims[1]! / group, ...kernel]);
    walk(x.dims, dw.dims, windowOf(attributes, x.dims.slice(2), kernel), group, (xAt, yAt, wAt, count, stride) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += x.data[xAt + i * stride]! * dy.data[yAt + i]!;
      dw.data[wAt]! += sum;
    });
    return [dw];
  },
};
