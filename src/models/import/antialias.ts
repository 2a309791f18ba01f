import type { Value } from '../../graph/graph.js';
import { float32 } from '../../tensor.js';
import type { Emitter } from './emitter.js';

export interface Antialias {
  readonly mode: string;
  /** The coefficient a of the cubic filter. */
  readonly cubic: number;
  /** Whether pixels outside are left out; else those at the edge take their place. */
  readonly excludeOutside: boolean;
}

/** The triangle, 0 from 1 on, or Keys' cubic, 0 from 2 on. */
function filterOf({ mode, cubic: a }: Antialias): { readonly reach: number; readonly at: (x: number) => number } {
  if (mode !== 'cubic') return { reach: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) };
  return {
    reach: 2,
    at: (given) => {
      const x = Math.abs(given);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
    },
  };
}

/**
 * The matrix [after, before] of a resize of one axis by centres of pixels, with a filter as wide as
 * the pixels of the smaller of the two.
 */
function weights(before: number, after: number, options: Antialias): Float32Array {
  const { reach, at } = filterOf(options),
    step = before / after,
    width = Math.max(step, 1);
  const matrix = new Float32Array(after * before);
  for (let row = 0; row < after; row++) {
    const centre = (row + 0.5) * step,
      first = Math.floor(centre - reach * width + 0.5),
      end = Math.floor(centre + reach * width + 0.5);
    const line = new Float64Array(before);
    for (let i = first; i < end; i++) {
      const isOutside = i < 0 || i >= before;
      if (isOutside && options.excludeOutside) continue;
      line[Math.min(before - 1, Math.max(0, i))]! += at((i + 0.5 - centre) / width);
    }
    const total = line.reduce((a, b) => a + b, 0);
    line.forEach((weight, i) => (matrix[row * before + i] = weight / total));
  }
  return matrix;
}

/**
 * An antialiased resize as products with matrices that are known, axis by axis; `sizes` are the new
 * ones, undefined for axes that stay.
 */
export function antialiased(
  emitter: Emitter,
  x: Value,
  sizes: readonly (number | undefined)[],
  options: Antialias,
): Value {
  const { builder } = emitter,
    last = x.shape.length - 1;
  return sizes.reduce<Value>((value, after, axis) => {
    const before = value.shape[axis];
    if (after === undefined || after === before || typeof before !== 'number') return value;
    // [.., before, ..] to the last axis and back.
    const perm = value.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
    const matrix = builder.constant(float32([after, before], weights(before, after, options)));
    const turned = emitter.op('Transpose', [matrix], { perm: [1, 0] });
    const moved = emitter.op('Transpose', [value], { perm });
    return emitter.op('Transpose', [emitter.op('MatMul', [moved, turned])], { perm });
  }, x);
}
