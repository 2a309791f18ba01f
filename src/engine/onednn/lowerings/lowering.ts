import type { Node } from '../../../graph/graph.js';
import type { Emitter, Facts } from '../emitter.js';

/** How an op is written. */
export interface Lowering {
  /** Whether it is for a node, told from the graph alone: without the library. */
  applies(facts: Facts, node: Node): boolean;
  /** Writes the steps; false, before anything is written, where the library has no code for them. */
  write(e: Emitter, node: Node): boolean;
}
export type Lowerings = Readonly<Record<string, Lowering>>;

type Condition = Lowering['applies'];

/** Everything that the node reads is float32, and what it makes. */
export const areFloats: Condition = (facts, { inputs, outputs }) =>
  [...inputs, outputs[0]!].every((name) => name === '' || facts.value(name).dtype === 'float32');

/** Inputs after the first are constants: bounds, axes, indices. */
export const hasConstantRest: Condition = (facts, { inputs }) =>
  inputs.slice(1).every((name) => name === '' || facts.constant(name) !== undefined);

/** Nodes of any type. */
export const always: Condition = () => true;

/** A row of a table of lowerings; by default for nodes in float32. */
export const lowering = (write: Lowering['write'], applies: Condition = areFloats): Lowering => ({ write, applies });

/** For nodes in float32 for which something else holds too. */
export const floatsWhere =
  (condition: Condition): Condition =>
  (facts, node) =>
    areFloats(facts, node) && condition(facts, node);

export const haveSameShape = (facts: Facts, a: string, b: string): boolean =>
  facts.value(a).shape.join() === facts.value(b).shape.join();
