import { axisOf, fromFront, numberOf } from '../attributes.js';
import { sizeOf } from '../../tensor.js';
import { around, dense, offsets, stridesOf, type Dense } from './dense.js';
import { axesOf, type Kernel, type KernelContext, type Kernels } from './kernel.js';

interface Reducer {
  readonly start: number;
  readonly step: (sum: number, x: number) => number;
  readonly finish?: (sum: number, count: number) => number;
}

const plus = (sum: number, x: number): number => sum + x;

const reducers: Readonly<Record<string, Reducer>> = {
  ReduceSum: { start: 0, step: plus },
  ReduceMean: { start: 0, step: plus, finish: (sum, count) => sum / count },
  ReduceProd: { start: 1, step: (sum, x) => sum * x },
  ReduceMax: { start: -Infinity, step: (max, x) => (x > max || Number.isNaN(x) ? x : max) },
  ReduceMin: { start: Infinity, step: (min, x) => (x < min || Number.isNaN(x) ? x : min) },
  ReduceL1: { start: 0, step: (sum, x) => sum + Math.abs(x) },
  ReduceL2: { start: 0, step: (sum, x) => sum + x * x, finish: Math.sqrt },
  ReduceSumSquare: { start: 0, step: (sum, x) => sum + x * x },
  ReduceLogSum: { start: 0, step: plus, finish: Math.log },
};

/** Reduces the given axes (kept as size 1 until the end) with a running value per output. */
export function reduce(x: Dense, axes: readonly number[], reducer: Reducer, keepDims = true): Dense {
  const kept = x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const strides = stridesOf(kept).map((stride, axis) => (axes.includes(axis) ? 0 : stride));
  const at = offsets(x.dims, strides);
  const out = new Float64Array(sizeOf(kept)).fill(reducer.start);
  for (let i = 0; i < at.length; i++) out[at[i]!] = reducer.step(out[at[i]!]!, x.data[i]!);
  const count = axes.reduce((product, axis) => product * x.dims[axis]!, 1);
  if (reducer.finish) for (let i = 0; i < out.length; i++) out[i] = reducer.finish(out[i]!, count);
  return dense(x.dtype, keepDims ? kept : x.dims.filter((_, axis) => !axes.includes(axis)), out);
}

/** The axes to reduce, or undefined when the node asks for none at all. */
function reducedAxes(context: KernelContext): number[] | undefined {
  const rank = context.input(0).dims.length;
  const axes = axesOf(context, 1, rank);
  if (axes !== undefined && axes.length > 0) return axes;
  return numberOf(context.attributes, 'noop_with_empty_axes', 0) === 1
    ? undefined
    : Array.from({ length: rank }, (_, i) => i);
}

const reduction =
  (reducer: Reducer): Kernel =>
  (context) => {
    const axes = reducedAxes(context);
    return [
      axes
        ? reduce(context.input(0), axes, reducer, numberOf(context.attributes, 'keepdims', 1) === 1)
        : context.input(0),
    ];
  };

/** Applies `f` to every line along an axis: it reads `line` and overwrites it. */
function alongAxis(x: Dense, axis: number, f: (line: Float64Array) => void): Dense {
  const { outer, size, inner } = around(x.dims, axis);
  const out = new Float64Array(x.data.length),
    line = new Float64Array(size);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      for (let k = 0; k < size; k++) line[k] = x.data[(o * size + k) * inner + i]!;
      f(line);
      for (let k = 0; k < size; k++) out[(o * size + k) * inner + i] = line[k]!;
    }
  }
  return dense(x.dtype, x.dims, out);
}

/**
 * Both shift by the maximum, so that nothing overflows; dividing gives equal inputs exactly equal
 * shares.
 */
const softmax =
  (log: boolean): Kernel =>
  ({ input, attributes }) => {
    const x = input(0);
    return [
      alongAxis(x, axisOf(attributes, x.dims.length, -1), (line) => {
        const max = line.reduce((a, b) => Math.max(a, b), -Infinity);
        const sum = line.reduce((total, value) => total + Math.exp(value - max), 0);
        for (let k = 0; k < line.length; k++)
          line[k] = log ? line[k]! - max - Math.log(sum) : Math.exp(line[k]! - max) / sum;
      }),
    ];
  };

const argument =
  (better: (a: number, b: number) => boolean): Kernel =>
  ({ input, attributes }) => {
    const x = input(0),
      axis = axisOf(attributes, x.dims.length, 0),
      last = numberOf(attributes, 'select_last_index', 0) === 1;
    const { outer, size, inner } = around(x.dims, axis);
    const out = new Float64Array(outer * inner);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const at = (k: number): number => x.data[(o * size + k) * inner + i]!;
        let best = 0;
        for (let k = 1; k < size; k++) if (better(at(k), at(best)) || (last && at(k) === at(best))) best = k;
        out[o * inner + i] = best;
      }
    }
    const keep = numberOf(attributes, 'keepdims', 1) === 1;
    return [
      dense('int64', keep ? x.dims.map((dim, i) => (i === axis ? 1 : dim)) : x.dims.filter((_, i) => i !== axis), out),
    ];
  };

/** Reductions, and the ops that work along one axis. */
export const reductions: Kernels = {
  ...Object.fromEntries(Object.entries(reducers).map(([op, reducer]) => [op, reduction(reducer)])),
  ReduceLogSumExp: (context) => {
    const x = context.input(0),
      axes = reducedAxes(context);
    if (!axes) return [x];
    const max = reduce(x, axes, reducers.ReduceMax!);
    const sum = reduce(x, axes, { start: 0, step: plus });
    const kept = stridesOf(max.dims).map((stride, axis) => (axes.includes(axis) ? 0 : stride));
    const at = offsets(x.dims, kept);
    sum.data.fill(0);
    for (let i = 0; i < at.length; i++) sum.data[at[i]!]! += Math.exp(x.data[i]! - max.data[at[i]!]!);
    const out = sum.data.map((value, i) => Math.log(value) + max.data[i]!);
    return [
      dense(
        x.dtype,
        numberOf(context.attributes, 'keepdims', 1) === 1 ? sum.dims : x.dims.filter((_, i) => !axes.includes(i)),
        out,
      ),
    ];
  },
  Softmax: softmax(false),
  LogSoftmax: softmax(true),
  ArgMax: argument((a, b) => a > b),
  ArgMin: argument((a, b) => a < b),
  CumSum: ({ input, attributes }) => {
    const x = input(0),
      exclusive = numberOf(attributes, 'exclusive', 0) === 1,
      reverse = numberOf(attributes, 'reverse', 0) === 1;
    return [
      alongAxis(x, fromFront(input(1).data[0]!, x.dims.length), (line) => {
        if (reverse) line.reverse();
        let sum = 0;
        for (let k = 0; k < line.length; k++) {
          const value = line[k]!;
          line[k] = exclusive ? sum : sum + value;
          sum += value;
        }
        if (reverse) line.reverse();
      }),
    ];
  },
  TopK: ({ input, attributes }) => {
    const x = input(0),
      axis = axisOf(attributes, x.dims.length, -1),
      count = input(1).data[0]!;
    const sign = numberOf(attributes, 'largest', 1) === 1 ? -1 : 1;
    const { outer, size, inner } = around(x.dims, axis);
    const dims = x.dims.map((dim, i) => (i === axis ? count : dim));
    const values = dense(x.dtype, dims),
      indices = dense('int64', dims);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const at = (k: number): number => x.data[(o * size + k) * inner + i]!;
        const order = Array.from({ length: size }, (_, k) => k).sort((a, b) => sign * (at(a) - at(b)) || a - b);
        for (let k = 0; k < count; k++) {
          values.data[(o * count + k) * inner + i] = at(order[k]!);
          indices.data[(o * count + k) * inner + i] = order[k]!;
        }
      }
    }
    return [values, indices];
  },
};
