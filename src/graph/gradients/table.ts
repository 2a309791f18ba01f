import { invariant } from '../../errors.js';
import type { GradientEntry, GradientTable } from '../gradients.js';
import { convolution } from './convolution.js';
import { elementwise } from './elementwise.js';
import { linear } from './linear.js';
import { normalization } from './normalization.js';
import { pooling } from './pooling.js';
import { reductions } from './reduction.js';
import { shape } from './shape.js';

/** One map from several tables. Throws when an op has two entries. */
export function mergeTables(...tables: readonly GradientTable[]): ReadonlyMap<string, GradientEntry> {
  const merged = new Map<string, GradientEntry>();
  for (const table of tables) {
    for (const [op, entry] of Object.entries(table)) {
      invariant(!merged.has(op), `two gradient rules for ${op}`);
      merged.set(op, entry);
    }
  }
  return merged;
}

/** The gradient of every op that a model can be trained through; ops that are not here cannot. */
export const gradients: ReadonlyMap<string, GradientEntry> = mergeTables(
  elementwise,
  linear,
  convolution,
  pooling,
  reductions,
  normalization,
  shape,
);

/** Why the other ops have no rule, for the error message. */
export const reasons: ReadonlyMap<string, string> = new Map<string, string>([
  ['QuantizeLinear', 'rounding has no useful gradient'],
  ['DequantizeLinear', 'quantised weights are not trained'],
  ['ReduceProd', 'the quotient form fails at zeros'],
  ['Mod', 'it jumps'],
  ['Det', 'networks of images have no determinants'],
  ...['FusedConv', 'FusedMatMul', 'ReorderInput', 'ReorderOutput'].map(
    (op) => [op, 'only the engine writes it, into a graph that has its gradients'] as const,
  ),
]);
