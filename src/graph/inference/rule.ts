import type { DataType, Tensor } from '../../tensor.js';
import type { Attributes, Shape, Value } from '../graph.js';
import type { Integers } from './integers.js';

/** What a rule may look at to find the types and shapes of a node's outputs. */
export interface InferenceContext {
  readonly op: string;
  readonly name: string;
  readonly attributes: Attributes;
  /** Undefined where an optional input is absent. */
  readonly inputs: readonly (Value | undefined)[];
  /** The constant behind input `index`, when it is one. */
  constant(index: number): Tensor | undefined;
  /**
   * The elements of input `index` when they are constant or follow from sizes: what `Shape` says,
   * and what is computed from it.
   */
  integers(index: number): Integers | undefined;
  /** How many outputs the caller asked for, when it said so. */
  readonly outputCount: number | undefined;
}

export interface Inferred {
  readonly dtype: DataType;
  readonly shape: Shape;
}

/**
 * Types and shapes of a node's outputs. One table entry per op; throws an Error that names the node
 * when inputs do not fit.
 */
export type InferenceRule = (context: InferenceContext) => Inferred[];
