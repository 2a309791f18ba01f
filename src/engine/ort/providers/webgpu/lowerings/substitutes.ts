import { numberOf } from '../../../../../graph/attributes.js';
import { numbersOf } from '../../../../../tensor.js';
import type { Emitter } from '../../../emitter.js';
import { isSized, type Sized } from '../../../sized.js';
import type { Lowering, LoweringContext } from '../../../lowering.js';

/** Float inputs of known sizes, or undefined. */
function floats(context: LoweringContext): Sized[] | undefined {
  const values = context.node.inputs.map((_, index) => context.declared(index));
  return values.every((value): value is Sized => value.dtype === 'float32' && isSized(value))
    ? values.map((_, index) => context.input(index))
    : undefined;
}

/** A rule for nodes whose inputs are all floats of known sizes. */
const withFloats =
  (rule: (context: LoweringContext, ...inputs: Sized[]) => Sized | undefined): Lowering =>
  (context) => {
    const inputs = floats(context);
    const result = inputs && rule(context, ...inputs);
    return result && [result];
  };

const constant = (e: Emitter, value: number): Sized => e.floats([], [value]);
const same = (e: Emitter, op: string, x: Sized, attributes = {}): Sized => e.emit(op, [x], attributes, x.shape);

/**
 * What the provider has no kernel for, or a wrong one, in terms of ops that it has. Without a rule
 * such a node runs on the CPU.
 */
export const substitutes: Readonly<Record<string, Lowering>> = {
  /** alpha A B, either transposed: Gemm for two matrices, else the transposes in front. */
  FusedMatMul: withFloats(({ e, node, outputs }, a, b) => {
    const [transA, transB, alpha] = [
      numberOf(node.attributes, 'transA', 0),
      numberOf(node.attributes, 'transB', 0),
      numberOf(node.attributes, 'alpha', 1),
    ];
    const shape = outputs[0]!.shape as readonly number[];
    if (a.shape.length === 2 && b.shape.length === 2) return e.emit('Gemm', [a, b], { transA, transB, alpha }, shape);
    return e.scale(e.emit('MatMul', [transA ? turned(e, a) : a, transB ? turned(e, b) : b], {}, shape), alpha);
  }),

  /** (x > 0) - (x < 0). */
  Sign: withFloats(({ e }, x) => {
    const mask = (op: 'Greater' | 'Less'): Sized =>
      e.emit('Cast', [e.emit(op, [x, constant(e, 0)], {}, x.shape, { dtype: 'bool' })], { to: 1 }, x.shape, {
        dtype: 'float32',
      });
    return e.sub(mask('Greater'), mask('Less'));
  }),

  Sum: withFloats(({ e }, ...parts) => parts.reduce((sum, part) => e.add(sum, part))),
  Mean: withFloats(({ e }, ...parts) =>
    e.scale(
      parts.reduce((sum, part) => e.add(sum, part)),
      1 / parts.length,
    ),
  ),

  /** x - m - log sum exp(x - m), m the largest. */
  LogSoftmax: withFloats(({ e, node }, x) => {
    const axis = (numberOf(node.attributes, 'axis', -1) + x.shape.length) % x.shape.length;
    const shape = x.shape.map((n, i) => (i === axis ? 1 : n));
    const shifted = e.sub(x, e.emit('ReduceMax', [x], { axes: [axis], keepdims: 1 }, shape));
    return e.sub(shifted, same(e, 'Log', e.sum(e.exp(shifted), [axis], true)));
  }),

  /** x / (1 + |x|). */
  Softsign: withFloats(({ e }, x) => e.div(x, e.add(same(e, 'Abs', x), 1))),
  /** alpha elu(x / alpha). */
  Celu: withFloats(({ e, node }, x) => {
    const alpha = numberOf(node.attributes, 'alpha', 1);
    return e.scale(same(e, 'Elu', e.scale(x, 1 / alpha), { alpha: 1 }), alpha);
  }),
  /** gamma elu(x), elu with alpha. */
  Selu: withFloats(({ e, node }, x) =>
    e.scale(
      same(e, 'Elu', x, { alpha: numberOf(node.attributes, 'alpha', 1.6732632423543772) }),
      numberOf(node.attributes, 'gamma', 1.0507009873554805),
    ),
  ),

  /** Masks are inputs of our graphs; a Dropout that is left does nothing. */
  Dropout: (context) =>
    context.node.outputs.length === 1 && context.declared(0).dtype === 'float32' && isSized(context.declared(0))
      ? [same(context.e, 'Identity', context.input(0))]
      : undefined,

  /** The kernel fails on broadcast operands: they are expanded first. */
  Pow: withFloats(({ e, outputs }, x, exponent) => {
    const shape = outputs[0]!.shape as readonly number[];
    const wide = (t: Sized): Sized =>
      t.shape.join() === shape.join() ? t : e.emit('Expand', [t, e.ints(shape)], {}, shape);
    if (exponent.shape.every((n) => n === 1) || x.shape.join() === exponent.shape.join()) return undefined;
    return e.emit('Pow', [wide(x), wide(exponent)], {}, shape);
  }),

  /**
   * Whether two ArgMax agree (an accuracy): int64 is compared on the CPU, so the places of the
   * largest become floats.
   */
  Equal: ({ e, node, producer, each, outputs }) => {
    const sources = node.inputs.map((name) => producer(name));
    if (
      !sources.every((source) => source?.op === 'ArgMax' && numberOf(source.attributes, 'select_last_index', 0) === 0)
    )
      return undefined;
    const places = sources.map(
      (source) =>
        each(
          (x) =>
            firstLargest(e, x, numberOf(source!.attributes, 'axis', 0), numberOf(source!.attributes, 'keepdims', 1)),
          source!.inputs[0],
        )[0],
    );
    return [e.emit('Equal', places as Sized[], {}, outputs[0]!.shape as readonly number[], { dtype: 'bool' })];
  },

  /**
   * Backwards the kernel is right from the last element only: what is wanted is cut out forwards
   * first.
   */
  Slice: (context) => {
    const { e, declared, has, outputs } = context;
    const [x, result] = [declared(0), outputs[0]!];
    const indices = [1, 2, 3, 4].map((index) => (has(index) ? e.constantOf(declared(index)) : undefined));
    if (x.dtype !== 'float32' || !isSized(x) || !isSized(result) || !indices.every((t) => t !== undefined))
      return undefined;
    const [starts, , axes, steps] = indices.map((t) => numbersOf(t)) as [number[], number[], number[], number[]];
    if (steps.every((step) => step > 0) || result.shape.includes(0)) return undefined;
    const y = steps.reduce((part, step, i) => {
      const axis = (axes[i]! + x.shape.length) % x.shape.length,
        size = part.shape[axis]!,
        count = result.shape[axis]!;
      const from = starts[i]! < 0 ? starts[i]! + size : starts[i]!;
      if (step > 0)
        return e.slice(part, [axis], [Math.max(0, from)], [Math.max(0, from) + step * (count - 1) + 1], [step]);
      const last = Math.min(from, size - 1);
      const cut = e.slice(part, [axis], [last + step * (count - 1)], [last + 1]);
      return count === 1 ? cut : e.slice(cut, [axis], [cut.shape[axis]! - 1], [-1], [step]);
    }, context.input(0));
    return [y];
  },

  /**
   * With one output but several inputs a group the kernel is wrong: a second output, of zeros, is
   * added and dropped.
   */
  ConvTranspose: (context) => {
    const { e, node, outputs, has } = context;
    const inputs = floats(context),
      group = numberOf(node.attributes, 'group', 1),
      result = outputs[0]!;
    if (!inputs || group === 1 || !isSized(result)) return undefined;
    const [x, w] = inputs as [Sized, Sized];
    if (w.shape[1] !== 1 || x.shape[1] === group) return undefined;
    const [batch, , ...pixels] = result.shape;
    const wide = e.pad(
      w,
      w.shape.map(() => 0),
      w.shape.map((_, axis) => (axis === 1 ? 1 : 0)),
    );
    const both = e.reshape(e.emit('ConvTranspose', [x, wide], node.attributes, [batch!, 2 * group, ...pixels]), [
      batch!,
      group,
      2,
      ...pixels,
    ]);
    const y = e.reshape(e.slice(both, [2], [0], [1]), result.shape);
    return [has(2) ? e.add(y, e.reshape(inputs[2]!, [1, group, ...pixels.map(() => 1)])) : y];
  },
};

/** The last two axes exchanged. */
const turned = (e: Emitter, x: Sized): Sized => {
  const rank = x.shape.length;
  return e.transpose(x, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
};

/**
 * The place of the first largest along an axis, a float: the least index whose value equals the
 * largest.
 */
function firstLargest(e: Emitter, x: Sized, axis: number, keepdims: number): Sized {
  const along = (axis + x.shape.length) % x.shape.length,
    size = x.shape[along]!;
  const kept = x.shape.map((n, i) => (i === along ? 1 : n));
  const largest = e.emit('Equal', [x, e.emit('ReduceMax', [x], { axes: [along], keepdims: 1 }, kept)], {}, x.shape, {
    dtype: 'bool',
  });
  const places = e.floats(
    x.shape.map((n, i) => (i === along ? n : 1)),
    Array.from({ length: size }, (_, i) => i),
  );
  const candidates = e.emit('Where', [largest, places, constant(e, size)], {}, x.shape, { dtype: 'float32' });
  const shape = keepdims ? kept : x.shape.filter((_, i) => i !== along);
  return e.emit('ReduceMin', [candidates], { axes: [along], keepdims }, shape);
}
