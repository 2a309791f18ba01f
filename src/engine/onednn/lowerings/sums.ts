import { argument, elementsOf, eltwise, type PostOp } from '../dnnl.js';
import type { Emitter } from '../emit.js';
import type { Place } from '../places.js';

const times = (factor: number): PostOp[] => (factor === 1 ? [] : [{ kind: 'eltwise', algorithm: eltwise.linear, alpha: factor, beta: 0 }]);

/**
 * The sum of `rows` rows that lie one after the other, times `factor`: a product with a row of factors, for which the library has fast code
 * with all threads (its own reduction is a plain loop, 70 times slower).
 */
export function sumRows(e: Emitter, from: Place, rows: number, name: string, factor = 1): Place {
  const { type } = from.layout!, length = elementsOf(from.layout!) / rows, row = e.dnnl.plain([1, length]), all = e.dnnl.plain([rows, length], type);
  const operation = e.dnnl.matmul(e.dnnl.plain([1, rows], type), all, row, times(factor))!;
  const factors = e.fixed(new Float32Array(rows).fill(1), [1, rows], type), to = e.scratch(row);
  e.call(operation, {
    name, kind: 'sum of rows', reads: [[argument.source, factors], [argument.weights, e.view(from, all)]], writes: [[argument.output, to]],
  });
  return to;
}

/** The sum of each of `rows` rows, times `factor`. */
export function sumInRows(e: Emitter, from: Place, rows: number, name: string, factor = 1): Place {
  const { type } = from.layout!, length = elementsOf(from.layout!) / rows, column = e.dnnl.plain([rows, 1]), all = e.dnnl.plain([rows, length], type);
  const operation = e.dnnl.matmul(all, e.dnnl.plain([length, 1], type), column, times(factor))!;
  const factors = e.fixed(new Float32Array(length).fill(1), [length, 1], type), to = e.scratch(column);
  e.call(operation, {
    name, kind: 'sums in rows', reads: [[argument.source, e.view(from, all)], [argument.weights, factors]], writes: [[argument.output, to]],
  });
  return to;
}
