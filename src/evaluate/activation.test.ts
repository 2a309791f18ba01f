import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blank } from '../image/image.js';
import { buildModel } from '../models/index.js';
import { activationGraph, explain } from './activation.js';

test('the last map of a convolutional network is found with the gradient of a class, of a transformer none', () => {
  const graph = activationGraph(buildModel('resnet8', { labels: ['a', 'b'], seed: 1 }))!;
  assert.deepEqual(
    graph.outputs.map((name) => graph.values.get(name)!.shape),
    [
      [1, 64, 8, 8],
      [1, 64, 8, 8],
    ],
  );
  assert.ok(activationGraph(buildModel('vit_tiny_patch16_224', { labels: ['a', 'b'], seed: 1 })) === undefined);
});

test('an explained image is as large as the network sees it, warm somewhere, and depends on the class', async () => {
  const model = { ...buildModel('resnet8', { labels: ['a', 'b'], seed: 1 }), labels: ['a', 'b'] };
  const image = blank(40, 32, [60, 60, 60]);
  image.data.fill(200, 0, 1500);
  const [first, second] = (await explain(model, [
    { image, label: 0 },
    { image, label: 1 },
  ]))!;
  assert.deepEqual([first!.width, first!.height], [32, 32]);
  const isWarm = ({ data }: { readonly data: Uint8Array }): boolean =>
    data.some((value, i) => i % 3 === 0 && value > data[i + 2]! + 60);
  assert.ok(isWarm(first!) || isWarm(second!));
  assert.notDeepEqual(first!.data, second!.data);
});
