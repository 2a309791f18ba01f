import type { Dim, Value } from '../../graph/graph.js';
import { divideExactly, evaluateDim, multiplyDims } from '../../graph/inference/dims.js';
import { reshapeTarget } from '../../graph/passes/fold.js';

/**
 * A Reshape's target in a file exported with a fixed batch B has B baked in. For an input whose
 * shape depends on the batch `N`, finds the target that means the same for every batch: sizes are
 * matched in row-major order, group by group of equal products, and the size that carries the batch
 * must lead its group on both sides. Undefined when that does not prove it.
 */
export function unbakeReshape(x: Value, target: readonly number[], baked: number, batch = 'N'): number[] | undefined {
  const fixed = x.shape.map((dim) => evaluateDim(dim, { [batch]: baked }));
  if (fixed.includes(undefined)) return undefined;
  const sizes = fixed as number[];
  const resolved = resolve(sizes, target);
  if (!resolved) return undefined;
  const out: Dim[] = [...resolved];
  let i = 0;
  let j = 0;
  while (i < sizes.length || j < resolved.length) {
    const [firstIn, firstOut] = [i, j];
    let a = sizes[i++] ?? 1;
    let b = resolved[j++] ?? 1;
    while (a !== b) {
      if (a < b) {
        if (i >= sizes.length) return undefined;
        a *= sizes[i++]!;
      } else {
        if (j >= resolved.length) return undefined;
        b *= resolved[j++]!;
      }
    }
    // Trailing ones belong to the last group.
    if (j >= resolved.length) while (i < sizes.length && sizes[i] === 1) i++;
    if (i >= sizes.length) while (j < resolved.length && resolved[j] === 1) j++;
    const carrier = x.shape.slice(firstIn, i).findIndex((dim) => typeof dim === 'string');
    if (carrier < 0) continue;
    if (carrier > 0 || firstOut >= resolved.length) return undefined;
    // k N leads: the leading output size r becomes r k N / (k B).
    const scaled = divideExactly(multiplyDims(resolved[firstOut]!, x.shape[firstIn]!), sizes[firstIn]!);
    if (scaled === undefined) return undefined;
    out[firstOut] = scaled;
  }
  return reshapeTarget(out, x);
}

/** The target with its 0 and -1 replaced by the sizes they stand for. */
function resolve(sizes: readonly number[], target: readonly number[]): number[] | undefined {
  const out = target.map((dim, i) => (dim === 0 ? (sizes[i] ?? 0) : dim));
  const open = out.indexOf(-1);
  const total = sizes.reduce((a, b) => a * b, 1);
  if (open >= 0) {
    const rest = out.reduce((a, b, i) => (i === open ? a : a * b), 1);
    out[open] = total / rest;
  }
  return out.reduce((a, b) => a * b, 1) === total && out.every(Number.isInteger) ? out : undefined;
}
