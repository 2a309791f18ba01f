import { PupilError, invariant } from '../errors.js';
import { GraphBuilder } from '../graph/builder.js';
import type { Graph, Node, Value } from '../graph/graph.js';
import { subgraph } from '../graph/passes.js';
import { float32, type Tensor } from '../tensor.js';
import { initialTensor } from './families/layers.js';
import type { Head, Model } from './model.js';
import { suggestion } from '../nearest.js';

/** Ops between the classifier and the logits that only move, scale or pool its outputs. */
const passedThrough: ReadonlySet<string> = new Set([
  'Identity',
  'Flatten',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Transpose',
  'Cast',
  'Dropout',
  'Softmax',
  'LogSoftmax',
  'Relu',
  'GlobalAveragePool',
  'AveragePool',
  'ReduceMean',
]);

type Producers = ReadonlyMap<string, Node>;
type Parameters = ReadonlyMap<string, Tensor>;

function producersOf(graph: Graph): Producers {
  const producers = new Map<string, Node>();
  for (const node of graph.nodes) for (const output of node.outputs) if (output !== '') producers.set(output, node);
  return producers;
}

interface Weight {
  /** The parameter's name. */
  readonly name: string;
  /** Whether its first dimension counts classes (else features). */
  readonly classesFirst: boolean;
}

/** The parameter behind a matrix operand, also through Identity and a Transpose. */
function matrixParameter(
  producers: Producers,
  parameters: Parameters,
  operand: string | undefined,
  classesFirst: boolean,
): Weight | undefined {
  if (operand === undefined) return undefined;
  const found = parameters.get(operand);
  if (found) return found.dims.length === 2 ? { name: operand, classesFirst } : undefined;
  const node = producers.get(operand);
  if (node?.op === 'Identity') return matrixParameter(producers, parameters, node.inputs[0], classesFirst);
  if (node?.op === 'Transpose') return matrixParameter(producers, parameters, node.inputs[0], !classesFirst);
  return undefined;
}

/**
 * The weight of a node that can be a classifier: a Gemm or MatMul with a parameter, or a 1x1
 * convolution.
 */
function classifierWeight(node: Node, producers: Producers, parameters: Parameters): Weight | undefined {
  if (node.op === 'Gemm' && (node.attributes['transA'] ?? 0) === 0) {
    return matrixParameter(producers, parameters, node.inputs[1], node.attributes['transB'] === 1);
  }
  if (node.op === 'MatMul') return matrixParameter(producers, parameters, node.inputs[1], false);
  if (node.op === 'Conv' && (node.attributes['group'] ?? 1) === 1) {
    const weight = parameters.get(node.inputs[1] ?? '');
    return weight?.dims.length === 4 && weight.dims[2] === 1 && weight.dims[3] === 1
      ? { name: node.inputs[1]!, classesFirst: true }
      : undefined;
  }
  return undefined;
}

function headOf(
  node: Node,
  graph: Graph,
  producers: Producers,
  parameters: Parameters,
  addedBias?: string,
): Head | undefined {
  const weight = classifierWeight(node, producers, parameters);
  if (!weight) return undefined;
  const dims = parameters.get(weight.name)!.dims;
  const bias = node.op === 'MatMul' ? undefined : node.inputs[2];
  if (addedBias !== undefined && bias) return undefined;
  if (!graph.values.has(node.inputs[0]!)) return undefined;
  return {
    node: node.name,
    features: node.inputs[0]!,
    featureCount: dims[weight.classesFirst ? 1 : 0]!,
    weight: weight.name,
    bias: bias === undefined || bias === '' ? addedBias : bias,
    classes: dims[weight.classesFirst ? 0 : 1]!,
  };
}

/** The operand of a two-operand node that is neither the given parameter-like nor constant one. */
function biasOperand(node: Node, graph: Graph, parameters: Parameters): { data: string; other: string } | undefined {
  const isFixed = (name: string): boolean => {
    const dims = parameters.get(name)?.dims ?? graph.constants.get(name)?.dims;
    return dims !== undefined && dims.filter((dim) => dim !== 1).length <= 1;
  };
  const [a = '', b = ''] = node.inputs;
  if (isFixed(b) && !isFixed(a)) return { data: a, other: b };
  return isFixed(a) && !isFixed(b) ? { data: b, other: a } : undefined;
}

/**
 * The classifier: the last Gemm, MatMul (with its Add) or 1x1 convolution before the first output,
 * looking back through reshapes, softmax, pooling and ReLU (SqueezeNet). Undefined when the graph
 * does not end in one.
 */
export function findHead(graph: Graph, parameters: ReadonlyMap<string, Tensor>): Head | undefined {
  const producers = producersOf(graph);
  let name = graph.outputs[0] ?? '';
  let bias: string | undefined;
  for (let node = producers.get(name); node; node = producers.get(name)) {
    const head = headOf(node, graph, producers, parameters, bias);
    if (head) return head;
    const operands = biasOperand(node, graph, parameters);
    if (node.op === 'Add' && operands && bias === undefined && parameters.has(operands.other)) {
      bias = operands.other;
      name = operands.data;
    } else if (
      (node.op === 'Mul' || node.op === 'Div') &&
      operands &&
      graph.constants.get(operands.other)?.data.length === 1
    ) {
      name = operands.data;
    } else if (passedThrough.has(node.op)) {
      name = node.inputs[0] ?? '';
    } else {
      return undefined;
    }
  }
  return undefined;
}

/** Nodes that could be the classifier, last first: `node (1000 classes)`. */
export function headCandidates(graph: Graph, parameters: ReadonlyMap<string, Tensor>): Head[] {
  const producers = producersOf(graph);
  return graph.nodes
    .map((node) => headOf(node, graph, producers, parameters))
    .filter((head) => head !== undefined)
    .reverse();
}

/**
 * The classifier at a node named by hand. Throws `not-found` with the nearest names, or with what
 * could be a classifier when the node there cannot.
 */
export function headAt(graph: Graph, parameters: ReadonlyMap<string, Tensor>, name: string): Head {
  const node = graph.nodes.find((candidate) => candidate.name === name);
  const candidates = headCandidates(graph, parameters);
  if (!node) {
    throw new PupilError(
      'not-found',
      `\`head\` ${name}: ${graph.name} has no such node; ${suggestion(
        name,
        candidates.map((head) => head.node),
      )}`,
      { option: 'head' },
    );
  }
  const producers = producersOf(graph);
  const consumers = graph.nodes.filter((candidate) => candidate.inputs.includes(node.outputs[0]!));
  const added =
    consumers.length === 1 && consumers[0]!.op === 'Add'
      ? biasOperand(consumers[0]!, graph, parameters)?.other
      : undefined;
  const withAdd =
    added !== undefined && parameters.has(added) ? headOf(node, graph, producers, parameters, added) : undefined;
  const head = withAdd ?? headOf(node, graph, producers, parameters);
  if (!head) {
    throw new PupilError(
      'not-found',
      `\`head\` ${name}: this ${node.op} is no classifier (a Gemm, MatMul or 1x1 Conv with weights); ` +
        listed(candidates),
      { option: 'head' },
    );
  }
  return head;
}

function listed(candidates: readonly Head[]): string {
  if (candidates.length === 0) return 'the model has no Gemm, MatMul or 1x1 Conv with weights';
  const shown = candidates
    .slice(0, 5)
    .map((head) => `${head.node} (${head.featureCount} -> ${head.classes})`)
    .join(', ');
  return `candidates: ${shown}${candidates.length > 5 ? `, and ${candidates.length - 5} more` : ''}`;
}

/**
 * The model's classifier, or the one at the node given. Throws `not-found` that lists candidates.
 */
export function requireHead(model: Pick<Model, 'graph' | 'parameters' | 'head' | 'architecture'>, node?: string): Head {
  const head =
    node === undefined
      ? (model.head ?? findHead(model.graph, model.parameters))
      : headAt(model.graph, model.parameters, node);
  if (head) return head;
  throw new PupilError(
    'not-found',
    `${model.architecture}: no classifier found at the end of the model; name its node with \`head\`; ` +
      listed(headCandidates(model.graph, model.parameters)),
    { option: 'head' },
  );
}

/**
 * A builder over everything before the head, and the head's input averaged over positions: [N,
 * features].
 */
function featuresOf(model: Pick<Model, 'graph'>, head: Head): { builder: GraphBuilder; features: Value } {
  const builder = GraphBuilder.from(subgraph(model.graph, ['input'], [head.features]));
  const node = model.graph.nodes.find((candidate) => candidate.name === head.node);
  let features = builder.value(head.features);
  if (features.shape.length === 4 && node?.op === 'Conv') {
    if (features.shape[2] !== 1 || features.shape[3] !== 1) {
      features = builder.op('GlobalAveragePool', [features], {}, { name: 'head.pool' });
    }
  } else if (features.shape.length > 2) {
    const axes = features.shape.slice(1, -1).map((_, i) => i + 1);
    features = builder.op('ReduceMean', [features], { axes, keepdims: 0 }, { name: 'head.pool' });
  }
  if (features.shape.length > 2) features = builder.op('Flatten', [features], { axis: 1 }, { name: 'head.flatten' });
  return { builder, features };
}

/**
 * How far the new weights of a head lie from zero, so that all classes begin about equally likely.
 */
const headStd = 0.01;

/**
 * The model with a new classifier for `labels`: one fully connected layer on the (pooled) input of
 * the old one, weights normal with a standard deviation of 0.01 from (seed, name), bias zero. What
 * followed the old classifier (softmax, reshapes; SqueezeNet's ReLU and pooling, which now comes
 * before) is dropped. The parameters keep the old names where those end in `weight`. Throws
 * `not-found` when there is no classifier and none is named by `head`.
 */
export function replaceHead(
  model: Model,
  labels: readonly string[],
  options: { readonly seed: number; readonly head?: string },
): Model {
  const old = requireHead(model, options.head);
  if (labels.length < 1) throw new PupilError('usage', `${model.architecture}: a classifier needs at least one label`);
  const { builder, features } = featuresOf(model, old);
  const oldName = /^(.+)[./]weights?$/.exec(old.weight)?.[1];
  const name =
    oldName !== undefined && !builder.has(`${oldName}.weight`) && !builder.has(`${oldName}.bias`) ? oldName : 'head';
  const weight = initialTensor(
    `${name}.weight`,
    [labels.length, old.featureCount],
    { kind: 'normal', std: headStd },
    options.seed,
  );
  const bias = float32([labels.length], new Float32Array(labels.length));
  const logits = builder.op(
    'Gemm',
    [
      features,
      builder.input(`${name}.weight`, 'float32', weight.dims),
      builder.input(`${name}.bias`, 'float32', bias.dims),
    ],
    { alpha: 1, beta: 1, transA: 0, transB: 1 },
    { name, outputNames: builder.has('logits') ? undefined : ['logits'] },
  );
  builder.outputs({ logits });
  const graph = builder.build();
  const inputs = new Set(graph.inputs.map((input) => input.name));
  const parameters = new Map([...model.parameters].filter(([parameter]) => inputs.has(parameter)));
  parameters.set(`${name}.weight`, weight).set(`${name}.bias`, bias);
  return {
    ...model,
    graph,
    parameters,
    statistics: new Set([...model.statistics].filter((parameter) => inputs.has(parameter))),
    head: {
      node: graph.nodes.at(-1)!.name,
      features: features.name,
      featureCount: old.featureCount,
      weight: `${name}.weight`,
      bias: `${name}.bias`,
      classes: labels.length,
    },
    labels,
    temperature: 1,
  };
}

/**
 * The graph from `input` to the classifier's input, averaged over positions: output `features`
 * float32 [N, featureCount].
 */
export function headFeatures(model: Model): Graph {
  const { builder, features } = featuresOf(model, requireHead(model));
  builder.outputs({ features });
  return builder.build();
}

/**
 * The classifier's weight [classes, features] and bias [classes] (zeros when it has none), whatever
 * their layout in the model.
 */
export function readHead(model: Model): { weight: Tensor; bias: Tensor } {
  const head = requireHead(model);
  const weight = model.parameters.get(head.weight)!.data as Float32Array;
  const bias =
    head.bias === undefined ? new Float32Array(head.classes) : (model.parameters.get(head.bias)!.data as Float32Array);
  const rows = classesFirst(model, head)
    ? Float32Array.from(weight)
    : transpose(weight, head.featureCount, head.classes);
  return {
    weight: float32([head.classes, head.featureCount], rows),
    bias: float32([head.classes], Float32Array.from(bias)),
  };
}

/**
 * The model with its classifier's weight [classes, features] and bias [classes] replaced. Throws
 * when sizes differ or it has no bias.
 */
export function setHead(model: Model, weight: Tensor, bias: Tensor): Model {
  const head = requireHead(model);
  invariant(head.bias !== undefined, `setHead: ${head.node} has no bias; replace the head first`);
  invariant(
    weight.dtype === 'float32' && weight.dims.join() === `${head.classes},${head.featureCount}`,
    `setHead: weight [${weight.dims.join(', ')}], expected [${head.classes}, ${head.featureCount}]`,
  );
  invariant(
    bias.dtype === 'float32' && bias.data.length === head.classes,
    `setHead: ${bias.data.length} biases for ${head.classes} classes`,
  );
  const data = weight.data as Float32Array;
  const laidOut = classesFirst(model, head) ? data : transpose(data, head.classes, head.featureCount);
  const parameters = new Map(model.parameters);
  parameters.set(head.weight, float32(model.parameters.get(head.weight)!.dims, laidOut));
  parameters.set(head.bias, float32(model.parameters.get(head.bias)!.dims, bias.data as Float32Array));
  return { ...model, parameters };
}

function classesFirst(model: Model, head: Head): boolean {
  const node = model.graph.nodes.find((candidate) => candidate.name === head.node);
  invariant(node, `${model.architecture}: the graph has no node ${head.node}`);
  return classifierWeight(node, producersOf(model.graph), model.parameters)!.classesFirst;
}

/** A copy of a row-major [rows, columns] matrix as [columns, rows]. */
function transpose(data: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = data[i * columns + j]!;
  return result;
}
