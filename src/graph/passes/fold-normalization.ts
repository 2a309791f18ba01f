import { numberOf } from '../attributes.js';
import { sizeOf, type Tensor } from '../../tensor.js';
import type { Graph, Node, Value } from '../graph.js';
import { prune } from './prune.js';

/**
 * Puts batch normalisation with given statistics into the convolution before it, where all of its
 * numbers are constants and nothing else reads the convolution: with s = scale / sqrt(variance +
 * epsilon), w' = s w and b' = s (b - mean) + shift, in doubles, rounded once.
 */
export function foldNormalization(graph: Graph): Graph {
  const producers = new Map(graph.nodes.map((node) => [node.outputs[0]!, node]));
  const uses = new Map<string, number>();
  for (const name of [...graph.outputs, ...graph.nodes.flatMap(({ inputs }) => inputs)])
    uses.set(name, (uses.get(name) ?? 0) + 1);
  const constants = new Map(graph.constants),
    values = new Map(graph.values),
    replaced = new Map<Node, Node | undefined>();
  const add = (name: string, dims: readonly number[], data: Float32Array): string => {
    const value: Value = { name, dtype: 'float32', shape: dims };
    constants.set(name, { dtype: 'float32', dims, data });
    values.set(name, value);
    return name;
  };
  for (const node of graph.nodes) {
    const conv = producers.get(node.inputs[0]!);
    if (
      node.op !== 'BatchNormalization' ||
      node.attributes['training_mode'] === 1 ||
      node.outputs.slice(1).some((name) => name !== '')
    )
      continue;
    if (conv?.op !== 'Conv' || uses.get(conv.outputs[0]!) !== 1) continue;
    const [weights, bias] = [conv.inputs[1]!, conv.inputs[2] ?? ''].map((name) => constants.get(name)),
      [scale, shift, mean, variance] = node.inputs.slice(1).map((name) => constants.get(name));
    if (!weights || !scale || !shift || !mean || !variance || (conv.inputs[2] && !bias) || weights.dtype !== 'float32')
      continue;
    const epsilon = numberOf(node.attributes, 'epsilon', 1e-5),
      filters = weights.dims[0]!,
      size = sizeOf(weights.dims) / filters;
    const number = (t: Tensor, i: number): number => Number(t.data[i]);
    const factors = Float64Array.from(
      { length: filters },
      (_, i) => number(scale, i) / Math.sqrt(number(variance, i) + epsilon),
    );
    const w = add(
      `${node.name}/weight`,
      weights.dims,
      Float32Array.from({ length: filters * size }, (_, i) => number(weights, i) * factors[Math.floor(i / size)]!),
    );
    const b = add(
      `${node.name}/bias`,
      [filters],
      Float32Array.from(
        factors,
        (factor, i) => factor * ((bias ? number(bias, i) : 0) - number(mean, i)) + number(shift, i),
      ),
    );
    replaced.set(conv, undefined);
    replaced.set(node, { ...conv, inputs: [conv.inputs[0]!, w, b], outputs: [node.outputs[0]!] });
  }
  if (replaced.size === 0) return graph;
  const nodes = graph.nodes.flatMap((node) => (replaced.has(node) ? (replaced.get(node) ?? []) : node));
  return prune({ ...graph, nodes, constants, values });
}
