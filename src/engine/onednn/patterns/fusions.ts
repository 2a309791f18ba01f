import type { Graph, Node } from '../../../graph/graph.js';
import { sizeOf } from '../../../tensor.js';
import type { Emitter, NormalizationRelu } from '../emitter.js';

/**
 * The Add of a bias behind a product with a matrix, where nothing else reads the product: by MatMul
 * node.
 */
export function findBiases(graph: Graph, e: Emitter): ReadonlyMap<Node, { readonly add: Node; readonly bias: string }> {
  const found = new Map<Node, { readonly add: Node; readonly bias: string }>();
  for (const node of graph.nodes) {
    const product = node.outputs[0]!,
      [add] = e.readers(product);
    if (node.op !== 'MatMul' || e.uses(product) !== 1 || add?.op !== 'Add' || e.value(product).dtype !== 'float32')
      continue;
    const bias = add.inputs.find((name) => name !== product),
      { shape } = e.value(product),
      isMatrix = sizeOf(e.value(node.inputs[1]!).shape.slice(0, -2)) === 1;
    if (bias && isMatrix && e.value(bias).shape.join() === String(shape.at(-1)) && !e.producer(bias))
      found.set(node, { add, bias });
  }
  return found;
}

/** Finds pairs whose intermediate results nothing else reads, by both normalisation nodes. */
export function findFusions(graph: Graph, e: Emitter): ReadonlyMap<Node, NormalizationRelu> {
  const found = new Map<Node, NormalizationRelu>();
  for (const forward of graph.nodes) {
    if (forward.op !== 'BatchNormalization') continue;
    const y = forward.outputs[0]!,
      [relu] = e.readers(y);
    if (relu?.op !== 'Relu' || e.uses(y) !== 1) continue;
    const clipped = relu.outputs[0]!,
      masked = e.readers(clipped).find(({ op, inputs }) => op === 'ClipGrad' && inputs[1] === clipped);
    if (!masked || e.uses(masked.outputs[0]!) !== 1) continue;
    const [backward] = e.readers(masked.outputs[0]!),
      gradient = masked.inputs[0]!;
    const isPair =
      backward?.op === 'BatchNormalizationGrad' &&
      backward.inputs[0] === masked.outputs[0] &&
      backward.inputs[1] === forward.inputs[0] &&
      backward.inputs[2] === forward.inputs[1];
    if (!isPair || e.value(gradient).shape.join() !== e.value(clipped).shape.join()) continue;
    const fusion: NormalizationRelu = { relu, backward, gradient, absorbed: [masked], positive: undefined };
    found.set(forward, fusion);
    found.set(backward, fusion);
  }
  return found;
}
