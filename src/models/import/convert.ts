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
  type OnnxGraph,
  type OnnxNode,
} from '../../onnx/index.js';
import type { Tensor } from '../../tensor.js';
import type { Converter } from './conversion.js';
import { converters } from './converters.js';
import type { Emitter } from './emitter.js';

export interface ConvertOptions {
  readonly file: string;
  readonly bakedBatch?: number | undefined;
}

type Scope = Map<string, Value | readonly Value[]>;

/**
 * Adds all of a file's nodes to `emitter`. `values` holds the inputs; afterwards every value of the
 * main graph.
 */
export function convertGraph(
  file: OnnxFile,
  emitter: Emitter,
  values: Map<string, Value>,
  options: ConvertOptions,
): void {
  const opset = file.opsets.get('')!;
  const scope: Scope = values;

  const store = (initializers: ReadonlyMap<string, Tensor>, into: Scope): void => {
    for (const [name, t] of initializers) if (!into.has(name)) into.set(name, store1(t, name));
  };
  const store1 = (t: Tensor, name: string): Value =>
    emitter.stored(t.dtype === 'float16' || t.dtype === 'bfloat16' || t.dtype === 'float64' ? toFloat32(t) : t, name);

  const addNodes = (
    nodes: readonly OnnxNode[],
    into: Scope,
    parameters: Readonly<Record<string, OnnxAttribute>>,
    depth: number,
  ): void => {
    for (const node of nodes) {
      const name = node.name || `${node.op}_${node.outputs.find(Boolean) ?? ''}`;
      addNode({ ...node, name }, into, parameters, depth);
    }
  };

  const addNode = (
    node: OnnxNode,
    into: Scope,
    parameters: Readonly<Record<string, OnnxAttribute>>,
    depth: number,
  ): void => {
    const attributes: Record<string, OnnxAttribute> = {};
    for (const [key, value] of Object.entries(node.attributes)) {
      const actual =
        typeof value === 'object' && 'kind' in value && value.kind === 'reference'
          ? parameters[value.attribute]
          : value;
      if (actual !== undefined) attributes[key] = actual;
    }
    const called = file.functions.get(functionKey(node.domain, node.op, node.overload));
    const read = (name: string): Value | readonly Value[] | undefined => {
      if (name === '') return undefined;
      const value = into.get(name);
      if (!value)
        throw new PupilError(
          'bad-model',
          `${options.file}: the node ${node.name} (${node.op}) reads ${JSON.stringify(name)}, ` +
            'which nothing before it makes; the file is damaged',
        );
      return value;
    };
    if (called) {
      if (depth > 32)
        throw new PupilError(
          'bad-model',
          `${options.file}: the function ${node.op} calls itself; export the model again`,
        );
      const inner: Scope = new Map();
      called.inputs.forEach((name, i) => {
        const value = read(node.inputs[i] ?? '');
        if (value) inner.set(name, value);
      });
      addNodes(
        called.nodes.map((body) => ({ ...body, name: `${node.name}/${body.name || body.op}` })),
        inner,
        { ...called.defaults, ...attributes },
        depth + 1,
      );
      called.outputs.forEach((name, i) => bind(into, node.outputs[i], inner.get(name)));
      return;
    }
    if (node.op === 'If' && node.domain === '') {
      const branch = chosenBranch(node, attributes, read(node.inputs[0]!) as Value, emitter, options.file);
      const inner: Scope = new Map(into);
      store(branch.initializers, inner);
      addNodes(branch.nodes, inner, parameters, depth + 1);
      branch.outputs.forEach((output, i) => bind(into, node.outputs[i], inner.get(output.name)));
      return;
    }
    if (sequences(node, attributes, into, read, emitter)) return;
    const plain: Record<string, Attribute> = {};
    for (const [key, value] of Object.entries(attributes)) if (isPlainAttribute(value)) plain[key] = value;
    if (node.op === 'Constant') {
      into.set(node.outputs[0]!, constantNode(node, plain, emitter, options.file));
      return;
    }
    const converter = converterOf(node, options.file);
    const inputs = node.inputs.map((name) => read(name) as Value | undefined);
    try {
      const outputs = emitter.named(node.name, () =>
        converter({
          node,
          attributes: plain,
          inputs,
          opset,
          emitter,
          bakedBatch: options.bakedBatch,
          outputCount: lastNamed(node.outputs),
        }),
      );
      node.outputs.forEach((name, i) => bind(into, name, outputs[i]));
    } catch (error) {
      if (error instanceof PupilError)
        throw new PupilError(
          error.code,
          error.message.startsWith(options.file) ? error.message : `${options.file}: ${error.message}`,
          { cause: error },
        );
      throw new NodeError(`${(error as Error).message}`, { cause: error });
    }
  };

  store(file.graph.initializers, scope);
  addNodes(file.graph.nodes, scope, {}, 0);
}

/** A node whose inputs do not fit: the importer may have another way to read the file. */
export class NodeError extends Error {}

const bind = (scope: Scope, name: string | undefined, value: Value | readonly Value[] | undefined): void => {
  if (name && value) scope.set(name, value);
};

const lastNamed = (names: readonly string[]): number => Math.max(1, names.findLastIndex((name) => name !== '') + 1);

function converterOf(node: OnnxNode, file: string): Converter {
  const known =
    node.domain === '' || node.domain === 'com.microsoft'
      ? converters.get(node.domain === '' ? node.op : `${node.domain}.${node.op}`)
      : undefined;
  if (known) return known;
  if (/^(QLinear|MatMulInteger|ConvInteger|DynamicQuantize|QAttention|QGemm)/.test(node.op)) {
    throw new PupilError(
      'unsupported',
      `${file}: the node ${node.name} is a ${node.op}: a model quantised in this form cannot be trained; ` +
        'give the float model, or one in QDQ format',
    );
  }
  if (node.domain === '' && rules.has(node.op) && !pupilOps.has(node.op)) return copy;
  const op = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  const hint = node.domain.startsWith('com.microsoft')
    ? 'export the model without the optimisations of onnxruntime'
    : 'export the model without it';
  throw new PupilError(
    'unsupported',
    `${file}: the node ${node.name} uses the op ${op}, which is not supported; ${hint}`,
  );
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
  const add = (t: Tensor): Value => emitter.stored(t, output);
  if (typeof value === 'object' && 'dtype' in value)
    return add(/^b?float(16|64)$/.test(value.dtype) ? toFloat32(value) : value);
  if (typeof float === 'number') return add({ dtype: 'float32', dims: [], data: Float32Array.of(float) });
  if (Array.isArray(floats))
    return add({ dtype: 'float32', dims: [floats.length], data: Float32Array.from(floats as number[]) });
  if (typeof int === 'number') return add({ dtype: 'int64', dims: [], data: BigInt64Array.of(BigInt(int)) });
  if (Array.isArray(ints))
    return add({ dtype: 'int64', dims: [ints.length], data: BigInt64Array.from(ints as number[], BigInt) });
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
