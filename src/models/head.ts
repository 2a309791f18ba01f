import { PupilError, invariant } from '../errors.js';
import { GraphBuilder } from '../graph/builder.js';
import type { Graph, Value } from '../graph/graph.js';
import { subgraph } from '../graph/passes.js';
import { float32, type Tensor } from '../tensor.js';
import { initialTensor } from './families/layers.js';
import { classifierWeight, findHead, headAt, headCandidates, listed, producersOf } from './find-head.js';
import { renameValues } from './import/parameters.js';
import { isEncoder, type Head, type Model } from './model.js';

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

/** What an encoder gives, inside a network with a classifier. */
const encoded = 'encoded';

/** The classifiers whose scores are added up: one, but for networks such as DeiT distilled. */
const allOf = (head: Head): readonly Head[] => [head, ...(head.others ?? [])];

/**
 * A builder over everything before the classifier, and what the classifier reads, averaged over
 * positions: [N, features]. Of an encoder all of it. Where the scores of several classifiers are
 * added, what each reads lies side by side, once.
 */
function featuresOf(model: Pick<Model, 'graph'>, head: Head | undefined): { builder: GraphBuilder; features: Value } {
  if (!head) {
    // What is read from a network is called so, not what is inside.
    const graph = renameValues(model.graph, new Map([['features', encoded]]));
    const builder = GraphBuilder.from(subgraph(graph, ['input'], [encoded]));
    return { builder, features: builder.value(encoded) };
  }
  const heads = allOf(head).filter(({ features }, i, all) => all.findIndex((h) => h.features === features) === i);
  const builder = GraphBuilder.from(
    subgraph(
      model.graph,
      ['input'],
      heads.map(({ features }) => features),
    ),
  );
  const parts = heads.map((part, i) => pooled(builder, model.graph, part, i === 0 ? '' : String(i + 1)));
  return {
    builder,
    features: parts.length === 1 ? parts[0]! : builder.op('Concat', parts, { axis: 1 }, { name: 'head.concat' }),
  };
}

function pooled(builder: GraphBuilder, graph: Graph, head: Head, suffix: string): Value {
  const node = graph.nodes.find((candidate) => candidate.name === head.node);
  let features = builder.value(head.features);
  if (features.shape.length === 4 && node?.op === 'Conv') {
    if (features.shape[2] !== 1 || features.shape[3] !== 1) {
      features = builder.op('GlobalAveragePool', [features], {}, { name: `head.pool${suffix}` });
    }
  } else if (features.shape.length > 2) {
    const axes = features.shape.slice(1, -1).map((_, i) => i + 1);
    features = builder.op('ReduceMean', [features], { axes, keepdims: 0 }, { name: `head.pool${suffix}` });
  }
  return features.shape.length > 2
    ? builder.op('Flatten', [features], { axis: 1 }, { name: `head.flatten${suffix}` })
    : features;
}

/**
 * How far the new weights of a head lie from zero, so that all classes begin about equally likely.
 */
const headStd = 0.01;

/**
 * The model with a new classifier for `labels`: one fully connected layer on the (pooled) input of
 * the old one, weights normal with a standard deviation of 0.01 from (seed, name), bias zero. What
 * followed the old classifier (softmax, reshapes; SqueezeNet's ReLU and pooling, which now comes
 * before) is dropped. An encoder gets its first one, on its features. The parameters keep the old
 * names where those end in `weight`. Throws `not-found` when there is no classifier and none is
 * named by `head`.
 */
export function replaceHead(
  model: Model,
  labels: readonly string[],
  options: { readonly seed: number; readonly head?: string },
): Model {
  const old = isEncoder(model) && options.head === undefined ? undefined : requireHead(model, options.head);
  if (labels.length < 1) throw new PupilError('usage', `${model.architecture}: a classifier needs at least one label`);
  const { builder, features } = featuresOf(model, old);
  const featureCount = Number(features.shape[1]);
  const oldName = /^(.+)[./]weights?$/.exec(old?.weight ?? '')?.[1];
  const name = [oldName, 'head', 'classifier', 'new_head'].find(
    (free) => free !== undefined && !builder.has(`${free}.weight`) && !builder.has(`${free}.bias`),
  )!;
  const weight = initialTensor(
    `${name}.weight`,
    [labels.length, featureCount],
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
      featureCount,
      weight: `${name}.weight`,
      bias: `${name}.bias`,
      classes: labels.length,
    },
    labels,
    temperature: 1,
    rejection: undefined,
  };
}

/**
 * The graph from `input` to the classifier's input, averaged over positions: output `features`
 * float32 [N, featureCount].
 */
export function headFeatures(model: Model): Graph {
  const { builder, features } = featuresOf(model, isEncoder(model) ? undefined : requireHead(model));
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
 * The model with its classifier's weight [classes, features] and bias [classes] replaced; a
 * classifier of several parts or without a bias becomes one with. Throws when sizes differ.
 */
export function setHead(model: Model, weight: Tensor, bias: Tensor): Model {
  const old = requireHead(model);
  const ownBias = model.parameters.get(old.bias ?? '')?.dims;
  const isPlain = old.others === undefined && ownBias?.length === 1 && ownBias[0] === old.classes;
  const labels = model.labels ?? Array.from({ length: old.classes }, (_, i) => String(i));
  const plain = isPlain ? model : { ...replaceHead(model, labels, { seed: 0 }), labels: model.labels };
  const head = requireHead(plain);
  invariant(
    weight.dtype === 'float32' && weight.dims.join() === `${head.classes},${head.featureCount}`,
    `setHead: weight [${weight.dims.join(', ')}], expected [${head.classes}, ${head.featureCount}]`,
  );
  invariant(
    bias.dtype === 'float32' && bias.data.length === head.classes,
    `setHead: ${bias.data.length} biases for ${head.classes} classes`,
  );
  const data = weight.data as Float32Array;
  const laidOut = classesFirst(plain, head) ? data : transpose(data, head.classes, head.featureCount);
  const parameters = new Map(plain.parameters);
  parameters.set(head.weight, float32(parameters.get(head.weight)!.dims, laidOut));
  parameters.set(head.bias!, float32(parameters.get(head.bias!)!.dims, bias.data as Float32Array));
  return { ...plain, parameters };
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
