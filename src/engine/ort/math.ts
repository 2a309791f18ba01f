import { invariant } from '../../errors.js';
import type { Arithmetic } from '../../graph/arithmetic.js';
import { float32, int64, sizeOf } from '../../tensor.js';
import type { Sized } from './sized.js';
import type { NodeWriter } from './writer.js';

/** The formulas that lowerings are written in; all shapes are worked out here. */
export type TensorMath = ReturnType<typeof arithmetic> & ReturnType<typeof movements>;

export const tensorMath = (writer: NodeWriter): TensorMath => ({ ...arithmetic(writer), ...movements(writer) });

type Operand = Sized | number;

/** Constants, one-dimensional where they are integers. */
const constants = ({ constant }: NodeWriter) => ({
  floats: (dims: readonly number[], data: ArrayLike<number>): Sized => constant(float32(dims, data)),
  ints: (data: readonly number[]): Sized => constant(int64([data.length], data)),
});

function arithmetic(writer: NodeWriter) {
  const { emit } = writer,
    { floats, ints } = constants(writer);
  const value = (x: Operand): Sized => (typeof x === 'number' ? floats([], [x]) : x);
  const binary =
    (op: 'Add' | 'Sub' | 'Mul' | 'Div') =>
    (left: Operand, right: Operand): Sized => {
      const [a, b] = [value(left), value(right)];
      return emit(op, [a, b], {}, broadcast(a.shape, b.shape));
    };
  const unary =
    (op: 'Neg' | 'Sqrt' | 'Exp') =>
    (x: Sized): Sized =>
      emit(op, [x], {}, x.shape);
  const m = {
    add: binary('Add'),
    sub: binary('Sub'),
    mul: binary('Mul'),
    div: binary('Div'),
    neg: unary('Neg'),
    sqrt: unary('Sqrt'),
    exp: unary('Exp'),
    /** A product with a number that may be 1. */
    scale: (x: Sized, factor: number): Sized => (factor === 1 ? x : m.mul(x, factor)),

    sum(x: Sized, axes: readonly number[], keep = false): Sized {
      if (axes.length === 0) return x;
      const shape = x.shape.flatMap((n, i) => (axes.includes(i) ? (keep ? [1] : []) : [n]));
      if (axes.every((axis) => x.shape[axis] === 1)) return movements(writer).reshape(x, shape);
      return emit('ReduceSum', [x, ints(axes)], { keepdims: keep ? 1 : 0 }, shape);
    },

    /** alpha * A B over the last two axes, either transposed. */
    matmul(a: Sized, b: Sized, options: { transA?: boolean; transB?: boolean; alpha?: number } = {}): Sized {
      const { transA = false, transB = false, alpha = 1 } = options;
      const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
      const shape = [...batch, a.shape.at(transA ? -1 : -2)!, b.shape.at(transB ? -2 : -1)!];
      if (!transA && !transB && alpha === 1) return emit('MatMul', [a, b], {}, shape);
      return emit('FusedMatMul', [a, b], { transA: transA ? 1 : 0, transB: transB ? 1 : 0, alpha }, shape, {
        domain: 'com.microsoft',
      });
    },
  };
  return m satisfies Arithmetic<Sized>;
}

/** Constants, and the same elements in other places. */
function movements(writer: NodeWriter) {
  const { emit } = writer,
    { floats, ints } = constants(writer);
  return {
    floats,
    ints,

    reshape(x: Sized, shape: readonly number[]): Sized {
      if (equal(x.shape, shape)) return x;
      invariant(
        sizeOf(x.shape) === sizeOf(shape),
        `${x.name}: cannot view [${x.shape.join(', ')}] as [${shape.join(', ')}]`,
      );
      return emit('Reshape', [x, ints(shape)], {}, shape);
    },

    transpose(x: Sized, perm: readonly number[]): Sized {
      if (perm.every((axis, i) => axis === i)) return x;
      return emit(
        'Transpose',
        [x],
        { perm },
        perm.map((axis) => x.shape[axis]!),
      );
    },

    /**
     * Elements from `starts` up to `ends` (exclusive) on `axes`; every `steps`-th, backwards when
     * negative.
     */
    slice(
      x: Sized,
      axes: readonly number[],
      starts: readonly number[],
      ends: readonly number[],
      steps?: readonly number[],
    ): Sized {
      const shape = [...x.shape];
      axes.forEach((axis, i) => {
        const step = steps?.[i] ?? 1;
        shape[axis] = Math.max(0, Math.ceil((Math.max(ends[i]!, -1) - starts[i]!) / step));
      });
      if (!steps?.some((step) => step < 0) && equal(shape, x.shape)) return x;
      // an end before the first element is written as a number far below it
      const written = ends.map((end) => (end < 0 ? -(2 ** 31) : end));
      return emit('Slice', [x, ints(starts), ints(written), ints(axes), ...(steps ? [ints(steps)] : [])], {}, shape);
    },

    /** Zeros, or another number, around a tensor: `before` and `after` for every axis. */
    pad(x: Sized, before: readonly number[], after: readonly number[], value = 0): Sized {
      if (before.every((n) => n === 0) && after.every((n) => n === 0)) return x;
      return emit(
        'Pad',
        [x, ints([...before, ...after]), ...(value === 0 ? [] : [floats([], [value])])],
        { mode: 'constant' },
        x.shape.map((n, i) => n + before[i]! + after[i]!),
      );
    },

    zeros: (shape: readonly number[]): Sized => emit('Expand', [floats([1], [0]), ints(shape)], {}, shape),

    concat(parts: readonly Sized[], axis: number): Sized {
      if (parts.length === 1) return parts[0]!;
      const shape = [...parts[0]!.shape];
      shape[axis] = parts.reduce((n, part) => n + part.shape[axis]!, 0);
      return emit('Concat', parts, { axis }, shape);
    },
  };
}

const equal = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);

/** The broadcast of two shapes. */
export function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const left = a[i - rank + a.length] ?? 1;
    const right = b[i - rank + b.length] ?? 1;
    return left === 1 ? right : left;
  });
}
