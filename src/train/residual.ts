import type { Graph } from '../graph/graph.js';
import { sameShape } from '../graph/graph.js';

/** An Add that closes a residual block. */
export interface Residual {
  readonly node: string;
  /** Which operand is the branch (the other is the shortcut). */
  readonly branch: 0 | 1;
}

/**
 * The residual blocks of a graph, in order: Adds of two values that both depend on the image and
 * have the same shape. The branch is the operand with more layers between it and the image, since a
 * shortcut is an identity or one projection. A layer is a node that reads a parameter: the Adds
 * inside an activation (GELU by Tanh) have as many before both operands and are none.
 */
export function residuals(graph: Graph, input: string): Residual[] {
  /** Most layers on a path from the image; absent for what does not depend on it. */
  const depth = new Map<string, number>([[input, 0]]);
  /** Parameters, and what is computed from them alone. */
  const learned = new Set(graph.inputs.map(({ name }) => name).filter((name) => name !== input));
  const found: Residual[] = [];
  for (const node of graph.nodes) {
    const depths = node.inputs.flatMap((name) => depth.get(name) ?? []);
    const isLayer = node.inputs.some((name) => learned.has(name));
    if (depths.length === 0) {
      if (isLayer) for (const output of node.outputs) learned.add(output);
      continue;
    }
    for (const output of node.outputs) depth.set(output, Math.max(...depths) + (isLayer ? 1 : 0));
    if (node.op !== 'Add' || depths.length !== 2 || depths[0] === depths[1]) continue;
    const [a, b] = node.inputs.map((name) => graph.values.get(name)!.shape);
    if (a!.length >= 3 && sameShape(a!, b!)) found.push({ node: node.name, branch: depths[0]! > depths[1]! ? 0 : 1 });
  }
  return found;
}
