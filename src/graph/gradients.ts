import type { Attributes, Node, Value } from './graph.js';
import type { GraphBuilder } from './builder.js';

/**
 * What a gradient rule gets: the node, its values, and the gradients of the loss with respect to
 * its outputs.
 */
export interface GradientContext {
  readonly builder: GraphBuilder;
  readonly node: Node;
  readonly attributes: Attributes;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  /** One per output; undefined where the loss does not depend on it. At least one is defined. */
  readonly outputGradients: readonly (Value | undefined)[];
  /** Whether the gradient of input `index` is wanted; a rule need not build the others. */
  needs(index: number): boolean;
}

/**
 * Gradients of the inputs, built from ordinary ops and whole gradient ops: a value of the input's
 * shape *or of the broadcast shape* (summed back in one central place), `'zero'` where the loss
 * provably does not depend on the input (rounding, comparisons, indices), undefined where it was
 * not asked for.
 */
export type GradientRule = (context: GradientContext) => readonly (Value | 'zero' | undefined)[];

/**
 * A table entry: a rule, or `'none'` for an op whose outputs carry no gradient (shapes,
 * comparisons, rounding, indices).
 */
export type GradientEntry = GradientRule | 'none';
export type GradientTable = Readonly<Record<string, GradientEntry>>;
