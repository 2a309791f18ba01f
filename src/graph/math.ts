/** One arithmetic for losses, optimizers, gradients and the loops that engines generate. */
import type { GraphBuilder, Operand } from './builder.js';
import type { Value } from './graph.js';

/**
 * What formulas are written in, whatever they are written into: nodes of a graph (`math`), nodes
 * that an engine adds while lowering, instructions of a generated loop. A number stands for a
 * constant.
 */
export interface Arithmetic<V> {
  add(a: V | number, b: V | number): V;
  sub(a: V | number, b: V | number): V;
  mul(a: V | number, b: V | number): V;
  div(a: V | number, b: V | number): V;
  neg(a: V): V;
  sqrt(a: V): V;
  exp(a: V): V;
}

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
    /** 1 where a comparison holds, else 0, in the type of `a`. */
    mask: (op: 'Greater' | 'GreaterOrEqual' | 'Less' | 'Equal', a: Value, b: Operand): Value =>
      cast(builder, builder.op(op, [a, b]), a),
    where: (condition: Value, a: Operand, b: Operand): Value => {
      const dtype = (typeof a === 'object' ? a : (b as Value)).dtype;
      const value = (x: Operand): Value => (typeof x === 'number' ? builder.scalar(x, dtype) : x);
      return builder.op('Where', [condition, value(a), value(b)]);
    },
    sum: (x: Value, axes: readonly number[], keepDims = true): Value =>
      builder.op('ReduceSum', [x, builder.ints(axes)], { keepdims: keepDims ? 1 : 0 }),
    mean: (x: Value, axes: readonly number[], keepDims = true): Value =>
      builder.op('ReduceMean', [x], { axes, keepdims: keepDims ? 1 : 0 }),
    transpose: (x: Value, perm: readonly number[]): Value => builder.op('Transpose', [x], { perm }),
  };
  return m satisfies Arithmetic<Value>;
}

/** `value` in the type of `like`. */
export const cast = (builder: GraphBuilder, value: Value, like: Value): Value =>
  value.dtype === like.dtype
    ? value
    : builder.op('Cast', [value], { to: like.dtype === 'float64' ? 11 : like.dtype === 'float16' ? 10 : 1 });
