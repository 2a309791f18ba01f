import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { float32, int64, numbersOf, tensor, type Tensor } from '../tensor.js';
import { decodeOnnx } from './decode.js';
import { encodeGraph, type EncodableGraph } from './encode.js';
import {
  ModelProtoSchema,
  GraphProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
} from './generated/onnx_pb.js';
import { readOnnx } from './read.js';
import { toFloat32 } from './tensors.js';

const fixtures = new URL('../../fixtures/onnx/', import.meta.url).pathname;

const graph: EncodableGraph = {
  name: 'example',
  inputs: [{ name: 'x', dtype: 'float32', shape: ['N', 3] }],
  outputs: ['y'],
  nodes: [
    { name: 'scaled', op: 'LeakyRelu', domain: '', inputs: ['x'], outputs: ['s'], attributes: { alpha: 1 } },
    {
      name: 'lrn',
      op: 'Reshape',
      domain: '',
      inputs: ['s', 'shape', ''],
      outputs: ['y'],
      attributes: { allowzero: 0, ints: [1, -2], text: 'abc', strings: ['a', 'b'], t: int64([1], [7]) },
    },
  ],
  constants: new Map([
    ['shape', int64([2], [-1, 3])],
    ['w', float32([2], [0.5, -2])],
    ['flag', tensor('bool', [], Uint8Array.of(1))],
  ]),
  values: new Map([['y', { name: 'y', dtype: 'float32', shape: ['N', 3] }]]),
};

test('what encodeGraph writes, decodeOnnx reads back', () => {
  const file = decodeOnnx(encodeGraph(graph, { metadata: { labels: '["a"]' } }));
  assert.equal(file.irVersion, 8);
  assert.deepEqual([...file.opsets], [['', 17]]);
  assert.equal(file.producer, 'pupil');
  assert.equal(file.metadata.get('labels'), '["a"]');
  assert.deepEqual(file.graph.inputs, graph.inputs);
  assert.deepEqual(file.graph.outputs, [graph.values.get('y')]);
  assert.deepEqual(
    file.graph.nodes.map((node) => node.attributes),
    graph.nodes.map((node) => node.attributes),
  );
  assert.deepEqual(file.graph.nodes[1]!.inputs, ['s', 'shape', '']);
  assert.deepEqual(new Map(file.graph.initializers), graph.constants);
});

test('ops of onnxruntime bring their domain; our own cannot be written', () => {
  const node = (domain: string): EncodableGraph => ({
    ...graph,
    nodes: [{ ...graph.nodes[0]!, domain, outputs: ['y'] }],
  });
  assert.deepEqual(
    [...decodeOnnx(encodeGraph(node('com.microsoft.nchwc'))).opsets],
    [
      ['', 17],
      ['com.microsoft.nchwc', 1],
    ],
  );
  assert.throws(() => encodeGraph(node('pupil')), /scaled: LeakyRelu of the domain pupil cannot be written/);
});

/** A file with one initializer, as other programs may write it. */
function fileWith(initializer: Parameters<typeof create<typeof TensorProtoSchema>>[1]): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: 17n })],
      graph: create(GraphProtoSchema, {
        name: 'g',
        initializer: [create(TensorProtoSchema, { name: 't', ...(initializer as object) })],
      }),
    }),
  );
}
const only = (bytes: Uint8Array): Tensor => decodeOnnx(bytes).graph.initializers.get('t')!;

test('tensors are read from every field that can hold them', () => {
  assert.deepEqual(only(fileWith({ dataType: 1, dims: [2n], floatData: [1.5, -2] })), float32([2], [1.5, -2]));
  assert.deepEqual(only(fileWith({ dataType: 7, dims: [2n], int64Data: [3n, -4n] })), int64([2], [3, -4]));
  assert.deepEqual(numbersOf(only(fileWith({ dataType: 3, dims: [2n], int32Data: [-5, 6] }))), [-5, 6]);
  assert.deepEqual(numbersOf(only(fileWith({ dataType: 11, dims: [1n], doubleData: [0.1] }))), [0.1]);
  assert.deepEqual(numbersOf(only(fileWith({ dataType: 9, dims: [2n], int32Data: [1, 0] }))), [1, 0]);
  assert.deepEqual(
    numbersOf(only(fileWith({ dataType: 6, dims: [1n], rawData: Uint8Array.of(255, 255, 255, 255) }))),
    [-1],
  );
  // One byte before the numbers: typed arrays must not be laid over unaligned bytes.
  assert.deepEqual(
    numbersOf(
      only(
        fileWith({
          name: 't',
          docString: 'a',
          dataType: 1,
          dims: [1n],
          rawData: new Uint8Array(Float32Array.of(7).buffer),
        }),
      ),
    ),
    [7],
  );
});

test('half floats: normal, subnormal, infinite, and bfloat16', () => {
  const half = (bits: number): number => numbersOf(toFloat32(tensor('float16', [1], Uint16Array.of(bits))))[0]!;
  assert.equal(half(0x3c00), 1);
  assert.equal(half(0xc100), -2.5);
  assert.equal(half(0x0001), 2 ** -24);
  assert.equal(half(0x7c00), Infinity);
  assert.ok(Number.isNaN(half(0x7e00)));
  assert.deepEqual(numbersOf(toFloat32(tensor('bfloat16', [2], Uint16Array.of(0x3f80, 0xc020)))), [1, -2.5]);
});

test('files that are not usable are refused in one line', () => {
  const text = new TextEncoder();
  const refused = (bytes: Uint8Array, message: RegExp): void => {
    assert.throws(
      () => decodeOnnx(bytes, { name: 'm.onnx' }),
      (error: Error & { code?: string }) => {
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /\n/);
        return error.code === 'bad-model' || error.code === 'unsupported';
      },
    );
  };
  refused(new Uint8Array(0), /m\.onnx: is empty/);
  refused(text.encode('version https://git-lfs.github.com/spec/v1\noid sha256:00'), /Git LFS pointer/);
  refused(text.encode('<!doctype html><html><body>Not found</body></html>'), /web page/);
  refused(text.encode('{"a": 1}'), /not an ONNX file/);
  const whole = encodeGraph(graph);
  refused(whole.subarray(0, whole.length - 20), /cut short or damaged/);
  refused(fileWith({ dataType: 1, dims: [3n], floatData: [1] }), /"t" has 1 elements, its shape \[3\] needs 3/);
  const { unusable } = decodeOnnx(fileWith({ dataType: 22, dims: [2n], int32Data: [1] })).graph;
  assert.match(unusable?.get('t')?.message ?? '', /4-bit integers/);
  const external = (location: string): Uint8Array =>
    fileWith({
      dataType: 1,
      dims: [1n],
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: [{ $typeName: 'onnx.StringStringEntryProto', key: 'location', value: location }],
    });
  refused(external('../../secret'), /not beside the model/);
  refused(external('/etc/passwd'), /not beside the model/);
  refused(external('weights.data'), /open the model by its path/);
});

test('external data is read beside the model, and asked for by name when it is missing', async () => {
  const whole = await readOnnx(`${fixtures}external.onnx`);
  assert.deepEqual(whole.graph.initializers.get('classifier.weight')!.dims, [5, 32]);
  const folder = await mkdtemp(join(tmpdir(), 'pupil-onnx-'));
  try {
    await copyFile(`${fixtures}external.onnx`, join(folder, 'moved.onnx'));
    await assert.rejects(readOnnx(join(folder, 'moved.onnx')), {
      code: 'bad-model',
      message: /"external\.onnx\.data", which cannot be read; put that file beside moved\.onnx/,
    });
    await assert.rejects(readOnnx(join(folder, 'none.onnx')), { code: 'not-found' });
    await assert.rejects(readOnnx(folder), { code: 'bad-model', message: /is a folder/ });
  } finally {
    await rm(folder, { recursive: true });
  }
});
