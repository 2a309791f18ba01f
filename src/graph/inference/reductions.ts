import { listOf, numberOf } from '../attributes.js';
import { formatShape, type Dim, type Shape } from '../graph.js';
import type { InferenceContext, InferenceRule } from './rule.js';
import { axisOf, broadcastShapes, constantNumbers, fail, mayEqual, need, sameType } from './common.js';

const reduced = (context: InferenceContext, shape: Shape, axes: readonly number[], keep: boolean): Dim[] => {
  const set = new Set(axes.map((axis) => axisOf(context, axis, shape.length)));
  return keep ? shape.map((dim, i) => (set.has(i) ? 1 : dim)) : shape.filter((_, i) => !set.has(i));
};

/**
 * Axes come as an attribute or as a constant second input; none means all (or none, with
 * noop_with_empty_axes).
 */
const reduce: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  let axes = listOf(context.attributes, 'axes');
  if (context.inputs[1]) axes = constantNumbers(context, 1) ?? fail(context, 'needs constant axes');
  if (!axes || axes.length === 0) {
    if (numberOf(context.attributes, 'noop_with_empty_axes', 0) === 1) return [{ dtype, shape }];
    axes = shape.map((_, i) => i);
  }
  return [{ dtype, shape: reduced(context, shape, axes, numberOf(context.attributes, 'keepdims', 1) === 1) }];
};

const argReduce: InferenceRule = (context) => {
  const { shape } = need(context, 0);
  return [
    {
      dtype: 'int64',
      shape: reduced(
        context,
        shape,
        [numberOf(context.attributes, 'axis', 0)],
        numberOf(context.attributes, 'keepdims', 1) === 1,
      ),
    },
  ];
};

/** Of every matrix in the last two axes. */
const determinant: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  if (shape.length < 2 || !mayEqual(shape.at(-1)!, shape.at(-2)!))
    fail(context, `needs square matrices, got ${formatShape(shape)}`);
  return [{ dtype, shape: shape.slice(0, -2) }];
};

const topK: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const axis = axisOf(context, numberOf(context.attributes, 'axis', -1), shape.length);
  const k = constantNumbers(context, 1)?.[0] ?? fail(context, 'needs a constant k');
  const out = shape.map((dim, i) => (i === axis ? k : dim));
  return [
    { dtype, shape: out },
    { dtype: 'int64', shape: out },
  ];
};

/**
 * The shape of a matrix product by NumPy's rule: batch dimensions broadcast, vectors lose their
 * axis.
 */
function product(context: InferenceContext, a: Shape, b: Shape): Dim[] {
  if (a.length === 0 || b.length === 0) fail(context, `cannot multiply ${formatShape(a)} by ${formatShape(b)}`);
  const left = a.length === 1 ? [1, ...a] : [...a];
  const right = b.length === 1 ? [...b, 1] : [...b];
  const [m, k] = left.slice(-2) as [Dim, Dim];
  const [k2, n] = right.slice(-2) as [Dim, Dim];
  if (!mayEqual(k, k2)) fail(context, `cannot multiply ${formatShape(a)} by ${formatShape(b)}: ${k} is not ${k2}`);
  const batch = broadcastShapes(context, [left.slice(0, -2), right.slice(0, -2)]);
  return [...batch, ...(a.length === 1 ? [] : [m]), ...(b.length === 1 ? [] : [n])];
}

const matMul: InferenceRule = (context) => [
  {
    dtype: sameType(context, context.inputs.slice(0, 2)),
    shape: product(context, need(context, 0).shape, need(context, 1).shape),
  },
];

const swapped = (shape: Shape): Dim[] => [...shape.slice(0, -2), ...shape.slice(-2).reverse()];

/** onnxruntime's MatMul with transposed operands and a factor alpha. */
const fusedMatMul: InferenceRule = (context) => {
  const [a, b] = [need(context, 0), need(context, 1)];
  return [
    {
      dtype: a.dtype,
      shape: product(
        context,
        numberOf(context.attributes, 'transA', 0) ? swapped(a.shape) : a.shape,
        numberOf(context.attributes, 'transB', 0) ? swapped(b.shape) : b.shape,
      ),
    },
  ];
};

const gemm: InferenceRule = (context) => {
  const [a, b, c] = [need(context, 0), need(context, 1), context.inputs[2]];
  if (a.shape.length !== 2 || b.shape.length !== 2)
    fail(context, `needs two matrices, got ${formatShape(a.shape)} and ${formatShape(b.shape)}`);
  const shape = product(
    context,
    numberOf(context.attributes, 'transA', 0) ? swapped(a.shape) : a.shape,
    numberOf(context.attributes, 'transB', 0) ? swapped(b.shape) : b.shape,
  );
  if (c) broadcastShapes(context, [shape, c.shape]);
  return [{ dtype: sameType(context), shape }];
};

/** Explicit and implicit Einstein sums; `...` stands for the leading axes. */
const einsum: InferenceRule = (context) => {
  const equation = String(context.attributes.equation ?? '').replace(/\s/g, '');
  const [left = '', right] = equation.split('->');
  const terms = left.split(',');
  const sizes = new Map<string, Dim>();
  let ellipsis: Dim[] = [];
  if (terms.length !== context.inputs.length)
    fail(context, `has the equation ${equation} but ${context.inputs.length} inputs`);
  terms.forEach((term, index) => {
    const { shape } = need(context, index);
    const letters = term.replace('...', '');
    const free = shape.length - letters.length;
    if (free < 0 || (free > 0 && !term.includes('...')))
      fail(context, `has the term ${term} for a tensor ${formatShape(shape)}`);
    const before = term.includes('...') ? term.indexOf('...') : term.length;
    if (term.includes('...')) ellipsis = broadcastShapes(context, [ellipsis, shape.slice(before, before + free)]);
    [...letters].forEach((letter, i) => {
      const dim = shape[i < before ? i : i + free]!;
      const known = sizes.get(letter);
      if (known !== undefined && known !== 1 && dim !== 1 && !mayEqual(known, dim)) {
        fail(context, `has ${letter} = ${known} and ${dim} in ${equation}`);
      }
      if (known === undefined || known === 1 || typeof dim === 'number')
        sizes.set(letter, known !== undefined && dim === 1 ? known : dim);
    });
  });
  const implicit = [...sizes.keys()]
    .filter((letter) => left.split(letter).length === 2)
    .sort()
    .join('');
  const output = right ?? (left.includes('...') ? `...${implicit}` : implicit);
  const at = output.indexOf('...');
  const dims = (letters: string): Dim[] =>
    [...letters].map((letter) => sizes.get(letter) ?? fail(context, `does not know ${letter} in ${equation}`));
  return [
    {
      dtype: sameType(context),
      shape: at < 0 ? dims(output) : [...dims(output.slice(0, at)), ...ellipsis, ...dims(output.slice(at + 3))],
    },
  ];
};

const reductions = [
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceProd',
  'ReduceSum',
  'ReduceSumSquare',
];

export const reductionRules: ReadonlyMap<string, InferenceRule> = new Map<string, InferenceRule>([
  ...reductions.map((op): [string, InferenceRule] => [op, reduce]),
  ['ArgMax', argReduce],
  ['ArgMin', argReduce],
  ['TopK', topK],
  ['Det', determinant],
  ['MatMul', matMul],
  ['FusedMatMul', fusedMatMul],
  ['Gemm', gemm],
  ['Einsum', einsum],
]);
