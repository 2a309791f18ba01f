import { listOf } from '../graph/attributes.js';
import { PupilError } from '../errors.js';
import type { Graph, Node } from '../graph/graph.js';
import { suggestion } from '../nearest.js';
import type { Tensor } from '../tensor.js';
import type { Head } from './model.js';

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
  'Log',
  'Sigmoid',
  'Clip',
  'Pad',
  'BatchNormalization',
  'GlobalAveragePool',
  'AveragePool',
  'ReduceMean',
  'ReduceMax',
]);

/** Numbers of classes of the usual data sets: ImageNet-1k, with background, 21k, 12k, 22k. */
export const usualClasses: ReadonlySet<number> = new Set([1000, 1001, 11221, 11821, 21841, 21842, 21843]);

/** Parts of names that classifiers have. */
const classifierName = /(^|[^a-z])(classif\w*|head|fc\d*|logits?|predict\w*|scores?|conv10|last_linear)([^a-z]|$)/i;

type Producers = ReadonlyMap<string, Node>;
type Parameters = ReadonlyMap<string, Tensor>;

export function producersOf(graph: Graph): Producers {
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
export function classifierWeight(node: Node, producers: Producers, parameters: Parameters): Weight | undefined {
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

/** Finds classifiers in one graph. */
class Finder {
  readonly producers: Producers;
  /** Values that depend on the images. */
  readonly #seen = new Set(['input']);

  constructor(
    readonly graph: Graph,
    readonly parameters: Parameters,
  ) {
    this.producers = producersOf(graph);
    for (const { inputs, outputs } of graph.nodes)
      if (inputs.some((name) => this.#seen.has(name))) for (const output of outputs) this.#seen.add(output);
  }

  /** The classifier that a node is, its bias perhaps a parameter that is added behind it. */
  headOf(node: Node, addedBias?: string): Head | undefined {
    const weight = classifierWeight(node, this.producers, this.parameters);
    if (!weight || !this.graph.values.has(node.inputs[0]!)) return undefined;
    const { dims } = this.parameters.get(weight.name)!;
    const own = node.op === 'MatMul' ? undefined : node.inputs[2];
    return {
      node: node.name,
      features: node.inputs[0]!,
      featureCount: dims[weight.classesFirst ? 1 : 0]!,
      weight: weight.name,
      bias: own || addedBias,
      classes: dims[weight.classesFirst ? 0 : 1]!,
    };
  }

  /** Of two operands the one that depends on the images, when the other does not and is at most a vector. */
  computedOperand(node: Node): { computed: string; stored: string } | undefined {
    const isStored = (name: string): boolean =>
      !this.#seen.has(name) && (this.graph.values.get(name)?.shape ?? [0, 0]).filter((dim) => dim !== 1).length <= 1;
    const [a = '', b = ''] = node.inputs;
    if (isStored(b) && !isStored(a)) return { computed: a, stored: b };
    return isStored(a) && !isStored(b) ? { computed: b, stored: a } : undefined;
  }

  /**
   * The classifier that makes a value, looking back. `bias`: a parameter that is added behind.
   * `isActivated`: a ReLU lies behind, as in SqueezeNet.
   */
  behind(name: string, isStrict: boolean, bias?: string, isActivated = false): Head | undefined {
    const node = this.producers.get(name);
    if (!node) return undefined;
    const head = this.headOf(node, bias);
    if (head) return !isActivated || !isStrict || isSurelyClassifier(head) ? head : undefined;
    const back = (input: string | undefined, added?: string, activated = isActivated): Head | undefined =>
      this.behind(input ?? '', isStrict, added, activated);
    switch (node.op) {
      case 'Add':
      case 'Sub':
      case 'Mul':
      case 'Div': {
        const operands = this.computedOperand(node);
        if (!operands) return node.op === 'Add' ? this.summed(node.inputs, isStrict) : undefined;
        const isBias = node.op === 'Add' && this.parameters.has(operands.stored);
        return back(operands.computed, isBias ? operands.stored : undefined);
      }
      case 'Slice':
        // Some of the scores.
        return this.graph.values.get(name)?.shape.length === 2 ? back(node.inputs[0]) : undefined;
      case 'Sum':
      case 'Mean':
        return this.summed(node.inputs, isStrict);
      case 'Relu':
        return back(node.inputs[0], bias, true);
      case 'ReduceMean':
      case 'ReduceSum': {
        const stacked = this.stackedBehind(node);
        return stacked ? this.summed(stacked, isStrict) : node.op === 'ReduceMean' ? back(node.inputs[0]) : undefined;
      }
      default:
        return passedThrough.has(node.op) ? back(node.inputs[0], bias) : undefined;
    }
  }

  /** Several classifiers of the same classes whose scores are added: DeiT distilled, LeViT, CrossViT. */
  summed(names: readonly string[], isStrict: boolean): Head | undefined {
    const heads = names.map((name) => this.behind(name, isStrict));
    const [first, ...others] = heads;
    if (!first || !heads.every((head) => head?.classes === first.classes)) return undefined;
    const all = [...(first.others ?? []), ...others.flatMap((head) => [head!, ...(head!.others ?? [])])];
    return { ...first, others: all };
  }

  /** What a node reduces over the axis along which it was stacked. */
  stackedBehind(node: Node): readonly string[] | undefined {
    const stack = this.producers.get(node.inputs[0] ?? '');
    const axes = listOf(node.attributes, 'axes') ?? [...(this.graph.constants.get(node.inputs[1] ?? '')?.data ?? [])];
    return stack?.op === 'Concat' && axes.length === 1 && Number(axes[0]) === stack.attributes['axis']
      ? stack.inputs
      : undefined;
  }
}

/** Whether a 1x1 convolution with a ReLU behind it is a classifier and not the last layer of a backbone. */
const isSurelyClassifier = ({ node, weight, classes }: Head): boolean =>
  usualClasses.has(classes) || classifierName.test(node) || classifierName.test(weight);

export interface FindOptions {
  /** The value that holds the scores; default: the first output. */
  readonly output?: string;
  /**
   * A 1x1 convolution and a ReLU at the end (SqueezeNet) count as a classifier only when a name or
   * the number of classes says so: backbones end like that too.
   */
  readonly strict?: boolean;
}

/**
 * The classifier: the last Gemm, MatMul (with its Add) or 1x1 convolution before the output,
 * looking back through reshapes, softmax, scaling, normalisation, pooling and ReLU (SqueezeNet), and
 * through the sum of several. Undefined when the graph does not end in one.
 */
export const findHead = (
  graph: Graph,
  parameters: ReadonlyMap<string, Tensor>,
  { output = graph.outputs[0] ?? '', strict = false }: FindOptions = {},
): Head | undefined => new Finder(graph, parameters).behind(output, strict);

/** Nodes that could be the classifier, last first. */
export function headCandidates(graph: Graph, parameters: ReadonlyMap<string, Tensor>): Head[] {
  const finder = new Finder(graph, parameters);
  return graph.nodes
    .flatMap((node) => {
      const head = finder.headOf(node);
      return head && isPassedByAll(graph, node) ? [head] : [];
    })
    .reverse();
}

/**
 * Whether all of the graph's first output depends on the images by way of this node: a classifier
 * in its place leaves nothing out but what follows.
 */
function isPassedByAll(graph: Graph, passed: Node): boolean {
  const reached = new Set(['input']);
  for (const node of graph.nodes) {
    if (node === passed || !node.inputs.some((name) => reached.has(name))) continue;
    for (const output of node.outputs) reached.add(output);
  }
  return !reached.has(graph.outputs[0] ?? '');
}

/**
 * The classifier at a node named by hand. Throws `not-found` with the nearest names, or with what
 * could be a classifier when the node there cannot.
 */
export function headAt(graph: Graph, parameters: ReadonlyMap<string, Tensor>, name: string): Head {
  const finder = new Finder(graph, parameters);
  const node = graph.nodes.find((candidate) => candidate.name === name);
  const candidates = (): Head[] => headCandidates(graph, parameters);
  const refused = (why: string): PupilError =>
    new PupilError('not-found', `\`head\` ${name}: ${why}; ${listed(candidates())}`, { option: 'head' });
  if (!node) {
    throw new PupilError(
      'not-found',
      `\`head\` ${name}: ${graph.name} has no such node; ${suggestion(
        name,
        candidates().map((head) => head.node),
      )}`,
      { option: 'head' },
    );
  }
  const readers = graph.nodes.filter((candidate) => candidate.inputs.includes(node.outputs[0]!));
  const added =
    readers.length === 1 && readers[0]!.op === 'Add' ? finder.computedOperand(readers[0]!)?.stored : undefined;
  const head = finder.headOf(node, added !== undefined && parameters.has(added) ? added : undefined);
  if (!head) throw refused(`this ${node.op} is no classifier (a Gemm, MatMul or 1x1 Conv with weights)`);
  if (!isPassedByAll(graph, node))
    throw refused(
      'this node is on one of several ways to the output: a classifier in its place would cut the others off',
    );
  return head;
}

export function listed(candidates: readonly Head[]): string {
  if (candidates.length === 0) return 'the model has no Gemm, MatMul or 1x1 Conv with weights that all of it leads to';
  const shown = candidates
    .slice(0, 5)
    .map((head) => `${head.node} (${head.featureCount} -> ${head.classes})`)
    .join(', ');
  return `candidates: ${shown}${candidates.length > 5 ? `, and ${candidates.length - 5} more` : ''}`;
}
