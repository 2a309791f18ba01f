import { numberOf, textOf } from '../attributes.js';
import { invariant } from '../../errors.js';
import { sizeOf } from '../../tensor.js';
import {
  broadcastData,
  broadcastDims,
  broadcastStrides,
  dense,
  offsets,
  stridesOf,
  transpose,
  type Dense,
} from './dense.js';
import type { Kernels } from './kernel.js';

/** A batch of matrices of one size. */
interface Matrices {
  readonly data: Float64Array;
  /** Where in `data` each matrix starts; the same one may come again. */
  readonly starts: Int32Array;
  readonly rows: number;
  readonly columns: number;
}

/** out[i, m, n] += a[i, m, k] * b[i, k, n] for every i of the batch. */
function multiply(a: Matrices, b: Matrices, out: Float64Array): void {
  const { data: left, rows: m, columns: k } = a,
    { data: right, columns: n } = b;
  for (let row = 0; row < a.starts.length * m; row++) {
    const i = Math.floor(row / m),
      aStart = a.starts[i]! + (row % m) * k,
      bStart = b.starts[i]!,
      to = row * n;
    for (let p = 0; p < k; p++) {
      const factor = left[aStart + p]!;
      if (factor === 0) continue;
      const from = bStart + p * n;
      for (let j = 0; j < n; j++) out[to + j]! += factor * right[from + j]!;
    }
  }
}

/** Matrix product with numpy's rules for ranks and leading dimensions. */
export function matmul(a: Dense, b: Dense): Dense {
  const left = a.dims.length === 1 ? [1, ...a.dims] : a.dims,
    right = b.dims.length === 1 ? [...b.dims, 1] : b.dims;
  const [m, k] = left.slice(-2) as [number, number],
    [k2, n] = right.slice(-2) as [number, number];
  invariant(k === k2, `MatMul: [${a.dims.join(', ')}] and [${b.dims.join(', ')}] do not fit`);
  const batch = broadcastDims(left.slice(0, -2), right.slice(0, -2));
  const at = (dims: readonly number[], size: number): Int32Array =>
    offsets(
      batch,
      broadcastStrides(dims.slice(0, -2), batch).map((stride) => stride * size),
    );
  const out = new Float64Array(sizeOf(batch) * m * n);
  multiply(
    { data: a.data, starts: at(left, m * k), rows: m, columns: k },
    { data: b.data, starts: at(right, k * n), rows: k, columns: n },
    out,
  );
  return dense(a.dtype, [...batch, ...(a.dims.length === 1 ? [] : [m]), ...(b.dims.length === 1 ? [] : [n])], out);
}

/**
 * Splits `ab,bc->ac` into its terms; without an arrow the result's letters are those that occur
 * once, sorted.
 */
export function parseEinsum(equation: string): { terms: string[]; result: string } {
  const [left = '', right] = equation.replace(/\s/g, '').split('->');
  const terms = left.split(',');
  invariant(!equation.includes('.'), `Einsum: the ellipsis in ${equation} is not supported`);
  const letters = [...left.replaceAll(',', '')];
  return {
    terms,
    result:
      right ??
      [...new Set(letters)]
        .filter((l) => letters.indexOf(l) === letters.lastIndexOf(l))
        .sort()
        .join(''),
  };
}

/** Matrix products. */
export const linear: Kernels = {
  MatMul: ({ input }) => [matmul(input(0), input(1))],
  Gemm: ({ input, inputs, attributes }) => {
    const a = numberOf(attributes, 'transA', 0) ? transpose(input(0), [1, 0]) : input(0);
    const b = numberOf(attributes, 'transB', 0) ? transpose(input(1), [1, 0]) : input(1);
    const alpha = numberOf(attributes, 'alpha', 1),
      beta = numberOf(attributes, 'beta', 1);
    const y = matmul(a, b);
    const c = inputs[2] && broadcastData(inputs[2], y.dims);
    return [
      dense(
        y.dtype,
        y.dims,
        y.data.map((value, i) => alpha * value + (c ? beta * c[i]! : 0)),
      ),
    ];
  },
  Einsum: ({ inputs, attributes }) => {
    const operands = inputs.filter((input) => input !== undefined);
    const { terms, result } = parseEinsum(textOf(attributes, 'equation', ''));
    const sizes = new Map<string, number>();
    terms.forEach((term, i) => [...term].forEach((letter, axis) => sizes.set(letter, operands[i]!.dims[axis]!)));
    const letters = [...new Set([...result, ...terms.join('')])];
    const all = letters.map((letter) => sizes.get(letter)!);
    const place = (term: string, dims: readonly number[]): Int32Array => {
      const strides = stridesOf(dims);
      return offsets(
        all,
        letters.map((letter) => [...term].reduce((sum, l, axis) => (l === letter ? sum + strides[axis]! : sum), 0)),
      );
    };
    const dims = [...result].map((letter) => sizes.get(letter)!);
    const y = dense(operands[0]!.dtype, dims),
      yAt = place(result, dims);
    const at = terms.map((term, i) => place(term, operands[i]!.dims));
    for (let e = 0; e < yAt.length; e++) {
      let product = 1;
      for (let i = 0; i < operands.length; i++) product *= operands[i]!.data[at[i]![e]!]!;
      y.data[yAt[e]!]! += product;
    }
    return [y];
  },
};
