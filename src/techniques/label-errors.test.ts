import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../random.js';
import { doubtLabels } from './label-errors.js';

test('the least likely labels come first, and count as another class where that is as sure as usual', () => {
  const rows = [
    [0.9, 0.1],
    [0.8, 0.2],
    [0.1, 0.9],
    [0.3, 0.7],
    [0.95, 0.05],
    [0.45, 0.55],
  ];
  // The fifth is labelled 1 and looks like 0; the sixth is in doubt, but not as sure as images of 0 are.
  const labels = [0, 0, 1, 1, 1, 0];
  const doubts = doubtLabels(Float32Array.from(rows.flat()), labels, 2);
  assert.deepEqual(
    doubts.map(({ index }) => index),
    [4, 5, 3, 1, 0, 2],
  );
  assert.deepEqual(
    doubts.filter(({ suspect }) => suspect).map(({ index, suggested }) => [index, suggested]),
    [
      [4, 0],
      [5, 1],
    ],
  );
});

test('flipped labels are found where predictions are mostly right', () => {
  const random = new Random(7, 'flips'),
    classes = 4,
    count = 1000;
  const truth = Array.from({ length: count }, (_, i) => i % classes);
  const labels = truth.map((label, i) => (i % 20 === 0 ? (label + 1 + (i % 3)) % classes : label));
  const probabilities = new Float32Array(count * classes);
  truth.forEach((label, i) => {
    const scores = Array.from({ length: classes }, (_, c) => Math.exp(2 * random.normal() + (c === label ? 5 : 0)));
    const sum = scores.reduce((a, b) => a + b);
    scores.forEach((score, c) => (probabilities[i * classes + c] = score / sum));
  });
  const flipped = labels.flatMap((label, i) => (label === truth[i] ? [] : [i]));
  const doubts = doubtLabels(probabilities, labels, classes);
  const first = new Set(doubts.slice(0, count / 10).map(({ index }) => index));
  const found = flipped.filter((i) => first.has(i)).length / flipped.length;
  assert.ok(found > 0.8, `${found} of the flips are in the first tenth`);
});

test('a class without images is never suggested as the likely one', () => {
  const doubts = doubtLabels(Float32Array.of(0.2, 0.1, 0.7, 0.6, 0.3, 0.1), [0, 0], 3);
  assert.ok(doubts.every(({ suspect }) => !suspect));
});
