import type { Dim, Graph, Node } from '../graph/graph.js';
import { evaluateDim } from '../graph/inference/dims.js';

/** A size as a number, for a batch of one: `64*N` is 64. */
const size = (dim: Dim | undefined): number => (dim === undefined ? 1 : (evaluateDim(dim, { N: 1 }) ?? 1));
const product = (dims: readonly Dim[]): number => dims.reduce<number>((total, dim) => total * size(dim), 1);

/**
 * Floating-point operations of one node: a multiply and its add are two; only convolutions and
 * matrix products count.
 */
export function nodeFlops(graph: Graph, node: Node): number {
  const shape = (name: string | undefined): readonly Dim[] => graph.values.get(name ?? '')?.shape ?? [];
  const output = shape(node.outputs[0]);
  switch (node.op) {
    case 'Conv':
      // weights [M, C/group, k...]: each output element is a dot product over C/group * k...
      return 2 * product(output) * product(shape(node.inputs[1]).slice(1));
    case 'ConvTranspose':
      // weights [C, M/group, k...]: each input element meets M/group * k... weights
      return 2 * product(shape(node.inputs[0])) * product(shape(node.inputs[1]).slice(1));
    case 'Gemm': {
      const a = shape(node.inputs[0]);
      return 2 * product(output) * size(a[node.attributes['transA'] === 1 ? 0 : 1]);
    }
    case 'MatMul':
      return 2 * product(output) * size(shape(node.inputs[0]).at(-1));
    default:
      return 0;
  }
}

/**
 * Floating-point operations of one forward pass over one image. A multiply-add counts as 2
 * (ResNet-18: 3.6e9, where papers that count multiply-adds say 1.8e9); convolutions and matrix
 * products only, everything else is small beside them.
 */
export const countFlops = (graph: Graph): number => graph.nodes.reduce((sum, node) => sum + nodeFlops(graph, node), 0);
