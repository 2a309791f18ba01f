import { axisOf, numberOf, textOf } from '../attributes.js';
import { invariant } from '../../errors.js';
import { sizeOf } from '../../tensor.js';
import { around, dense, offsets, stridesOf, type Dense } from './dense.js';
import type { KernelContext, Kernels } from './kernel.js';

/** An index counted from the front, which must exist. */
const indexFromFront = (index: number, size: number): number => {
  const at = index < 0 ? index + size : index;
  invariant(at >= 0 && at < size, `index ${index} is outside an axis of size ${size}`);
  return at;
};

/** For GatherElements and ScatterElements: where element i of the indices points to in the data. */
function elementPlaces(data: Dense, indices: Dense, axis: number): Int32Array {
  const strides = stridesOf(data.dims),
    size = data.dims[axis]!;
  const at = offsets(
    indices.dims,
    strides.map((stride, i) => (i === axis ? 0 : stride)),
  );
  return at.map((base, i) => base + indexFromFront(indices.data[i]!, size) * strides[axis]!);
}

/**
 * For GatherND and ScatterND: where each slice that the last axis of the indices names begins, and
 * its size.
 */
function slicePlaces(data: Dense, indices: Dense, batchDims: number): { starts: number[]; size: number } {
  const depth = indices.dims[indices.dims.length - 1]!,
    strides = stridesOf(data.dims);
  const count = indices.data.length / depth,
    batches = sizeOf(data.dims.slice(0, batchDims));
  const perBatch = count / batches,
    batchSize = sizeOf(data.dims.slice(batchDims));
  const starts = Array.from({ length: count }, (_, i) => {
    let at = Math.floor(i / perBatch) * batchSize;
    for (let k = 0; k < depth; k++)
      at += indexFromFront(indices.data[i * depth + k]!, data.dims[batchDims + k]!) * strides[batchDims + k]!;
    return at;
  });
  return { starts, size: sizeOf(data.dims.slice(batchDims + depth)) };
}

/** How a scattered value joins the one that is there. */
function joining({ attributes }: KernelContext): (old: number, update: number) => number {
  const reduction = textOf(attributes, 'reduction', 'none');
  const ways: Record<string, (old: number, update: number) => number> = {
    none: (_, update) => update,
    add: (old, update) => old + update,
    mul: (old, update) => old * update,
    max: (old, update) => Math.max(old, update),
    min: (old, update) => Math.min(old, update),
  };
  const way = ways[reduction];
  invariant(way, `reduction ${reduction} is not supported`);
  return way;
}

/** Ops that read or write by index. */
export const indexing: Kernels = {
  Gather: ({ input, attributes }) => {
    const x = input(0),
      indices = input(1),
      axis = axisOf(attributes, x.dims.length, 0);
    const { outer, size, inner } = around(x.dims, axis),
      count = indices.data.length;
    const y = dense(x.dtype, [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)]);
    for (let o = 0; o < outer; o++) {
      for (let k = 0; k < count; k++) {
        const from = (o * size + indexFromFront(indices.data[k]!, size)) * inner;
        y.data.set(x.data.subarray(from, from + inner), (o * count + k) * inner);
      }
    }
    return [y];
  },
  GatherElements: ({ input, attributes }) => {
    const x = input(0),
      indices = input(1);
    const places = elementPlaces(x, indices, axisOf(attributes, x.dims.length, 0));
    return [
      dense(
        x.dtype,
        indices.dims,
        Float64Array.from(places, (at) => x.data[at]!),
      ),
    ];
  },
  GatherND: ({ input, attributes }) => {
    const x = input(0),
      indices = input(1),
      batchDims = numberOf(attributes, 'batch_dims', 0);
    const { starts, size } = slicePlaces(x, indices, batchDims);
    const y = dense(x.dtype, [
      ...indices.dims.slice(0, -1),
      ...x.dims.slice(batchDims + indices.dims[indices.dims.length - 1]!),
    ]);
    starts.forEach((start, i) => y.data.set(x.data.subarray(start, start + size), i * size));
    return [y];
  },
  ScatterElements: (context) => {
    const x = context.input(0),
      indices = context.input(1),
      updates = context.input(2),
      join = joining(context);
    const y = dense(x.dtype, x.dims, x.data.slice());
    elementPlaces(x, indices, axisOf(context.attributes, x.dims.length, 0)).forEach((at, i) => {
      y.data[at] = join(y.data[at]!, updates.data[i]!);
    });
    return [y];
  },
  ScatterND: (context) => {
    const x = context.input(0),
      updates = context.input(2),
      join = joining(context);
    const { starts, size } = slicePlaces(x, context.input(1), 0);
    const y = dense(x.dtype, x.dims, x.data.slice());
    starts.forEach((start, i) => {
      for (let k = 0; k < size; k++) y.data[start + k] = join(y.data[start + k]!, updates.data[i * size + k]!);
    });
    return [y];
  },
  OneHot: ({ input, attributes }) => {
    const indices = input(0),
      depth = input(1).data[0]!,
      [off, on] = input(2).data as unknown as [number, number];
    const axis = axisOf(attributes, indices.dims.length + 1, -1);
    const dims = [...indices.dims.slice(0, axis), depth, ...indices.dims.slice(axis)];
    const y = dense(input(2).dtype, dims, new Float64Array(sizeOf(dims)).fill(off)),
      inner = sizeOf(dims.slice(axis + 1));
    indices.data.forEach((index, i) => {
      const at = index < 0 ? index + depth : index;
      if (at >= 0 && at < depth) y.data[(Math.floor(i / inner) * depth + at) * inner + (i % inner)] = on;
    });
    return [y];
  },
  NonZero: ({ input }) => {
    const x = input(0),
      rank = x.dims.length,
      strides = stridesOf(x.dims);
    const places = Array.from(x.data.keys()).filter((i) => x.data[i] !== 0);
    const rows = strides.map((stride, axis) => places.map((at) => Math.floor(at / stride) % x.dims[axis]!));
    return [dense('int64', [rank, places.length], rows.flat())];
  },
};
