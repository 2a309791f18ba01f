import { numberOf } from '../attributes.js';
import { parseEinsum } from '../evaluate/linear.js';
import type { Value } from '../graph.js';
import type { GradientContext, GradientTable } from '../gradients.js';
import { dimsOf, expandLike, inputOf, outputGradient, range, reshapeTo, unsupported } from './common.js';
import { math } from '../math.js';

/** Swaps the last two axes. */
function swapped({ builder }: GradientContext, x: Value): Value {
  const axes = range(x.shape.length);
  return math(builder).transpose(x, [...axes.slice(0, -2), axes.length - 1, axes.length - 2]);
}

/** dA = dY B^T, dB = A^T dY; leading axes that were broadcast are summed by the caller. */
function matmul(context: GradientContext): readonly (Value | undefined)[] {
  const { builder } = context,
    a = inputOf(context, 0),
    b = inputOf(context, 1);
  // vectors become matrices of one row or column
  const left = a.shape.length === 1 ? reshapeTo(builder, a, [1, ...a.shape]) : a;
  const right = b.shape.length === 1 ? reshapeTo(builder, b, [...b.shape, 1]) : b;
  let dy = outputGradient(context);
  if (a.shape.length === 1 || b.shape.length === 1) {
    const batch = dy.shape.slice(0, dy.shape.length - (a.shape.length === 1 ? 0 : 1) - (b.shape.length === 1 ? 0 : 1));
    dy = reshapeTo(builder, dy, [...batch, left.shape[left.shape.length - 2]!, right.shape[right.shape.length - 1]!]);
  }
  const plain = right.shape.length === 2;
  const leftGradient = (): Value => {
    const da =
      plain && left.shape.length === 2
        ? builder.op('Gemm', [dy, right], { transB: 1 })
        : builder.op('MatMul', [dy, swapped(context, right)]);
    return a.shape.length === 1 && b.shape.length <= 2 ? reshapeTo(builder, da, a.shape) : da;
  };
  const rightGradient = (): Value => {
    if (!plain) return builder.op('MatMul', [swapped(context, left), dy]);
    // one weight for the whole batch: a single product over all rows
    const rows = (x: Value): Value =>
      x.shape.length === 2 ? x : builder.op('Reshape', [x, builder.ints([-1, x.shape[x.shape.length - 1] as number])]);
    return reshapeTo(builder, builder.op('Gemm', [rows(left), rows(dy)], { transA: 1 }), b.shape);
  };
  if (a.shape.length === 1 && b.shape.length > 2) unsupported(context, 'a vector times a stack of matrices');
  return [context.needs(0) ? leftGradient() : undefined, context.needs(1) ? rightGradient() : undefined];
}

/** Y = alpha A' B' + beta C, where the dash is a transposition that the attributes may ask for. */
function gemm(context: GradientContext): readonly (Value | undefined)[] {
  const { builder } = context,
    dy = outputGradient(context),
    a = inputOf(context, 0),
    b = inputOf(context, 1);
  const alpha = numberOf(context.attributes, 'alpha', 1),
    beta = numberOf(context.attributes, 'beta', 1);
  const transA = numberOf(context.attributes, 'transA', 0),
    transB = numberOf(context.attributes, 'transB', 0);
  const product = (x: Value, y: Value, tx: number, ty: number): Value =>
    builder.op('Gemm', [x, y], { alpha, transA: tx, transB: ty });
  const c = math(builder);
  return [
    !context.needs(0) ? undefined : transA ? product(b, dy, transB, 1) : product(dy, b, 0, 1 - transB),
    !context.needs(1) ? undefined : transB ? product(dy, a, 1, transA) : product(a, dy, 1 - transA, 0),
    !context.needs(2) ? undefined : beta === 1 ? dy : c.mul(dy, beta),
  ];
}

/** The gradient of one operand is the Einsum of dy with the others, read back into its letters. */
function einsum(context: GradientContext): readonly (Value | undefined)[] {
  const { builder, node } = context,
    dy = outputGradient(context),
    equation = node.attributes.equation as string;
  if (equation.includes('.')) unsupported(context, `the ellipsis in ${equation}`);
  const { terms, result } = parseEinsum(equation);
  return terms.map((term, index) => {
    if (!context.needs(index)) return undefined;
    if (new Set(term).size < term.length) unsupported(context, `the repeated letter in ${equation}`);
    const others = range(terms.length).filter((i) => i !== index);
    const known = new Set(result + others.map((i) => terms[i]).join(''));
    const kept = [...term].filter((letter) => known.has(letter)).join('');
    const gradient = builder.op('Einsum', [dy, ...others.map((i) => inputOf(context, i))], {
      equation: `${[result, ...others.map((i) => terms[i])].join(',')}->${kept}`,
    });
    // a letter that occurs only here was summed: every element gets the same gradient
    const dims = dimsOf(context, inputOf(context, index));
    return expandLike(
      builder,
      reshapeTo(
        builder,
        gradient,
        [...term].map((letter, axis) => (known.has(letter) ? dims[axis]! : 1)),
      ),
      inputOf(context, index),
    );
  });
}

/** Matrix products. */
export const linear: GradientTable = { MatMul: matmul, Gemm: gemm, Einsum: einsum };
