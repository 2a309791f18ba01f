import { axisOf, fromFront, listOf, numberOf, tensorOf, textOf } from '../attributes.js';
import { invariant } from '../../errors.js';
import { sizeOf } from '../../tensor.js';
import {
  around,
  broadcastData,
  broadcastDims,
  dense,
  fromTensor,
  range,
  takeAxes,
  transpose,
  type Dense,
} from './dense.js';
import { typeOfCode } from '../element-types.js';
import { axesOf, type KernelContext, type Kernels } from './kernel.js';

const reshape = (x: Dense, dims: readonly number[]): Dense => dense(x.dtype, dims, x.data);

const ints = (x: Dense): number[] => Array.from(x.data);

/** Index lists of a Slice, one per axis. */
function sliceIndices(context: KernelContext): number[][] {
  const { input, inputs } = context,
    x = input(0),
    rank = x.dims.length;
  const starts = ints(input(1)),
    ends = ints(input(2));
  const axes = inputs[3] ? ints(inputs[3]).map((axis) => fromFront(axis, rank)) : range(starts.length);
  const steps = inputs[4] ? ints(inputs[4]) : starts.map(() => 1);
  const indices = x.dims.map(range);
  axes.forEach((axis, i) => {
    const size = x.dims[axis],
      step = steps[i]!;
    invariant(size !== undefined && step !== 0, `Slice: axis ${axis} of ${rank} by steps of ${step}`);
    const clamp = (at: number, low: number, high: number): number =>
      Math.max(low, Math.min(high, at < 0 ? at + size : at));
    const start = clamp(starts[i]!, 0, step > 0 ? size : size - 1);
    const end = clamp(ends[i]!, step > 0 ? 0 : -1, size);
    const list: number[] = [];
    for (let at = start; step > 0 ? at < end : at > end; at += step) list.push(at);
    indices[axis] = list;
  });
  return indices;
}

/** Where a padded axis reads from: an index of the source, or -1 for the constant. */
function padIndex(at: number, size: number, mode: string): number {
  if (at >= 0 && at < size) return at;
  if (mode === 'constant') return -1;
  if (mode === 'edge') return at < 0 ? 0 : size - 1;
  if (mode === 'wrap') return ((at % size) + size) % size;
  invariant(mode === 'reflect', `Pad: mode ${mode} is not supported`);
  return at < 0 ? -at : 2 * (size - 1) - at;
}

function blocks(x: Dense, attributes: KernelContext['attributes'], deep: boolean): Dense {
  const b = numberOf(attributes, 'blocksize', 1),
    [n, c, h, w] = x.dims as [number, number, number, number];
  if (!deep) {
    // SpaceToDepth: [n, c, h/b, b, w/b, b] -> [n, b, b, c, h/b, w/b]
    const split = reshape(x, [n, c, h / b, b, w / b, b]);
    return reshape(transpose(split, [0, 3, 5, 1, 2, 4]), [n, c * b * b, h / b, w / b]);
  }
  const depth = c / (b * b);
  return textOf(attributes, 'mode', 'DCR') === 'DCR'
    ? reshape(transpose(reshape(x, [n, b, b, depth, h, w]), [0, 3, 4, 1, 5, 2]), [n, depth, h * b, w * b])
    : reshape(transpose(reshape(x, [n, depth, b, b, h, w]), [0, 1, 4, 2, 5, 3]), [n, depth, h * b, w * b]);
}

/** Ops that move or make elements without computing with them. */
export const shape: Kernels = {
  Reshape: ({ input, attributes }) => {
    const x = input(0),
      zero = numberOf(attributes, 'allowzero', 0) === 1;
    const dims = ints(input(1)).map((dim, i) => (dim === 0 && !zero ? x.dims[i]! : dim));
    const known = dims.filter((dim) => dim !== -1).reduce((a, b) => a * b, 1);
    return [
      reshape(
        x,
        dims.map((dim) => (dim === -1 ? (known === 0 ? 0 : x.data.length / known) : dim)),
      ),
    ];
  },
  Flatten: ({ input, attributes }) => {
    const x = input(0),
      axis = axisOf(attributes, x.dims.length, 1);
    return [reshape(x, [sizeOf(x.dims.slice(0, axis)), sizeOf(x.dims.slice(axis))])];
  },
  Squeeze: (context) => {
    const x = context.input(0),
      axes = axesOf(context, 1, x.dims.length) ?? range(x.dims.length).filter((axis) => x.dims[axis] === 1);
    return [
      reshape(
        x,
        x.dims.filter((_, axis) => !axes.includes(axis)),
      ),
    ];
  },
  Unsqueeze: (context) => {
    const x = context.input(0);
    const count = context.inputs[1]?.data.length ?? listOf(context.attributes, 'axes')?.length ?? 0;
    const dims = [...x.dims];
    for (const axis of axesOf(context, 1, x.dims.length + count) ?? []) dims.splice(axis, 0, 1);
    return [reshape(x, dims)];
  },
  Transpose: ({ input, attributes }) => {
    const x = input(0);
    return [transpose(x, listOf(attributes, 'perm') ?? range(x.dims.length).reverse())];
  },
  Concat: ({ inputs, attributes }) => {
    const parts = inputs.filter((input) => input !== undefined),
      first = parts[0]!;
    const axis = axisOf(attributes, first.dims.length, 0);
    const dims = first.dims.map((dim, i) =>
      i === axis ? parts.reduce((sum, part) => sum + part.dims[axis]!, 0) : dim,
    );
    const y = dense(first.dtype, dims),
      { outer } = around(dims, axis);
    let at = 0;
    for (let o = 0; o < outer; o++) {
      for (const part of parts) {
        const block = part.data.length / outer;
        y.data.set(part.data.subarray(o * block, (o + 1) * block), at);
        at += block;
      }
    }
    return [y];
  },
  Split: ({ input, inputs, attributes, outputCount }) => {
    const x = input(0),
      axis = axisOf(attributes, x.dims.length, 0);
    const chunk = Math.ceil(x.dims[axis]! / outputCount);
    const sizes = inputs[1]
      ? ints(inputs[1])
      : range(outputCount).map((i) => Math.max(0, Math.min(chunk, x.dims[axis]! - i * chunk)));
    let start = 0;
    return sizes.map((size) => {
      const from = start;
      start += size;
      return takeAxes(
        x,
        x.dims.map((dim, i) => (i === axis ? range(size).map((k) => from + k) : range(dim))),
      );
    });
  },
  Slice: (context) => [takeAxes(context.input(0), sliceIndices(context))],
  Expand: ({ input }) => {
    const x = input(0),
      dims = broadcastDims(x.dims, ints(input(1)));
    return [dense(x.dtype, dims, broadcastData(x, dims))];
  },
  Tile: ({ input }) => {
    const x = input(0),
      repeats = ints(input(1));
    return [
      takeAxes(
        x,
        x.dims.map((dim, axis) => range(dim * repeats[axis]!).map((i) => i % dim)),
      ),
    ];
  },
  Pad: ({ input, inputs, attributes }) => {
    const x = input(0),
      rank = x.dims.length,
      pads = ints(input(1)),
      mode = textOf(attributes, 'mode', 'constant');
    const axes = inputs[3] ? ints(inputs[3]).map((axis) => fromFront(axis, rank)) : range(rank);
    const indices = x.dims.map(range);
    axes.forEach((axis, i) => {
      const size = x.dims[axis]!,
        begin = pads[i]!,
        end = pads[i + axes.length]!;
      indices[axis] = range(size + begin + end).map((at) => padIndex(at - begin, size, mode));
    });
    return [takeAxes(x, indices, inputs[2]?.data[0] ?? 0)];
  },
  Shape: ({ input, attributes }) => {
    const dims = input(0).dims,
      rank = dims.length;
    const part = dims.slice(
      fromFront(numberOf(attributes, 'start', 0), rank),
      fromFront(numberOf(attributes, 'end', rank), rank),
    );
    return [dense('int64', [part.length], part)];
  },
  Size: ({ input }) => [dense('int64', [], [input(0).data.length])],
  Constant: ({ attributes }) => {
    const value = tensorOf(attributes, 'value');
    if (value) return [fromTensor(value)];
    const { value_float, value_floats, value_int, value_ints } = attributes as Record<
      string,
      number | readonly number[] | undefined
    >;
    if (typeof value_float === 'number') return [dense('float32', [], [value_float])];
    if (typeof value_int === 'number') return [dense('int64', [], [value_int])];
    if (value_floats !== undefined)
      return [dense('float32', [(value_floats as number[]).length], value_floats as number[])];
    invariant(value_ints !== undefined, 'Constant: its kind of value is not supported');
    return [dense('int64', [(value_ints as number[]).length], value_ints as number[])];
  },
  ConstantOfShape: ({ input, attributes }) => {
    const value = tensorOf(attributes, 'value'),
      dims = ints(input(0));
    const filler = value ? fromTensor(value).data[0]! : 0;
    return [dense(value?.dtype ?? 'float32', dims, new Float64Array(sizeOf(dims)).fill(filler))];
  },
  Range: ({ input }) => {
    const [start, limit, delta] = [0, 1, 2].map((i) => input(i).data[0]!) as [number, number, number];
    const count = Math.max(0, Math.ceil((limit - start) / delta));
    return [
      dense(
        input(0).dtype,
        [count],
        range(count).map((i) => start + i * delta),
      ),
    ];
  },
  EyeLike: ({ input, attributes }) => {
    const x = input(0),
      k = numberOf(attributes, 'k', 0),
      columns = x.dims[1]!;
    const dtype = attributes.dtype === undefined ? x.dtype : typeOfCode(numberOf(attributes, 'dtype', 1))!;
    return [
      dense(
        dtype,
        x.dims,
        x.data.map((_, i) => +(i % columns === Math.floor(i / columns) + k)),
      ),
    ];
  },
  Trilu: ({ input, inputs, attributes }) => {
    const x = input(0),
      k = inputs[1]?.data[0] ?? 0,
      upper = numberOf(attributes, 'upper', 1) === 1;
    const [rows, columns] = x.dims.slice(-2) as [number, number];
    return [
      dense(
        x.dtype,
        x.dims,
        x.data.map((value, i) => {
          const distance = (i % columns) - (Math.floor(i / columns) % rows) - k;
          return (upper ? distance >= 0 : distance <= 0) ? value : 0;
        }),
      ),
    ];
  },
  DepthToSpace: ({ input, attributes }) => [blocks(input(0), attributes, true)],
  SpaceToDepth: ({ input, attributes }) => [blocks(input(0), attributes, false)],
};
