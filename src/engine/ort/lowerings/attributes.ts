import type { Node } from '../../../graph/graph.js';

/** A list of integers that a node must have. */
export function integers(node: Node, name: string): readonly number[] {
  const value = node.attributes[name];
  if (!Array.isArray(value)) throw new Error(`${node.name}: ${node.op} needs the attribute ${name}`);
  return value as readonly number[];
}

/** A number of a node, or what it is when absent. */
export const number = (node: Node, name: string, otherwise: number): number =>
  (node.attributes[name] as number | undefined) ?? otherwise;
