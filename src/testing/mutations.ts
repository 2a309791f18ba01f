/** Damaged ONNX files, for tests. */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  ModelProtoSchema,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from '../onnx/generated/onnx_pb.js';
import type { Random } from '../random.js';

type Mutation = (graph: GraphProto, random: Random, model: ModelProto) => void;

const oneOf = <T>(items: readonly T[], random: Random): T | undefined => items[random.integer(items.length)];
const odd = [-(2n ** 63n), -7n, -1n, 0n, 1n, 2n, 3n, 5n, 64n, 1000n, 2n ** 31n, 2n ** 40n, 2n ** 63n - 1n];
const anyInt = (random: Random): bigint => oneOf(odd, random)!;
const anyNode = (graph: GraphProto, random: Random): NodeProto => oneOf(graph.node, random)!;
const anyTensor = (graph: GraphProto, random: Random): TensorProto | undefined => oneOf(graph.initializer, random);
function anyAttribute(graph: GraphProto, random: Random): AttributeProto | undefined {
  return oneOf(
    anyNode({ ...graph, node: graph.node.filter((node) => node.attribute.length > 0) }, random).attribute,
    random,
  );
}
const anyName = (graph: GraphProto, random: Random): string =>
  oneOf([...graph.node.flatMap(({ output }) => output), ...graph.initializer.map(({ name }) => name)], random) ?? '';

/** One change each to a file that is right. */
const mutations: Readonly<Record<string, Mutation>> = {
  'drop a node': (graph, random) => graph.node.splice(random.integer(graph.node.length), 1),
  'repeat a node': (graph, random) => graph.node.push(anyNode(graph, random)),
  'swap inputs': (graph, random) => anyNode(graph, random).input.reverse(),
  'read another value': (graph, random) => {
    const { input } = anyNode(graph, random);
    input[random.integer(input.length + 1)] = anyName(graph, random);
  },
  'leave an input out': (graph, random) => {
    const { input } = anyNode(graph, random);
    if (random.integer(2) === 0) input.pop();
    else if (input.length > 0) input[random.integer(input.length)] = '';
  },
  'rename an output': (graph, random) => {
    const { output } = anyNode(graph, random);
    if (output.length > 0)
      output[random.integer(output.length)] = oneOf(['', 'elsewhere', anyName(graph, random)], random)!;
  },
  'another op': (graph, random) => {
    anyNode(graph, random).opType = oneOf(
      [anyNode(graph, random).opType, 'LSTM', 'Resize', 'Split', 'Einsum', 'If', 'Loop', 'TopK', 'Pad', 'Nothing', ''],
      random,
    )!;
  },
  'another domain': (graph, random) => {
    anyNode(graph, random).domain = oneOf(['com.microsoft', 'some.where'], random)!;
  },
  'change an attribute': (graph, random) => {
    const attribute = anyAttribute(graph, random);
    if (!attribute) return;
    attribute.i = anyInt(random);
    attribute.f = oneOf([NaN, Infinity, -1, 0, 3.5], random)!;
    if (attribute.ints.length > 0) attribute.ints[random.integer(attribute.ints.length + 1)] = anyInt(random);
    attribute.s = new TextEncoder().encode(oneOf(['', 'nothing', 'linear'], random));
  },
  'drop an attribute': (graph, random) => {
    const node = anyNode(graph, random);
    node.attribute.splice(random.integer(node.attribute.length + 1), 1);
  },
  'rename an attribute': (graph, random) => {
    const attribute = anyAttribute(graph, random);
    if (attribute) attribute.name = oneOf(['axis', 'axes', 'perm', 'to', 'group', 'value', ''], random)!;
  },
  "change an attribute's type": (graph, random) => {
    const attribute = anyAttribute(graph, random);
    if (attribute) attribute.type = random.integer(15);
  },
  "change a tensor's shape": (graph, random) => {
    const t = anyTensor(graph, random);
    if (!t) return;
    if (random.integer(2) === 0) t.dims.reverse();
    else t.dims[random.integer(t.dims.length + 1)] = anyInt(random);
  },
  'add or take an axis of a tensor': (graph, random) => {
    const dims = anyTensor(graph, random)?.dims;
    if (random.integer(2) === 0) dims?.unshift(1n);
    else
      dims?.splice(
        0,
        dims.length,
        dims.reduce((a, b) => a * b, 1n),
      );
  },
  "change a tensor's type": (graph, random) => {
    const t = anyTensor(graph, random);
    if (t) t.dataType = random.integer(24);
  },
  'cut a tensor': (graph, random) => {
    const t = anyTensor(graph, random);
    if (t) t.rawData = t.rawData.slice(0, random.integer(t.rawData.length + 1));
  },
  "change a tensor's numbers": (graph, random) => {
    const t = anyTensor(graph, random);
    for (let i = 0; t && i < t.rawData.length; i++) t.rawData[i] = random.integer(256);
  },
  'change a stored integer': (graph, random) => {
    const constants = graph.node.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? []));
    const integers = [...constants, ...graph.initializer].filter((t) => t.dataType === 7 && t.rawData.length >= 8);
    const t = oneOf(integers, random);
    if (t) new DataView(t.rawData.buffer, t.rawData.byteOffset).setBigInt64(0, anyInt(random), true);
  },
  'drop or rename a tensor': (graph, random) => {
    const t = anyTensor(graph, random);
    if (t) t.name = oneOf(['', 'elsewhere', anyName(graph, random)], random)!;
  },
  "change the input's shape": (graph, random) => {
    const type = oneOf(graph.input, random)?.type?.value;
    if (type?.case !== 'tensorType') return;
    const dims = type.value.shape?.dim ?? [];
    if (random.integer(4) === 0) dims.splice(random.integer(dims.length + 1), 1);
    else
      oneOf(dims, random)!.value = oneOf(
        [
          { case: 'dimValue', value: anyInt(random) },
          { case: 'dimParam', value: 'some' },
          { case: undefined },
        ] as const,
        random,
      )!;
  },
  "change the input's type": (graph, random) => {
    const type = oneOf(graph.input, random)?.type?.value;
    if (type?.case === 'tensorType') type.value.elemType = random.integer(24);
  },
  'another output': (graph, random) => {
    const output = oneOf(graph.output, random);
    if (output) output.name = anyName(graph, random);
  },
  'no outputs or inputs': (graph, random) => {
    (random.integer(2) === 0 ? graph.output : graph.input).length = 0;
  },
  'another opset': (_graph, random, model) => {
    for (const entry of model.opsetImport)
      entry.version = oneOf([-1n, 0n, 6n, 7n, 9n, 10n, 13n, 18n, 25n, 10n ** 12n], random)!;
  },
};

/** A file with one or two mistakes in it, and which. */
export function mutated(bytes: Uint8Array, random: Random): { readonly bytes: Uint8Array; readonly what: string } {
  const kind = random.integer(12);
  if (kind === 0) return { bytes: bytes.slice(0, random.integer(bytes.length)), what: 'cut the bytes' };
  if (kind === 1) {
    const changed = bytes.slice();
    for (let i = 0; i < 3; i++) changed[random.integer(changed.length)] = random.integer(256);
    return { bytes: changed, what: 'change three bytes' };
  }
  // A copy, as tensors are views of the bytes.
  const model = fromBinary(ModelProtoSchema, bytes.slice());
  const names = Array.from({ length: 1 + random.integer(2) }, () => oneOf(Object.keys(mutations), random)!);
  for (const name of names) mutations[name]!(model.graph!, random, model);
  return { bytes: toBinary(ModelProtoSchema, model), what: names.join(', ') };
}
