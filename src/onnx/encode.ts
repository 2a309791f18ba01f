import { create, toBinary } from '@bufbuild/protobuf';
import { toInt64, type DataType, type Tensor } from '../tensor.js';
import { isFloatAttribute } from './attributes.js';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProtoSchema,
  TypeProto_TensorSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type NodeProto,
  type ValueInfoProto,
} from './generated/onnx_pb.js';
import type { PlainAttribute } from './model.js';
import { encodeTensor } from './tensors.js';
import { typeCode } from '../graph/element-types.js';

/** What of a graph goes into a file; the graphs of graph/graph.ts are of this form. */
export interface EncodableGraph {
  readonly name: string;
  readonly inputs: readonly EncodableValue[];
  readonly outputs: readonly string[];
  readonly nodes: readonly EncodableNode[];
  readonly constants: ReadonlyMap<string, Tensor>;
  readonly values: ReadonlyMap<string, EncodableValue>;
}
interface EncodableValue {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly (number | string)[];
}
interface EncodableNode {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, PlainAttribute>>;
}

export interface EncodeOptions {
  /** Goes into `metadata_props`. */
  readonly metadata?: Readonly<Record<string, string | undefined>>;
  /** Opset of ONNX's own domain (default 17). */
  readonly opset?: number;
  /** Default `pupil`. */
  readonly producer?: string;
}

/** Versions of the domains besides ONNX's own. */
const domainVersions: Readonly<Record<string, number>> = { 'com.microsoft': 1, 'com.microsoft.nchwc': 1 };

/**
 * The bytes of an ONNX file (IR 8): constants become initializers. Throws an Error for a node that
 * no ONNX engine could run.
 */
export function encodeGraph(graph: EncodableGraph, options: EncodeOptions = {}): Uint8Array {
  const domains = new Set(graph.nodes.map((node) => node.domain));
  domains.delete('');
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    producerName: options.producer ?? 'pupil',
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(options.opset ?? 17) }),
      ...[...domains].map((domain) =>
        create(OperatorSetIdProtoSchema, { domain, version: BigInt(versionOf(domain, graph)) }),
      ),
    ],
    metadataProps: Object.entries(options.metadata ?? {}).flatMap(([key, value]) =>
      value === undefined ? [] : [create(StringStringEntryProtoSchema, { key, value })],
    ),
    graph: create(GraphProtoSchema, {
      name: graph.name,
      input: graph.inputs.map(encodeValue),
      output: graph.outputs.map((name) => {
        const value = graph.values.get(name);
        if (!value) throw new Error(`${graph.name}: the output ${JSON.stringify(name)} is no value of the graph`);
        return encodeValue(value);
      }),
      node: graph.nodes.map(encodeNode),
      initializer: Array.from(graph.constants, ([name, t]) => encodeTensor(t, name)),
    }),
  });
  return toBinary(ModelProtoSchema, model);
}

function versionOf(domain: string, graph: EncodableGraph): number {
  const version = domainVersions[domain];
  if (version === undefined) {
    const node = graph.nodes.find((candidate) => candidate.domain === domain);
    throw new Error(
      `${node?.name}: ${node?.op} of the domain ${domain} cannot be written to an ONNX file; lower it first`,
    );
  }
  return version;
}

function encodeValue(value: EncodableValue): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name: value.name,
    type: create(TypeProtoSchema, {
      value: {
        case: 'tensorType',
        value: create(TypeProto_TensorSchema, {
          elemType: typeCode(value.dtype),
          shape: create(TensorShapeProtoSchema, {
            dim: value.shape.map((dim) =>
              create(TensorShapeProto_DimensionSchema, {
                value:
                  typeof dim === 'number' ? { case: 'dimValue', value: BigInt(dim) } : { case: 'dimParam', value: dim },
              }),
            ),
          }),
        }),
      },
    }),
  });
}

function encodeNode(node: EncodableNode): NodeProto {
  return create(NodeProtoSchema, {
    name: node.name,
    opType: node.op,
    domain: node.domain,
    input: [...node.inputs],
    output: [...node.outputs],
    attribute: Object.entries(node.attributes).map(([name, value]) => encodeAttribute(node.op, name, value)),
  });
}

const utf8 = new TextEncoder();
function encodeAttribute(op: string, name: string, value: PlainAttribute): AttributeProto {
  const float = isFloatAttribute(op, name);
  if (typeof value === 'number') {
    return float
      ? create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value })
      : create(AttributeProtoSchema, { name, type: AttributeType.INT, i: toInt64(value) });
  }
  if (typeof value === 'string')
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: utf8.encode(value) });
  if ('dtype' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: encodeTensor(value) });
  if (value.some((item) => typeof item === 'string')) {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRINGS,
      strings: (value as readonly string[]).map((s) => utf8.encode(s)),
    });
  }
  const numbers = value as readonly number[];
  return float
    ? create(AttributeProtoSchema, { name, type: AttributeType.FLOATS, floats: [...numbers] })
    : create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: numbers.map(toInt64) });
}
