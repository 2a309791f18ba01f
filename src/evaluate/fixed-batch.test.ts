import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine } from '../engine/index.js';
import { importFile } from '../models/import.js';
import { fixedBatch } from '../models/model.js';
import { int64 } from '../tensor.js';
import { assertClose, sketch } from '../testing/sketch.js';
import { classifierOf } from './load.js';

/** Picks both images by their number: no other size of the batch can be had. */
const stuck = sketch(
  [
    ['Gather', ['x', 'both'], ['g'], { axis: 0 }],
    ['GlobalAveragePool', ['g'], ['p']],
    ['Flatten', ['p'], ['f']],
    ['Softmax', ['f'], ['y'], { axis: 1 }],
  ],
  {
    inputs: [{ name: 'x', dtype: 'float32', shape: [2, 3, 2, 2] }],
    weights: { both: int64([2], [0, 1]) },
  },
);

test('a network with a batch size built in predicts any number of images', async () => {
  const { model } = importFile(stuck, 'stuck', { normalize: 'unit' });
  assert.equal(fixedBatch(model), 2);
  const engine = await createEngine('ort');
  const classifier = await classifierOf(engine, model);
  try {
    const pixels = (...values: number[]): Uint8Array =>
      Uint8Array.from(values.flatMap((value) => new Array<number[]>(4).fill([value, 0, 255 - value]).flat()));
    const { probabilities } = await classifier.run(pixels(0, 100, 255), 3);
    const one = await classifier.run(pixels(255), 1);
    assert.equal(probabilities.length, 9);
    assertClose([...probabilities.subarray(6)], [...one.probabilities], 1e-6);
    const [red = 0, , blue = 0] = probabilities.subarray(6);
    assert.ok(red > blue && probabilities[0]! < probabilities[2]!);
  } finally {
    await classifier.close();
    await engine.close();
  }
});
