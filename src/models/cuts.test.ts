import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildModel } from './index.js';
import { cutsOf, earlierLayer } from './cuts.js';

test('all of an image passes through the ends of residual blocks', () => {
  const model = buildModel('resnet18', { classes: 3, inputSize: 64, seed: 0 });
  const cuts = cutsOf(model.graph, 'input', model.head!.features);
  const ops = new Map(model.graph.nodes.flatMap(({ op, outputs }) => outputs.map((name) => [name, op] as const)));
  const ends = cuts.filter(({ name }) => ops.get(name) === 'Add');
  assert.equal(ends.length, 8, 'four stages of two blocks');
});

test('the earlier layer has twice the final resolution, or of tokens the same', () => {
  const layerOf = (name: string, size: number): readonly (number | string)[] =>
    earlierLayer(buildModel(name, { classes: 3, inputSize: size, seed: 0 }))!.shape.slice(1);
  assert.deepEqual(layerOf('resnet18', 64), [256, 4, 4]);
  assert.equal(layerOf('mobilenetv2_100', 64)[1], 4);
  const [tokens, width] = layerOf('vit_tiny_patch16_224', 224);
  assert.deepEqual([tokens, width], [197, 192]);
});
