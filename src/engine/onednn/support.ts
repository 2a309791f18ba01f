import { canEvaluate } from '../../graph/evaluate.js';
import type { Graph, Node } from '../../graph/graph.js';
import { sizeOf } from '../../tensor.js';
import type { Facts } from './emitter.js';
import { lowerings } from './lowerings/index.js';
import { writtenOut } from './patterns/written-out.js';

/**
 * What this engine would compute slowly, or not at all, told from the graph alone: no library is
 * needed. It says before a training whether the engine is the one for it; what really happens to a
 * node is decided when it is lowered.
 */

/**
 * The node for which a graph should run elsewhere, with the reason in words: `layer1.up: the oneDNN
 * engine has no fast ConvTranspose`.
 */
export interface Lack {
  readonly node: Node;
  readonly message: string;
}

/** Elements that plain loops may read and write in a run of a graph: some 20 ms of them. */
const bearable = 2 ** 18;

/** What a size that is only known at run time, that of the batch, counts as. */
const unknownSize = 32;

/** Ops whose work is not told by the number of their elements. */
const heavy = new Set(['Conv', 'ConvTranspose', 'ConvGradInput', 'ConvGradWeight', 'MatMul', 'Gemm', 'Einsum']);

/** Nodes that plain loops would compute, with the elements that each reads and writes. */
export function slowNodes(given: Graph): { readonly node: Node; readonly elements: number }[] {
  const graph = writtenOut(given);
  const facts: Facts = {
    value(name) {
      const { dtype, shape } = graph.values.get(name)!;
      return { name, dtype, shape: shape.map((dim) => (typeof dim === 'number' ? dim : unknownSize)) };
    },
    constant: (name) => graph.constants.get(name),
  };
  return graph.nodes
    .filter((node) => !lowerings.get(node.op)?.applies(facts, node))
    .map((node) => ({
      node,
      // A shape is known without a look at the numbers.
      elements: [...(node.op === 'Shape' ? [] : node.inputs), ...node.outputs].reduce(
        (sum, name) => (name === '' ? sum : sum + sizeOf(facts.value(name).shape)),
        0,
      ),
    }));
}

/** Why a graph should run on another engine; undefined when it need not. */
export function lackOf(given: Graph): Lack | undefined {
  const graph = writtenOut(given);
  const slow = slowNodes(graph),
    absent = slow.find(({ node }) => !canEvaluate(node.op));
  if (absent) return { node: absent.node, message: `${absent.node.name}: the oneDNN engine has no ${absent.node.op}` };
  const sum = slow.reduce((total, { elements }) => total + elements, 0);
  const worst =
    slow.find(({ node }) => heavy.has(node.op)) ??
    (sum > bearable ? slow.reduce((most, item) => (item.elements > most.elements ? item : most)) : undefined);
  if (!worst) return undefined;
  const { node } = worst;
  return { node, message: `${node.name}: the oneDNN engine has no fast ${node.op} for ${graphShape(node, graph)}` };
}

const graphShape = (node: Node, graph: Graph): string =>
  `[${graph.values.get(node.inputs.find((name) => name !== '') ?? node.outputs[0]!)!.shape.join(', ')}]`;
