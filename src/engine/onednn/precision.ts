import type { Graph } from '../../graph/graph.js';
import { computesBfloat16, type Dnnl } from './library/dnnl.js';

/** Whether the processor computes with bfloat16: the library emulates it elsewhere, slowly. */
export function hasBfloat16(dnnl: Dnnl): boolean {
  const any = (dims: readonly number[]) => dnnl.any(dims, 'bf16');
  const window = { strides: [1, 1], dilations: [1, 1], begin: [1, 1], end: [1, 1] };
  const operation = dnnl.convolution(
    'forward',
    'direct',
    { source: any([1, 32, 8, 8]), weights: any([32, 32, 3, 3]), output: any([1, 32, 8, 8]) },
    window,
  );
  const found = operation !== undefined && computesBfloat16(operation.implementation);
  operation?.release();
  return found;
}

/**
 * Which values stay in float32 when activations and gradients are in bfloat16: what is returned,
 * the next state (master weights, moments, statistics), what those are computed from element by
 * element, and what a softmax is taken of.
 */
const passing = new Set([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Neg',
  'Abs',
  'Sqrt',
  'Reciprocal',
  'Pow',
  'Sign',
  'ClipGrad',
  'Clip',
  'Max',
  'Min',
  'Exp',
  'Log',
  'Identity',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Transpose',
  'Cast',
  'Where',
  'Expand',
]);

/** The names of those values in a graph. */
export function exactValues(graph: Graph): ReadonlySet<string> {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const exact = new Set<string>(),
    open = [...graph.outputs];
  for (const node of graph.nodes) if (node.op === 'LogSoftmax' || node.op === 'Softmax') open.push(node.inputs[0]!);
  for (const node of graph.nodes) if (node.op === 'LogSoftmax') open.push(node.outputs[0]!);
  while (open.length > 0) {
    const name = open.pop()!,
      node = producers.get(name);
    if (exact.has(name)) continue;
    exact.add(name);
    if (node && passing.has(node.op)) for (const input of node.inputs) if (input !== '') open.push(input);
  }
  return exact;
}
