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
      sign = e.readers(clipped).find(({ op }) => op === 'Sign');
    if (!sign || e.uses(sign.outputs[0]!) !== 1) continue;
    const product = e.readers(sign.outputs[0]!)[0],
      backward = product && e.readers(product.outputs[0]!)[0];
    if (product?.op !== 'Mul' || e.uses(product.outputs[0]!) !== 1 || backward?.op !== 'BatchNormalizationGrad')
      continue;
    const isPair =
      backward.inputs[0] === product.outputs[0] &&
      backward.inputs[1] === forward.inputs[0] &&
      backward.inputs[2] === forward.inputs[1];
    const gradient = product.inputs.find((name) => name !== sign.outputs[0])!;
    if (!isPair || e.value(gradient).shape.join() !== e.value(clipped).shape.join()) continue;
    const fusion: NormalizationRelu = { relu, backward, gradient, absorbed: [sign, product], positive: undefined };
    found.set(forward, fusion);
    found.set(backward, fusion);
  }
  return found;
}
