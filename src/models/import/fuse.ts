import type { Graph, Node } from '../../graph/graph.js';
import { prune } from '../../graph/passes.js';

/**
 * Exports below opset 17 write layer normalisation out: d = x - mean(x), y = d / sqrt(mean(d^2) +
 * epsilon) * weight + bias over the last axis. Puts one LayerNormalization in its place, which is
 * faster forward and has a whole gradient.
 */
export function fuseLayerNormalization(graph: Graph): Graph {
  const producers = new Map<string, Node>();
  const readers = new Map<string, number>();
  for (const node of graph.nodes) {
    for (const output of node.outputs) producers.set(output, node);
    for (const input of node.inputs) readers.set(input, (readers.get(input) ?? 0) + 1);
  }
  for (const output of graph.outputs) readers.set(output, (readers.get(output) ?? 0) + 1);

  /** The node of this op behind a value that nothing else reads (`count` readers in all). */
  const behind = (name: string | undefined, op: string, count = 1): Node | undefined => {
    const node = producers.get(name ?? '');
    return node?.op === op && readers.get(name!) === count ? node : undefined;
  };
  /** A constant of one element, or undefined. */
  const scalar = (name: string | undefined): number | undefined => {
    const t = graph.constants.get(name ?? '');
    return t?.data.length === 1 ? Number(t.data[0]) : undefined;
  };
  /** Of two operands, the computed one and the constant vector of `size` elements. */
  const withVector = (node: Node, size: number): { value: string; vector: string } | undefined => {
    const [a = '', b = ''] = node.inputs;
    const isVector = (name: string): boolean =>
      graph.constants.get(name)?.dims.length === 1 && graph.constants.get(name)!.dims[0] === size;
    return isVector(b) ? { value: a, vector: b } : isVector(a) ? { value: b, vector: a } : undefined;
  };
  const overLast = (node: Node, rank: number): boolean => {
    const { axes, keepdims } = node.attributes;
    return Array.isArray(axes) && axes.length === 1 && axes[0] === rank - 1 && keepdims !== 0;
  };

  const match = (add: Node): Node | undefined => {
    const shape = graph.values.get(add.outputs[0]!)?.shape ?? [];
    const size = shape.at(-1);
    if (add.op !== 'Add' || typeof size !== 'number') return undefined;
    const shifted = withVector(add, size);
    const multiply = behind(shifted?.value, 'Mul');
    const scaled = multiply && withVector(multiply, size);
    const divide = behind(scaled?.value, 'Div');
    const difference = behind(divide?.inputs[0], 'Sub', 2) ?? behind(divide?.inputs[0], 'Sub', 3);
    const root = behind(divide?.inputs[1], 'Sqrt');
    const sum = behind(root?.inputs[0], 'Add');
    const epsilon = scalar(sum?.inputs[1]) ?? scalar(sum?.inputs[0]);
    const variance = behind(scalar(sum?.inputs[1]) === undefined ? sum?.inputs[1] : sum?.inputs[0], 'ReduceMean');
    const power = behind(variance?.inputs[0], 'Pow') ?? behind(variance?.inputs[0], 'Mul');
    if (!shifted || !scaled || !difference || !variance || !power || epsilon === undefined) return undefined;
    const squares = power.op === 'Pow' ? scalar(power.inputs[1]) === 2 : power.inputs[1] === difference.outputs[0];
    const mean = behind(difference.inputs[1], 'ReduceMean');
    const x = difference.inputs[0]!;
    if (!squares || power.inputs[0] !== difference.outputs[0] || mean?.inputs[0] !== x) return undefined;
    if (!overLast(mean, shape.length) || !overLast(variance, shape.length)) return undefined;
    return {
      ...add,
      op: 'LayerNormalization',
      inputs: [x, scaled.vector, shifted.vector],
      attributes: { axis: -1, epsilon },
    };
  };
  const nodes = graph.nodes.map((node) => match(node) ?? node);
  return nodes.some((node, i) => node !== graph.nodes[i]) ? prune({ ...graph, nodes }) : graph;
}
