/** One arithmetic for losses, optimizers, gradients and the loops that engines generate. */
import type { Arithmetic } from './arithmetic.js';
import type { GraphBuilder, Operand } from './builder.js';
import type { Value } from './graph.js';

export type GraphMath = ReturnType<typeof math>;

/**
 * Calls for a graph's ops, as short as the formulas they write down. Of two operands one may be a
 * number. `axes` are counted from the front or, negative, from the back.
 */
export function math(builder: GraphBuilder) {
  const binary =
    (op: string) =>
    (a: Operand, b: Operand): Value =>
      builder.op(op, [a, b]);
  const unary =
    (op: string) =>
    (a: Value): Value =>
      builder.op(op, [a]);
  const m = {
    builder,
    add: binary('Add'),
    sub: binary('Sub'),
    mul: binary('Mul'),
    div: binary('Div'),
    pow: binary('Pow'),
    /** The larger and the smaller of two, element by element. */
    max: binary('Max'),
    min: binary('Min'),
    neg: unary('Neg'),
    sign: unary('Sign'),
    exp: unary('Exp'),
    log: unary('Log'),
    sqrt: unary('Sqrt'),
    sigmoid: unary('Sigmoid'),
    tanh: unary('Tanh'),
    softplus: unary('Softplus'),
    square: (a: Value): Value => builder.op('Mul', [a, a]),
    /** Nodes that `body` adds get names that begin with `name/`. */
    scope: <T>(name: string, body: () => T): T => builder.scope(name, body),
    /** 1 where a comparison holds, else 0, in the type of `a`. */
    mask: (op: 'Greater' | 'GreaterOrEqual' | 'Less' | 'Equal', a: Value, b: Operand): Value =>
      cast(builder, builder.op(op, [a, b]), a),
    /** Integers or truth values as float32. */
    toFloat: (a: Value): Value => builder.op('Cast', [a], { to: 1 }),
    where: (condition: Value, a: Operand, b: Operand): Value => {
      const dtype = (typeof a === 'object' ? a : (b as Value)).dtype;
      const value = (x: Operand): Value => (typeof x === 'number' ? builder.scalar(x, dtype) : x);
      return builder.op('Where', [condition, value(a), value(b)]);
    },
    sum: (x: Value, axes: readonly number[], keepDims = true): Value =>
      builder.op('ReduceSum', [x, builder.ints(axes)], { keepdims: keepDims ? 1 : 0 }),
    reduceMax: (x: Value, axes: readonly number[], keepDims = true): Value =>
      builder.op('ReduceMax', [x], { axes, keepdims: keepDims ? 1 : 0 }),
    mean: (x: Value, axes: readonly number[], keepDims = true): Value =>
      builder.op('ReduceMean', [x], { axes, keepdims: keepDims ? 1 : 0 }),
    transpose: (x: Value, perm: readonly number[]): Value => builder.op('Transpose', [x], { perm }),

    // Of scores or probabilities [batch, classes], and of a number a sample [batch].
    softmax: (x: Value): Value => builder.op('Softmax', [x], { axis: 1 }),
    logSoftmax: (x: Value): Value => builder.op('LogSoftmax', [x], { axis: 1 }),
    /** The class of the largest score, int64 [batch]; of equal ones the first. */
    argmax: (x: Value): Value => builder.op('ArgMax', [x], { axis: 1, keepdims: 0 }),
    /** Class numbers [batch] as rows of zeros and a one, float32 [batch, classes]. */
    oneHot: (labels: Value, classes: number): Value => {
      const dims = [1, classes];
      const numbers = builder.constant({
        dtype: 'int64',
        dims,
        data: BigInt64Array.from({ length: classes }, toBigInt),
      });
      const column = builder.op('Unsqueeze', [labels, builder.ints([1])]);
      return builder.op('Cast', [builder.op('Equal', [column, numbers])], { to: 1 });
    },
    sumClasses: (x: Value): Value => builder.op('ReduceSum', [x, builder.ints([1])], { keepdims: 0 }),
    meanClasses: (x: Value): Value => builder.op('ReduceMean', [x], { axes: [1], keepdims: 0 }),
    maxClasses: (x: Value): Value => builder.op('ReduceMax', [x], { axes: [1], keepdims: 0 }),
    sumBatch: (x: Value): Value => builder.op('ReduceSum', [x, builder.ints([0])], { keepdims: 0 }),
    meanBatch: (x: Value): Value => builder.op('ReduceMean', [x], { axes: [0], keepdims: 0 }),
    /** A number a sample as [batch, 1]. */
    column: (x: Value): Value => builder.op('Unsqueeze', [x, builder.ints([1])]),
    /** One batch after another. */
    concat: (parts: readonly Value[]): Value => builder.op('Concat', parts, { axis: 0 }),
    /** Rows `from` to `from + count` of a batch. */
    rows: (x: Value, from: number, count: number): Value =>
      builder.op('Slice', [x, builder.ints([from]), builder.ints([from + count]), builder.ints([0])]),
  };
  return m satisfies Arithmetic<Value>;
}

const toBigInt = (_: unknown, i: number): bigint => BigInt(i);

/** `value` in the type of `like`. */
export const cast = (builder: GraphBuilder, value: Value, like: Value): Value =>
  value.dtype === like.dtype
    ? value
    : builder.op('Cast', [value], { to: like.dtype === 'float64' ? 11 : like.dtype === 'float16' ? 10 : 1 });
