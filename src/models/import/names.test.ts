import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modulePath, storedName } from './names.js';

test('names that say something are kept, those that exporters make up are not', () => {
  assert.equal(storedName('layer1.0.conv1.weight'), 'layer1.0.conv1.weight');
  assert.equal(storedName('w12'), 'w12');
  assert.equal(storedName('stem.0.weight_bias'), 'stem.0.bias');
  assert.equal(storedName('head.weight.fp16'), 'head.weight');
  assert.equal(storedName('StatefulPartitionedCall/model/conv1/Conv2D/ReadVariableOp:0'), 'model.conv1.Conv2D');
  for (const made of [
    'onnx::Conv_56',
    'val_12',
    'const_fold_opt__31',
    '193',
    '/a/Constant_1_output_0',
    'view_2',
    'node_Constant_3',
    'scalar_tensor_default_1',
    'c_lifted_tensor_0',
  ]) {
    assert.equal(storedName(made), undefined, made);
  }
});

test("a node's name gives the part of the network", () => {
  assert.equal(modulePath('/layer1/layer1.0/conv1/Conv'), 'layer1.0.conv1');
  assert.equal(modulePath('/features/features.1/conv/conv.0/conv.0.0/Conv'), 'features.1.conv.0.0');
  assert.equal(modulePath('StatefulPartitionedCall/model/conv1/Conv2D'), 'model.conv1');
  assert.equal(modulePath('node_linear_3'), 'linear_3');
  assert.equal(modulePath('/Add'), '');
});
