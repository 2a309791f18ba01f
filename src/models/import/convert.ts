import { PupilError } from '../../errors.js';
import type { Attribute, Value } from '../../graph/graph.js';
import { rules } from '../../graph/inference/rules.js';
import { pupilOps } from '../../graph/inference.js';
import {
  functionKey,
  isPlainAttribute,
  toFloat32,
  type OnnxAttribute,
  type OnnxFile,
  type OnnxFunction,
  type OnnxGraph,
  type OnnxNode,
} from '../../onnx/index.js';
import { int64, type Tensor } from '../../tensor.js';
import { NodeError } from './batch.js';
import type { Converter } from './conversion.js';
import { convert, converters } from './converters.js';
import type { Emitter } from './emitter.js';
import { refusalOf } from './refusals.js';

export interface ConvertOptions {
  readonly file: string;
  /** The file beside a quantised one that is not. */
  readonly unquantised?: string | undefined;
}

/** What a file makes of nodes that cannot be converted: an error where the model needs it. */
export class Broken {
  constructor(readonly error: Error) {}
}

type Made = Value | readonly Value[] | Broken;
type Scope = Map<string, Made>;

type Parameters = Readonly<Record<string, OnnxAttribute>>;
type Read = (name: string) => Value | readonly Value[] | undefined;

/** Functions that call functions deeper than this call themselves. */
const deepest = 32;

/**
 * Adds all of a file's nodes to `emitter` that can be converted. Given are the inputs; returned is
 * every value of the main graph, those that cannot be made with the reason: parts of a file that the
 * model does not need may hold anything.
 */
export function convertGraph(
  file: OnnxFile,
  emitter: Emitter,
  inputs: ReadonlyMap<string, Value | Broken>,
  options: ConvertOptions,
): ReadonlyMap<string, Value | Broken> {
  const scope: Scope = new Map(inputs);
  storeInitializers(file.graph.initializers, scope, emitter);
  for (const [name, error] of file.graph.unusable ?? []) scope.set(name, new Broken(error));
  new Conversion(file, emitter, options).addGraph(file.graph.nodes, scope);
  return new Map([...scope].filter((entry): entry is [string, Value | Broken] => !Array.isArray(entry[1])));
}

/** Puts weights and constants of a graph into its scope. */
function storeInitializers(initializers: ReadonlyMap<string, Tensor>, scope: Scope, emitter: Emitter): void {
  for (const [name, t] of initializers) {
    if (scope.has(name)) continue;
    const isOtherFloat = t.dtype === 'float16' || t.dtype === 'bfloat16' || t.dtype === 'float64';
    scope.set(name, emitter.stored(isOtherFloat ? toFloat32(t) : t, name));
  }
}

/** Adds nodes of a file; bodies of functions and branches are written in place. */
class Conversion {
  private readonly opset: number;

  constructor(
    private readonly file: OnnxFile,
    private readonly emitter: Emitter,
    private readonly options: ConvertOptions,
  ) {
    this.opset = file.opsets.get('')!;
  }

  /** The main graph. What a node that cannot be converted would make is broken. */
  addGraph(nodes: readonly OnnxNode[], scope: Scope): void {
    for (const node of inOrder(nodes, scope)) {
      try {
        this.addNode(node, scope, {}, 0);
      } catch (error) {
        for (const output of node.outputs) if (output !== '') scope.set(output, new Broken(error as Error));
      }
    }
  }

  /** `parameters` are the attributes of the function whose body this is, `depth` how deep it is called. */
  addNodes(nodes: readonly OnnxNode[], scope: Scope, parameters: Parameters, depth: number): void {
    for (const node of inOrder(nodes, scope)) this.addNode(node, scope, parameters, depth);
  }

  private addNode(given: OnnxNode, scope: Scope, parameters: Parameters, depth: number): void {
    const node = { ...given, name: given.name || `${given.op}_${given.outputs.find(Boolean) ?? ''}` };
    const attributes = withParameters(node.attributes, parameters);
    const read: Read = (name) => this.read(node, scope, name);
    const called = this.file.functions.get(functionKey(node.domain, node.op, node.overload));
    if (called) return this.addCall(node, called, attributes, scope, depth);
    if (node.op === 'If' && node.domain === '') {
      const condition = read(node.inputs[0]!) as Value,
        branch = chosenBranch(node, attributes, condition, this.emitter, this.options.file);
      const inner: Scope = new Map(scope);
      storeInitializers(branch.initializers, inner, this.emitter);
      this.addNodes(branch.nodes, inner, parameters, depth + 1);
      branch.outputs.forEach((output, i) => bind(scope, node.outputs[i], inner.get(output.name)));
      return;
    }
    if (sequences(node, attributes, scope, read, this.emitter)) return;
    this.addOperation(node, attributes, scope, read);
  }

  /** The body of a function, its inputs and outputs bound to those of the node that calls it. */
  private addCall(node: OnnxNode, called: OnnxFunction, attributes: Parameters, scope: Scope, depth: number): void {
    if (depth > deepest)
      throw new PupilError(
        'bad-model',
        `${this.options.file}: the function ${node.op} calls itself; export the model again`,
      );
    const inner: Scope = new Map();
    called.inputs.forEach((name, i) => {
      const value = this.read(node, scope, node.inputs[i] ?? '');
      if (value) inner.set(name, value);
    });
    this.addNodes(
      called.nodes.map((body) => ({ ...body, name: `${node.name}/${body.name || body.op}` })),
      inner,
      { ...called.defaults, ...attributes },
      depth + 1,
    );
    called.outputs.forEach((name, i) => bind(scope, node.outputs[i], inner.get(name)));
  }

  /** A constant or an operator. */
  private addOperation(node: OnnxNode, attributes: Parameters, scope: Scope, read: Read): void {
    const { file } = this.options;
    const plain: Record<string, Attribute> = {};
    for (const [key, value] of Object.entries(attributes)) if (isPlainAttribute(value)) plain[key] = value;
    if (node.op === 'Constant') {
      scope.set(node.outputs[0]!, constantNode(node, plain, this.emitter, file));
      return;
    }
    const { emitter, opset } = this,
      converter = converterOf(node, this.options),
      inputs = node.inputs.map((name) => read(name) as Value | undefined),
      outputCount = lastNamed(node.outputs);
    try {
      const outputs = emitter.named(node.name, () =>
        converter({ node, attributes: plain, inputs, opset, emitter, outputCount }),
      );
      node.outputs.forEach((name, i) => bind(scope, name, outputs[i]));
    } catch (error) {
      if (!(error instanceof PupilError)) {
        const { message } = error as Error;
        throw new NodeError(message.startsWith(node.name) ? message : `${node.name}: ${message}`, {
          cause: error,
          decided: emitter.batch?.choices.decided,
        });
      }
      const message = error.message.startsWith(file) ? error.message : `${file}: ${error.message}`;
      throw new PupilError(error.code, message, { cause: error });
    }
  }

  private read(node: OnnxNode, scope: Scope, name: string): Value | readonly Value[] | undefined {
    if (name === '') return undefined;
    const value = scope.get(name);
    if (!value)
      throw new PupilError(
        'bad-model',
        `${this.options.file}: the node ${node.name} (${node.op}) reads ${JSON.stringify(name)}, ` +
          'which nothing before it makes; the file is damaged',
      );
    if (value instanceof Broken) throw value.error;
    return value;
  }
}

/** Attributes of a node in a function's body, with those that refer to the function's replaced. */
function withParameters(attributes: Parameters, parameters: Parameters): Record<string, OnnxAttribute> {
  const actual: Record<string, OnnxAttribute> = {};
  for (const [key, value] of Object.entries(attributes)) {
    const given =
      typeof value === 'object' && 'kind' in value && value.kind === 'reference' ? parameters[value.attribute] : value;
    if (given !== undefined) actual[key] = given;
  }
  return actual;
}

/** Names that a node reads, in the bodies of its branches too. */
const readBy = (node: OnnxNode): string[] => [
  ...node.inputs,
  ...Object.values(node.attributes).flatMap((value) =>
    typeof value === 'object' && 'kind' in value && value.kind === 'graph' ? value.graph.nodes.flatMap(readBy) : [],
  ),
];

/**
 * Nodes each after those that make what it reads: some tools write them in another order, which
 * onnxruntime accepts. Those in a circle stay at the end.
 */
function inOrder(nodes: readonly OnnxNode[], scope: ReadonlyMap<string, unknown>): readonly OnnxNode[] {
  const unmade = new Set(nodes.flatMap((node) => node.outputs));
  const isReady = (node: OnnxNode): boolean => !readBy(node).some((name) => unmade.has(name) && !scope.has(name));
  const ordered: OnnxNode[] = [];
  let waiting = nodes;
  for (let before = -1; waiting.length > 0 && ordered.length !== before;) {
    before = ordered.length;
    const late: OnnxNode[] = [];
    for (const node of waiting) {
      if (!isReady(node)) {
        late.push(node);
        continue;
      }
      ordered.push(node);
      for (const output of node.outputs) unmade.delete(output);
    }
    waiting = late;
  }
  return [...ordered, ...waiting];
}

const bind = (scope: Scope, name: string | undefined, value: Made | undefined): void => {
  if (name && value) scope.set(name, value);
};

const lastNamed = (names: readonly string[]): number => Math.max(1, names.findLastIndex((name) => name !== '') + 1);

function converterOf(node: OnnxNode, { file, unquantised }: ConvertOptions): Converter {
  const key = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  if (converters.has(key)) return (conversion) => convert(key, conversion);
  if (node.domain === '' && rules.has(node.op) && !pupilOps.has(node.op)) return copy;
  throw refusalOf(node, file, unquantised);
}

const copy: Converter = ({ node, inputs, attributes, emitter, outputCount }) =>
  emitter.node(node.op, inputs, attributes, outputCount);

function chosenBranch(
  node: OnnxNode,
  attributes: Readonly<Record<string, OnnxAttribute>>,
  condition: Value,
  emitter: Emitter,
  file: string,
): OnnxGraph {
  const decided = emitter.builder.integersOf(condition)?.elements[0];
  const branch = attributes[decided === 0 ? 'else_branch' : 'then_branch'];
  if (typeof decided !== 'number' || typeof branch !== 'object' || !('kind' in branch) || branch.kind !== 'graph') {
    throw new PupilError(
      'unsupported',
      `${file}: the node ${node.name} (If) chooses by the data; export the model by tracing`,
    );
  }
  return branch.graph;
}

function constantNode(
  node: OnnxNode,
  attributes: Readonly<Record<string, Attribute>>,
  emitter: Emitter,
  file: string,
): Value {
  const output = node.outputs[0]!;
  const {
    value,
    value_float: float,
    value_floats: floats,
    value_int: int,
    value_ints: ints,
  } = attributes as Readonly<Record<string, Attribute | undefined>>;
  const add = (t: Tensor): Value => emitter.stored(t, output, true);
  if (typeof value === 'object' && 'dtype' in value)
    return add(/^b?float(16|64)$/.test(value.dtype) ? toFloat32(value) : value);
  if (typeof float === 'number') return add({ dtype: 'float32', dims: [], data: Float32Array.of(float) });
  if (Array.isArray(floats))
    return add({ dtype: 'float32', dims: [floats.length], data: Float32Array.from(floats as number[]) });
  if (typeof int === 'number') return add(int64([], [int]));
  if (Array.isArray(ints)) return add(int64([ints.length], ints as number[]));
  throw new PupilError(
    'unsupported',
    `${file}: the node ${node.name} is a Constant of strings or sparse values; export the model without it`,
  );
}

/**
 * Lists of tensors, as unrolled `chunk` and `split` make them. True when the node was one of these.
 */
function sequences(
  node: OnnxNode,
  attributes: Readonly<Record<string, OnnxAttribute>>,
  into: Scope,
  read: (name: string) => Value | readonly Value[] | undefined,
  emitter: Emitter,
): boolean {
  const list = (): readonly Value[] => read(node.inputs[0]!) as readonly Value[];
  const index = (name: string | undefined): number => {
    const value = read(name ?? '') as Value | undefined;
    const element = emitter.builder.integersOf(value)?.elements[0];
    if (typeof element !== 'number')
      throw new PupilError(
        'unsupported',
        `${node.name}: ${node.op} takes an element that depends on the data; export the model by tracing`,
      );
    return element;
  };
  const result = emitter.named(node.name, (): Value | readonly Value[] | undefined => {
    switch (node.op) {
      case 'SequenceConstruct':
        return node.inputs.map((name) => read(name) as Value);
      case 'SequenceAt':
        return list().at(index(node.inputs[1]));
      case 'ConcatFromSequence': {
        const axis = attributes.axis as number;
        if (attributes.new_axis !== 1) return emitter.op('Concat', list(), { axis });
        return emitter.op(
          'Concat',
          list().map((value) => emitter.op('Unsqueeze', [value, emitter.builder.ints([axis])])),
          { axis },
        );
      }
      case 'SplitToSequence':
        return splitToSequence(node, attributes, read, emitter);
      default:
        return undefined;
    }
  });
  if (result) bind(into, node.outputs[0], result);
  return result !== undefined;
}

function splitToSequence(
  node: OnnxNode,
  attributes: Readonly<Record<string, OnnxAttribute>>,
  read: (name: string) => Value | readonly Value[] | undefined,
  emitter: Emitter,
): readonly Value[] {
  const x = read(node.inputs[0]!) as Value;
  const axis = (attributes.axis as number | undefined) ?? 0;
  const size = x.shape[axis < 0 ? axis + x.shape.length : axis];
  const given = emitter.builder.integersOf(read(node.inputs[1] ?? '') as Value | undefined);
  if (typeof size !== 'number' || (given && !given.elements.every((part) => typeof part === 'number'))) {
    throw new PupilError(
      'unsupported',
      `${node.name}: splits along a size known only at run time; export the model with a fixed size there`,
    );
  }
  const parts: number[] = [];
  if (given && given.dims.length === 1) parts.push(...(given.elements as readonly number[]));
  else
    for (let left = size, part = (given?.elements[0] as number | undefined) ?? 1; left > 0; left -= part)
      parts.push(Math.min(part, left));
  const outputs = emitter.node('Split', [x, emitter.builder.ints(parts)], { axis }, parts.length);
  return given || attributes.keepdims !== 0
    ? outputs
    : outputs.map((value) => emitter.op('Squeeze', [value, emitter.builder.ints([axis])]));
}
