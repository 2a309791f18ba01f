import { argument } from '../dnnl.js';
import type { Emitter } from '../emit.js';
import type { Place } from '../places.js';

/**
 * The sum of `rows` rows that lie one after the other, times `factor`: a product with a row of factors, for which the library has fast code
 * with all threads (its own reduction is a plain loop, 70 times slower).
 */
export function sumRows(e: Emitter, from: Place, rows: number, name: string, factor = 1): Place {
  const length = from.layout!.bytes / 4 / rows, row = e.dnnl.plain([1, length]);
  const operation = e.dnnl.matmul(e.dnnl.plain([1, rows]), e.dnnl.plain([rows, length]), row)!;
  const factors = e.fixed(new Float32Array(rows).fill(factor), [1, rows]), to = e.scratch(row);
  e.call(operation, {
    name, kind: 'sum of rows', reads: [[argument.source, factors], [argument.weights, e.view(from, e.dnnl.plain([rows, length]))]], writes: [[argument.output, to]],
  });
  return to;
}

/** The sum of each of `rows` rows, times `factor`. */
export function sumInRows(e: Emitter, from: Place, rows: number, name: string, factor = 1): Place {
  const length = from.layout!.bytes / 4 / rows, column = e.dnnl.plain([rows, 1]);
  const operation = e.dnnl.matmul(e.dnnl.plain([rows, length]), e.dnnl.plain([length, 1]), column)!;
  const factors = e.fixed(new Float32Array(length).fill(factor), [length, 1]), to = e.scratch(column);
  e.call(operation, {
    name, kind: 'sums in rows', reads: [[argument.source, e.view(from, e.dnnl.plain([rows, length]))], [argument.weights, factors]], writes: [[argument.output, to]],
  });
  return to;
}
