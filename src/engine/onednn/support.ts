import { axisOf, numberOf } from '../../graph/attributes.js';
import { canEvaluate } from '../../graph/evaluate.js';
import type { Graph, Node } from '../../graph/graph.js';
import type { DataType } from '../../tensor.js';
import { functions } from './loops/functions.js';
import { lowerings } from './lowerings/index.js';

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

/** Ops whose work is not told by the number of their elements. */
const heavy = new Set(['Conv', 'ConvTranspose', 'ConvGradInput', 'ConvGradWeight', 'MatMul', 'Gemm', 'Einsum']);

/** Ops that move elements of any type as further inputs say, which must be constant. */
const moving = new Set([
  'Slice',
  'Pad',
  'Expand',
  'Tile',
  'GatherElements',
  'GatherND',
  'DepthToSpace',
  'SpaceToDepth',
  'Trilu',
  'Transpose',
]);
/** Ops on elements of any type. */
const untyped = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Identity', 'Dropout', 'Split', 'Gather']);
/** Types that a loop converts to float32. */
const simple = new Set<DataType>(['uint8', 'int8', 'int32', 'uint16', 'int16', 'bool']);

interface Context {
  readonly graph: Graph;
  /** Sizes of a value; one that is only known at run time, the batch, counts as 32. */
  dims(name: string): readonly number[];
}

const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** Conditions of lowerings that apply to some nodes of an op only. */
const conditions: Readonly<Record<string, (node: Node, context: Context) => boolean>> = {
  MatMul: ({ inputs }, { dims }) => inputs.every((name) => dims(name).length >= 2),
  Gemm: (node, { dims }) => {
    const bias = node.inputs[2] ? dims(node.inputs[2]) : undefined,
      columns = dims(node.outputs[0]!)[1];
    return (
      !bias ||
      (numberOf(node.attributes, 'alpha', 1) === 1 &&
        numberOf(node.attributes, 'beta', 1) === 1 &&
        product(bias) === columns &&
        bias.at(-1) === columns)
    );
  },
  LayerNormalization: (node, { dims }) => {
    const [x, scale, bias] = node.inputs as [string, string, string?],
      shape = dims(x),
      inner = product(shape.slice(axisOf(node.attributes, shape.length, -1)));
    return bias !== undefined && bias !== '' && product(dims(scale)) === inner && product(dims(bias)) === inner;
  },
  LayerNormalizationGrad: (node, { dims }) => {
    const [, x, scale] = node.inputs as [string, string, string],
      shape = dims(x);
    return product(dims(scale)) === product(shape.slice(axisOf(node.attributes, shape.length, -1)));
  },
  MaxPool: ({ outputs }) => outputs.filter((name) => name !== '').length === 1,
  AveragePool: (node) =>
    !(numberOf(node.attributes, 'ceil_mode', 0) === 1 && numberOf(node.attributes, 'count_include_pad', 0) === 1),
  AveragePoolGrad: (node) =>
    !(numberOf(node.attributes, 'ceil_mode', 0) === 1 && numberOf(node.attributes, 'count_include_pad', 0) === 1),
  ReduceSum: ({ inputs }, { graph }) => !inputs[1] || graph.constants.has(inputs[1]),
  ReduceMean: ({ inputs }, { graph }) => !inputs[1] || graph.constants.has(inputs[1]),
  Clip: ({ inputs }, { graph }) => inputs.slice(1).every((name) => name === '' || graph.constants.has(name)),
  Max: ({ inputs }) => inputs.length === 2,
  Min: ({ inputs }) => inputs.length === 2,
};

/** Whether a node runs in the library or in a loop made for it. */
function isFast(node: Node, context: Context): boolean {
  const { graph } = context;
  if (!lowerings.has(node.op) && !(node.op in functions)) return false;
  if (moving.has(node.op)) return node.inputs.slice(1).every((name) => name === '' || graph.constants.has(name));
  if (untyped.has(node.op)) return true;
  const typeOf = (name: string): DataType => graph.values.get(name)!.dtype;
  const [from, to] = [typeOf(node.inputs[0]!), typeOf(node.outputs[0]!)];
  if (node.op === 'Cast') return from === to || (to === 'float32' && simple.has(from));
  const operands = node.op.startsWith('Reduce') ? node.inputs.slice(0, 1) : node.inputs;
  if (![...operands, node.outputs[0]!].every((name) => name === '' || typeOf(name) === 'float32')) return false;
  return conditions[node.op]?.(node, context) ?? true;
}

/** Nodes that plain loops would compute, with the elements that each reads and writes. */
export function slowNodes(graph: Graph): { readonly node: Node; readonly elements: number }[] {
  const dims = (name: string): readonly number[] =>
    graph.values.get(name)!.shape.map((dim) => (typeof dim === 'number' ? dim : 32));
  const context: Context = { graph, dims };
  return graph.nodes
    .filter((node) => !isFast(node, context))
    .map((node) => ({
      node,
      elements: [...node.inputs, ...node.outputs].reduce(
        (sum, name) => (name === '' ? sum : sum + product(dims(name))),
        0,
      ),
    }));
}

/** Why a graph should run on another engine; undefined when it need not. */
export function lackOf(graph: Graph): Lack | undefined {
  const slow = slowNodes(graph),
    absent = slow.find(({ node }) => !canEvaluate(node.op));
  if (absent) return { node: absent.node, message: `${absent.node.name}: the oneDNN engine has no ${absent.node.op}` };
  const sum = slow.reduce((total, { elements }) => total + elements, 0);
  const worst =
    slow.find(({ node }) => heavy.has(node.op)) ??
    (sum > bearable ? slow.reduce((most, item) => (item.elements > most.elements ? item : most)) : undefined);
  return (
    worst && {
      node: worst.node,
      message: `${worst.node.name}: the oneDNN engine has no fast ${worst.node.op} for ${graphShape(worst.node, graph)}`,
    }
  );
}

const graphShape = (node: Node, graph: Graph): string =>
  `[${graph.values.get(node.inputs.find((name) => name !== '') ?? node.outputs[0]!)!.shape.join(', ')}]`;
