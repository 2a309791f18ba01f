import type { Node } from '../../../graph/graph.js';
import type { Emitter } from '../emitter.js';

/** Writes the steps of a node; false when it does not apply, before anything is written. */
export type Lowering = (e: Emitter, node: Node) => boolean;
export type Lowerings = Readonly<Record<string, Lowering>>;

export const numberOf = (node: Node, name: string, otherwise: number): number =>
  (node.attributes[name] as number | undefined) ?? otherwise;
export const numbersOf = (node: Node, name: string): readonly number[] | undefined =>
  node.attributes[name] as readonly number[] | undefined;

/** An axis counted from the front. */
export const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
