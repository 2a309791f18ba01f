import { fromFront, listOf } from '../attributes.js';
import type { Attributes } from '../graph.js';
import type { Dense } from './dense.js';

/** What a kernel gets. */
export interface KernelContext {
  readonly op: string;
  readonly attributes: Attributes;
  /** Undefined where an optional input is absent. */
  readonly inputs: readonly (Dense | undefined)[];
  /** Input `index`, which must be there. */
  input(index: number): Dense;
  /** How many outputs the node has. */
  readonly outputCount: number;
}

/** Computes a node's outputs in double precision; the caller rounds them to their types. */
export type Kernel = (context: KernelContext) => readonly Dense[];
export type Kernels = Readonly<Record<string, Kernel>>;

/**
 * Axes from an input or an attribute, counted from the front and sorted; undefined when neither is
 * there.
 */
export function axesOf(context: KernelContext, inputIndex: number, rank: number): number[] | undefined {
  const axes = context.inputs[inputIndex]?.data ?? listOf(context.attributes, 'axes');
  return axes && Array.from(axes, (axis) => fromFront(axis, rank)).sort((a, b) => a - b);
}
