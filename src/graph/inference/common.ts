import type { DataType } from '../../tensor.js';
import { numbersOf } from '../../tensor.js';
import { formatShape, type Dim, type Shape, type Value } from '../graph.js';
import type { InferenceContext, Inferred, InferenceRule } from './rule.js';

/** A mistake in a node: the message begins with its name and op. */
export const fail = (context: InferenceContext, message: string): never => {
  throw new Error(`${context.name}: ${context.op} ${message}`);
};

/** Input `index`, which the op must have. */
export function need(context: InferenceContext, index: number): Value {
  return context.inputs[index] ?? fail(context, `needs an input ${index}`);
}

/** The numbers of a constant input; undefined when it is absent or not constant. */
export function constantNumbers(context: InferenceContext, index: number): number[] | undefined {
  const t = context.constant(index);
  return t && numbersOf(t);
}

/** `axis` counted from the front; throws when it is out of range. */
export function axisOf(context: InferenceContext, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  return Number.isInteger(positive) && positive >= 0 && positive < rank
    ? positive
    : fail(context, `has no axis ${axis} in a tensor of ${rank} dimensions`);
}

/**
 * The shape that shapes broadcast to, by NumPy's rule. A name and a number other than 1 are taken
 * to agree.
 */
export function broadcastShapes(context: InferenceContext, shapes: readonly Shape[]): Dim[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    let dim: Dim = 1;
    for (const shape of shapes) {
      const other = shape[i - rank + shape.length] ?? 1;
      if (other === 1 || other === dim) continue;
      if (dim !== 1 && !mayEqual(dim, other))
        fail(context, `cannot broadcast ${shapes.map(formatShape).join(' with ')}`);
      dim = dim === 1 || typeof other === 'number' ? other : dim;
    }
    out.push(dim);
  }
  return out;
}

/** Whether two sizes can be the same: unequal numbers cannot, nor can two plain names. */
export function mayEqual(a: Dim, b: Dim): boolean {
  if (a === b) return true;
  if (typeof a === 'number' && typeof b === 'number') return false;
  if (typeof a === 'number' || typeof b === 'number') return true;
  return a.includes('(') || b.includes('(') || a.startsWith('?') || b.startsWith('?');
}

/** Throws when inputs that must share an element type do not. */
export function sameType(context: InferenceContext, inputs: readonly (Value | undefined)[] = context.inputs): DataType {
  const first = inputs.find((input) => input !== undefined);
  if (!first) return fail(context, 'has no inputs');
  for (const input of inputs) {
    if (input && input.dtype !== first.dtype) {
      fail(context, `mixes ${inputs.map((v) => (v ? `${v.name}: ${v.dtype}` : '-')).join(' and ')}`);
    }
  }
  return first.dtype;
}

/** Output 0 has the type and shape of input 0. */
export const likeFirst: InferenceRule = (context) => [{ dtype: need(context, 0).dtype, shape: need(context, 0).shape }];

/** Optional outputs are made only when they are asked for. */
export const atLeast = (context: InferenceContext, required: number, all: Inferred[]): Inferred[] =>
  all.slice(0, context.outputCount ?? required);

/** A name for a size that depends on data: unique to the node. */
export const unknownDim = (context: InferenceContext): Dim => `?${context.name.replace(/[^A-Za-z0-9_.]/g, '_')}`;
