import type { Graph } from '../../graph/graph.js';
import { tensorMath, type TensorMath } from './math.js';
import { createWriter, type NodeWriter } from './writer.js';

/** What lowerings write with: single nodes, and formulas of them. */
export type Emitter = NodeWriter & TensorMath;

/** An emitter that starts with the constants of `graph`. */
export function createEmitter(graph: Graph): Emitter {
  const writer = createWriter(graph);
  return { ...writer, ...tensorMath(writer) };
}
