import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine } from '../engine/index.js';
import { stack } from '../evaluate/classifier.js';
import { classifierOf } from '../evaluate/load.js';
import { buildModel } from '../models/index.js';
import type { Model } from '../models/model.js';
import { featureGraph } from '../techniques/features.js';
import { float32, tensor } from '../tensor.js';
import { noise } from '../testing/image-files.js';
import { outputsOn } from './frozen.js';

test('what a model says of known features is what it says of the images', async (t) => {
  const built: Model = { ...buildModel('resnet8', { labels: ['a', 'b', 'c'], seed: 2 }), temperature: 0.8 };
  const size = built.head!.featureCount,
    [height, width] = built.preprocessing.size;
  const means = float32(
    [size, 3],
    Array.from({ length: 3 * size }, (_, i) => Number(i % 3 === Math.floor(i / 3) % 3) / Math.sqrt(size / 3)),
  );
  const pixels = stack([0, 1, 2, 3, 4].map((i) => noise(i, width, height)));
  const engine = await createEngine('ort');
  t.after(() => engine.close());
  const extractor = await engine.compile(featureGraph(built), { inference: true });
  const { features } = await extractor.run({ pixels: tensor('uint8', [5, height, width, 3], pixels) });
  for (const rejection of [undefined, { means, threshold: 0.5 }]) {
    const model = { ...built, rejection };
    const said = await outputsOn(engine, model, { features: features!.data as Float32Array, size });
    await using classifier = await classifierOf(engine, model);
    const whole = await classifier.run(pixels, 5);
    assert.equal(said.outlier === undefined, rejection === undefined);
    for (const name of ['logits', 'probabilities', 'outlier'] as const) {
      assert.equal(said[name]?.length, whole[name]?.length, name);
      whole[name]?.forEach((value, i) => assert.ok(Math.abs(value - said[name]![i]!) < 1e-5, `${name} ${i}`));
    }
  }
});
