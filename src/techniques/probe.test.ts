import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine } from '../engine/index.js';
import { argmax, crossEntropy } from '../evaluate/metrics.js';
import { Random } from '../random.js';
import { fitProbe } from './probe.js';
import { balancedWeights, predict } from './regression.js';

const classes = 2,
  size = 64;

/** Half of the features tell classes apart, the others are nearly silent in the first two images and loud later. */
function draw(count: number): { readonly features: Float32Array; readonly size: number; readonly truth: number[] } {
  const random = new Random(0, 'features');
  const truth = Array.from({ length: count }, (_, i) => i % classes);
  const features = truth.flatMap((label, i) =>
    Array.from({ length: size }, (_, f) =>
      f < size / 2
        ? (f % classes === label ? 1 : 0) + 0.3 * random.normal()
        : i < 2
          ? 1e-3 * random.uniform()
          : 3 * Math.max(0, random.normal()),
    ),
  );
  return { features: Float32Array.from(features), size, truth };
}

test('with one label a class, features that happen to be silent in it do not decide', async () => {
  const { features, truth } = draw(202);
  const engine = await createEngine('reference');
  try {
    const labelled = { features: features.subarray(0, 2 * size), size, labels: truth.slice(0, 2), classes };
    const { head } = await fitProbe(engine, labelled, [], [0, 1]);
    const others = truth.map((_, i) => i).slice(2);
    const logits = predict({ features, size }, head, others, new Float32Array(others.length * classes));
    const right = others.filter((i, row) => argmax(logits, row * classes, classes) === truth[i]).length;
    assert.ok(right / others.length > 0.9, `${right} of ${others.length} are right`);
    const loss = crossEntropy(
      logits,
      others.map((i) => truth[i]!),
      classes,
    );
    assert.ok(loss < Math.log(2), `loss ${loss}, no better than a guess`);
  } finally {
    await engine.close();
  }
});

test('a class of which there are few labels is recognised beside one of which there are many', async () => {
  const random = new Random(1, 'features');
  const draw = (label: number): number[] =>
    Array.from({ length: size }, (_, f) => (f % classes === label ? 0.6 : 0) + random.normal());
  const labels = [...Array<number>(60).fill(0), ...Array<number>(4).fill(1)];
  const features = Float32Array.from(labels.flatMap(draw));
  const truth = Array.from({ length: 200 }, (_, i) => i % classes);
  const others = Float32Array.from(truth.flatMap(draw));
  const folds = [0, 1, 2, 3].map((fold) => labels.flatMap((_, i) => (i % 4 === fold ? [i] : [])));
  const engine = await createEngine('reference');
  try {
    const { head } = await fitProbe(engine, { features, size, labels, classes }, folds, [...labels.keys()]);
    const rows = [...truth.keys()];
    const logits = predict({ features: others, size }, head, rows, new Float32Array(rows.length * classes));
    const found = rows.filter((i) => truth[i] === 1 && argmax(logits, i * classes, classes) === 1).length;
    assert.ok(found > 60, `${found} of 100 of the rare class are found`);
  } finally {
    await engine.close();
  }
});

test('weights are 1 where classes have equally many labels, and else give each class the same sum', () => {
  assert.deepEqual([...balancedWeights([0, 1, 2, 2, 0, 1], 3)], [1, 1, 1, 1, 1, 1]);
  assert.deepEqual([...balancedWeights([0, 0, 0, 2, -1], 3)], [2 / 3, 2 / 3, 2 / 3, 2, 0].map(Math.fround));
});
