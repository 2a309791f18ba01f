import { fromBinary } from '@bufbuild/protobuf';
import { PupilError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import {
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type ValueInfoProto,
} from './generated/onnx_pb.js';
import {
  functionKey,
  type OnnxAttribute,
  type OnnxFile,
  type OnnxFunction,
  type OnnxGraph,
  type OnnxNode,
  type OnnxValue,
} from './model.js';
import { decodeTensor, type ExternalData } from './tensors.js';
import { typeOfCode } from '../graph/element-types.js';

export interface DecodeOptions {
  /** What to call the file in messages. */
  readonly name?: string;
  /** Reads bytes of an external data file; without it a file that needs one is refused. */
  readonly external?: ExternalData;
}

/**
 * Reads the bytes of an ONNX file into plain data, still in the file's own opset. Throws
 * `bad-model` when the bytes are not ONNX, are cut short, or hold tensors that do not fit their
 * shapes.
 */
export function decodeOnnx(bytes: Uint8Array, options: DecodeOptions = {}): OnnxFile {
  const file = options.name ?? 'the model';
  const model = parse(bytes, file);
  const opsets = new Map(model.opsetImport.map((entry) => [domainOf(entry.domain), Number(entry.version)]));
  if (!model.graph) throw notOnnx(bytes, file);
  if (!opsets.has('')) {
    if (model.opsetImport.length === 0) throw damaged(file);
    throw new PupilError(
      'bad-model',
      `${file}: imports no opset of ONNX's own domain (it has ${[...opsets.keys()].join(', ')}); ` +
        'export it as plain ONNX',
    );
  }
  const context: Context = { file, external: options.external };
  const functions = new Map<string, OnnxFunction>();
  for (const f of model.functions)
    functions.set(functionKey(domainOf(f.domain), f.name, f.overload), decodeFunction(f, context));
  return {
    irVersion: Number(model.irVersion),
    opsets,
    producer: [model.producerName, model.producerVersion].filter(Boolean).join(' '),
    metadata: new Map(model.metadataProps.map((entry) => [entry.key, entry.value])),
    graph: decodeGraph(model.graph, context),
    functions,
  };
}

interface Context {
  readonly file: string;
  readonly external: ExternalData | undefined;
}

const text = new TextDecoder();
const domainOf = (domain: string): string => (domain === 'ai.onnx' ? '' : domain);

function parse(bytes: Uint8Array, file: string): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    // Every exporter writes `ir_version` (field 1, a varint) first.
    if (bytes[0] === 0x08 && bytes.length > 16) throw damaged(file, cause);
    throw notOnnx(bytes, file, cause);
  }
}

const damaged = (file: string, cause?: unknown): PupilError =>
  new PupilError('bad-model', `${file}: this ONNX file is cut short or damaged; copy or download it again`, { cause });

function notOnnx(bytes: Uint8Array, file: string, cause?: unknown): PupilError {
  if (bytes.length === 0) return new PupilError('bad-model', `${file}: is empty; copy or download it again`);
  const start = text.decode(bytes.subarray(0, 64));
  const hint = start.startsWith('version https://git-lfs')
    ? 'it is a Git LFS pointer: run `git lfs pull`, or download the file itself'
    : /^\s*</.test(start)
      ? 'it looks like a web page: download the file itself'
      : start.startsWith('PK')
        ? 'it looks like a PyTorch or zip file: export it with torch.onnx.export'
        : start.slice(4, 8) === 'TFL3'
          ? 'it is a TensorFlow Lite file: convert it with tf2onnx'
          : 'give a model exported with torch.onnx.export or tf2onnx';
  return new PupilError('bad-model', `${file}: not an ONNX file; ${hint}`, { cause });
}

function decodeGraph(graph: GraphProto, context: Context): OnnxGraph {
  const initializers = new Map<string, Tensor>();
  const unusable = new Map<string, PupilError>();
  for (const t of graph.initializer) {
    const decoded = unlessUnsupported(() => decodeTensor(t, context.file, context.external));
    if (decoded instanceof PupilError) unusable.set(t.name, decoded);
    else initializers.set(t.name, decoded);
  }
  if (graph.sparseInitializer.length > 0) {
    throw new PupilError('unsupported', `${context.file}: has sparse initializers; export it with dense weights`);
  }
  return {
    name: graph.name,
    inputs: graph.input.map(decodeValue),
    outputs: graph.output.map(decodeValue),
    nodes: graph.node.map((node) => decodeNode(node, context)),
    initializers,
    unusable,
  };
}

/** A value, or why it cannot be used: it may stand in a part that nobody needs. */
function unlessUnsupported<T>(read: () => T): T | PupilError {
  try {
    return read();
  } catch (error) {
    if (error instanceof PupilError && error.code === 'unsupported') return error;
    throw error;
  }
}

function decodeValue(value: ValueInfoProto): OnnxValue {
  const type = value.type?.value;
  if (type?.case !== 'tensorType') return { name: value.name, dtype: undefined, shape: undefined };
  return {
    name: value.name,
    dtype: typeOfCode(type.value.elemType),
    shape: type.value.shape?.dim.map((dim) =>
      dim.value.case === 'dimValue' ? Number(dim.value.value) : (dim.value.value ?? ''),
    ),
  };
}

function decodeNode(node: NodeProto, context: Context): OnnxNode {
  const attributes: Record<string, OnnxAttribute> = {};
  for (const attribute of node.attribute) {
    const value = unlessUnsupported(() => decodeAttribute(attribute, context));
    if (value !== undefined && !(value instanceof PupilError)) attributes[attribute.name] = value;
  }
  return {
    name: node.name,
    op: node.opType,
    domain: domainOf(node.domain),
    overload: node.overload,
    inputs: node.input,
    outputs: node.output,
    attributes,
  };
}

function decodeAttribute(attribute: AttributeProto, context: Context): OnnxAttribute | undefined {
  if (attribute.refAttrName !== '') return { kind: 'reference', attribute: attribute.refAttrName };
  switch (attribute.type) {
    case AttributeType.FLOAT:
      return attribute.f;
    case AttributeType.INT:
      return Number(attribute.i);
    case AttributeType.STRING:
      return text.decode(attribute.s);
    case AttributeType.TENSOR:
      return attribute.t && decodeTensor(attribute.t, context.file, context.external);
    case AttributeType.GRAPH:
      return attribute.g && { kind: 'graph', graph: decodeGraph(attribute.g, context) };
    case AttributeType.FLOATS:
      return attribute.floats;
    case AttributeType.INTS:
      return attribute.ints.map(Number);
    case AttributeType.STRINGS:
      return attribute.strings.map((s) => text.decode(s));
    // Sparse tensors, types and lists of graphs occur in no op that is understood here; the op
    // itself will be refused.
    default:
      return undefined;
  }
}

function decodeFunction(f: FunctionProto, context: Context): OnnxFunction {
  const defaults: Record<string, OnnxAttribute> = {};
  for (const attribute of f.attributeProto) {
    const value = decodeAttribute(attribute, context);
    if (value !== undefined) defaults[attribute.name] = value;
  }
  return { inputs: f.input, outputs: f.output, nodes: f.node.map((node) => decodeNode(node, context)), defaults };
}
