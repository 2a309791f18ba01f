import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatInspection, inspectModel } from './inspect.js';

const folder = new URL('../../fixtures/onnx/', import.meta.url).pathname;

test('an inspection counts parameters and operations, finds the head and says what can be trained', async () => {
  const found = await inspectModel(`${folder}torchscript-13.onnx`);
  // As PyTorch counts them: sum of numel over parameters().
  assert.equal(found.parameters, 6773);
  assert.equal(found.opset, 13);
  assert.deepEqual(found.inputs, [{ name: 'input', dtype: 'float32', shape: ['batch', 3, 32, 32] }]);
  assert.equal(found.batchNormFolded, false);
  assert.equal(found.head?.node, '/classifier/Gemm');
  // stem 16*16*16*27, block 256*(16*32 + 32*9 + 32*16), down 64*32*144, classifier 5*32
  // multiply-adds
  assert.equal(found.flops, 2 * (4096 * 27 + 256 * (512 + 288 + 512) + 2048 * 144 + 160));
  assert.deepEqual(
    found.ops.find(({ op }) => op === 'Conv'),
    { op: 'Conv', count: 5, trainable: true, note: undefined },
  );
  const text = formatInspection(found);
  assert.match(text, /parameters +6\.77 k \(6773\) in 17 tensors/);
  assert.match(text, /BatchNormalization +5 +yes\n/);
});

test('folded normalisation, ops without a gradient and files that cannot be imported are told', async () => {
  const folded = await inspectModel(`${folder}torchscript-17.onnx`);
  assert.equal(folded.batchNormFolded, true);
  assert.match(formatInspection(folded), /note +BatchNormalization was folded/);
  const assumed =
    /note +.*torchscript-17\.onnx: does not say how images are prepared, so ImageNet's mean and std are used/;
  assert.match(formatInspection(folded), assumed);
  const told = await inspectModel(`${folder}torchscript-17.onnx`, { normalize: 'unit' });
  assert.doesNotMatch(formatInspection(told), /ImageNet/);
  const determinant = (await inspectModel(`${folder}no-gradient.onnx`)).ops.find(({ op }) => op === 'Det');
  assert.deepEqual([determinant?.count, determinant?.trainable], [1, false]);
  const unknown = await inspectModel(`${folder}unknown-op.onnx`);
  assert.match(unknown.problem!, /com\.example\.Mystery/);
  assert.equal(unknown.ops.find(({ op }) => op === 'com.example.Mystery')?.trainable, false);
  await assert.rejects(inspectModel(`${folder}truncated.onnx`), { code: 'bad-model' });
});
