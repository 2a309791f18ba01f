import type { InferenceRule } from './rule.js';
import { elementwiseRules } from './elementwise.js';
import { gradientOpRules } from './gradient-ops.js';
import { reductionRules } from './reductions.js';
import { shapeRules } from './shapes.js';
import { windowRules } from './windows.js';

/** Types and shapes of every op's outputs: one entry per op. */
export const rules: ReadonlyMap<string, InferenceRule> = merge([
  elementwiseRules,
  windowRules,
  reductionRules,
  shapeRules,
  gradientOpRules,
]);

function merge(tables: readonly ReadonlyMap<string, InferenceRule>[]): Map<string, InferenceRule> {
  const all = new Map<string, InferenceRule>();
  for (const table of tables) {
    for (const [op, rule] of table) {
      if (all.has(op)) throw new Error(`${op} has two inference rules`);
      all.set(op, rule);
    }
  }
  return all;
}
