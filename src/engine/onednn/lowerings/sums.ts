import { argument, elementsOf, eltwise, pooling, type Layout, type Operation, type PostOp } from '../library/dnnl.js';
import type { Emitter } from '../emitter.js';
import type { Place } from '../memory/places.js';

/**
 * The mean over all pixels of [N, C, ...], [N, C, 1, ...] with channels blocked alike, as the
 * library pools; undefined where it has none for the layout.
 */
export function meanOverPixels(e: Emitter, layout: Layout): Operation | undefined {
  const kernel = layout.dims.slice(2),
    ones = kernel.map(() => 1),
    none = kernel.map(() => 0);
  return e.dnnl.pool(
    pooling.averageWithoutPadding,
    layout,
    e.dnnl.any([...layout.dims.slice(0, 2), ...ones], layout.type),
    kernel,
    {
      strides: ones,
      dilations: ones,
      begin: none,
      end: none,
    },
  );
}

const times = (factor: number): PostOp[] =>
  factor === 1 ? [] : [{ kind: 'eltwise', algorithm: eltwise.linear, alpha: factor, beta: 0 }];

/**
 * The sum of `rows` rows that lie one after the other, times `factor`: a product with a row of
 * factors, for which the library has fast code with all threads (its own reduction is a plain loop,
 * 70 times slower).
 */
export function sumRows(e: Emitter, from: Place, rows: number, name: string, factor = 1): Place {
  const { type } = from.layout!,
    length = elementsOf(from.layout!) / rows,
    row = e.dnnl.plain([1, length]),
    all = e.dnnl.plain([rows, length], type);
  const operation = e.dnnl.matmul(e.dnnl.plain([1, rows], type), all, row, times(factor))!;
  const factors = e.fixed(new Float32Array(rows).fill(1), [1, rows], type),
    to = e.scratch(row);
  e.call(operation, {
    name,
    kind: 'sum of rows',
    reads: [
      [argument.source, factors],
      [argument.weights, e.view(from, all)],
    ],
    writes: [[argument.output, to]],
  });
  return to;
}

/** The sum of each of `rows` rows, times `factor`. */
export function sumInRows(e: Emitter, from: Place, rows: number, name: string, factor = 1): Place {
  const { type } = from.layout!,
    length = elementsOf(from.layout!) / rows,
    column = e.dnnl.plain([rows, 1]),
    all = e.dnnl.plain([rows, length], type);
  const operation = e.dnnl.matmul(all, e.dnnl.plain([length, 1], type), column, times(factor))!;
  const factors = e.fixed(new Float32Array(length).fill(1), [length, 1], type),
    to = e.scratch(column);
  e.call(operation, {
    name,
    kind: 'sums in rows',
    reads: [
      [argument.source, e.view(from, all)],
      [argument.weights, factors],
    ],
    writes: [[argument.output, to]],
  });
  return to;
}
