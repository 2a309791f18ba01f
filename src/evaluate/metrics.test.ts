import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  balancedInterval,
  besideChance,
  crossEntropy,
  expectedCalibrationError,
  fitTemperature,
  isBetterThanChance,
  effectiveCount,
  independence,
  meanInterval,
  measure,
  shareInterval,
  wilson,
  softmax,
} from './metrics.js';
import { Random } from '../random.js';

const close = (got: number, expected: number, tolerance = 1e-6): void =>
  assert.ok(Math.abs(got - expected) <= tolerance, `${got} is not within ${tolerance} of ${expected}`);

test('measure counts hits, misses and the confusion of classes', () => {
  const logits = Float32Array.from([2, 1, 0, /**/ 0, 3, 1, /**/ 5, 0, 0, /**/ 0, 1, 2]);
  const metrics = measure(logits, [0, 1, 1, 2], ['a', 'b', 'c']);
  assert.equal(metrics.top1, 0.75);
  assert.equal(metrics.top5, 1);
  assert.deepEqual(metrics.confusion, [
    [1, 0, 0],
    [1, 1, 0],
    [0, 0, 1],
  ]);
  assert.deepEqual(metrics.perClass['b'], { recall: 0.5, precision: 1, count: 2 });
  assert.deepEqual(metrics.perClass['a'], { recall: 1, precision: 0.5, count: 1 });
  // -log softmax by hand for the first row: log(e^2 + e + 1) - 2.
  close(crossEntropy(logits.subarray(0, 3), [0], 3), Math.log(Math.exp(2) + Math.E + 1) - 2);
});

test('top-5 does not count a label behind five others, nor a NaN-free empty set', () => {
  const logits = Float32Array.from([6, 5, 4, 3, 2, 1]);
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  assert.equal(measure(logits, [4], names).top5, 1);
  assert.equal(measure(logits, [5], names).top5, 0);
  assert.equal(measure(new Float32Array(0), [], names).top1, 0);
});

test('calibration error is |accuracy - confidence| and a fitted temperature lowers it', () => {
  // All predictions are made with probability 0.9 and 60% are right: the error is 0.3.
  const logits = new Float32Array(20).map((_, i) => (i % 2 === 0 ? Math.log(9) : 0));
  const labels = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1];
  close(expectedCalibrationError(softmax(logits, 2), labels, 2), 0.3, 1e-5);
  const temperature = fitTemperature(logits, labels, 2);
  // A twelfth of each target goes to the other class: the optimum has p = 0.6 * 11/12 + 0.4 * 1/12.
  const p = 7 / 12;
  close(temperature, Math.log(9) / Math.log(p / (1 - p)), 1e-3);
  close(expectedCalibrationError(softmax(logits, 2, temperature), labels, 2), 0.6 - p, 1e-3);
});

test('the calibration error that so many images show by chance is that of honest confidences', () => {
  const names = ['a', 'b'];
  const random = new Random(3);
  for (const count of [6, 12, 60, 1000]) {
    const margins = Float32Array.from({ length: count }, () => 3 * random.uniform());
    const logits = Float32Array.from({ length: 2 * count }, (_, i) => (i % 2 === 0 ? margins[i / 2]! : 0));
    const sure = margins.map((margin) => 1 / (1 + Math.exp(-margin)));
    // Labels as often right as they are said to be.
    const trials = Array.from({ length: 400 }, () =>
      measure(
        logits,
        Array.from(sure, (p) => (random.chance(p) ? 0 : 1)),
        names,
      ),
    );
    const mean = trials.reduce((sum, { ece }) => sum + ece, 0) / trials.length;
    const { eceByChance } = trials[0]!;
    assert.ok(Math.abs(eceByChance! / mean - 1) < 0.15, `${count} images: ${eceByChance} for ${mean}`);
  }
});

/** Twenty images, all of which are right: [3, 0] for class 0, [0, 3] for class 1. */
const right = (labels: ArrayLike<number>): Float32Array =>
  Float32Array.from(Array.from(labels).flatMap((label) => (label === 0 ? [3, 0] : [0, 3])));

test('few labels that are all right leave doubt', () => {
  const labels = Int32Array.from({ length: 20 }, (_, i) => i % 2);
  const temperature = fitTemperature(right(labels), labels, 2);
  close(softmax(right(labels), 2, temperature)[0]!, 21 / 22, 1e-3);
});

test('copies of a few labels leave as much doubt as these', () => {
  const labels = Int32Array.from({ length: 80 }, (_, i) => i % 2);
  const groups = Array.from({ length: 80 }, (_, i) => `${i % 20}`);
  const temperature = fitTemperature(right(labels), labels, 2, effectiveCount(groups));
  close(softmax(right(labels), 2, temperature)[0]!, 21 / 22, 1e-3);
});

test('labels of some classes alone leave more of it: half of the images of the others are taken for wrong', () => {
  const labels = new Int32Array(20);
  const temperature = fitTemperature(right(labels), labels, 2);
  close(softmax(right(labels), 2, temperature)[0]!, 1 - 1 / 22 - 1 / 4, 1e-3);
});

test('the interval of a share holds that of Wilson, and is not zero where none or all are right', () => {
  close(shareInterval(0, 2), 0.6576, 1e-3);
  close(shareInterval(1, 2), 0.6576, 1e-3);
  // Of 100 images with 90 right: 82.6 to 94.5%.
  close(shareInterval(0.9, 100), 0.0744, 1e-3);
  close(shareInterval(0.5, 10_000), 0.0098, 1e-4);
});

test('the temperature of well-calibrated logits is one', () => {
  const random = new Random(3, 'temperature');
  const count = 5000,
    classes = 4;
  const logits = new Float32Array(count * classes).map(() => 2 * random.normal());
  const probabilities = softmax(logits, classes);
  const labels = Array.from({ length: count }, (_, i) => {
    let u = random.uniform(),
      c = 0;
    while (c < classes - 1 && (u -= probabilities[i * classes + c]!) > 0) c++;
    return c;
  });
  close(fitTemperature(logits, labels, classes), 1, 0.05);
});

test('the interval of all or none ends exactly there, and every interval holds its share', () => {
  for (let count = 1; count < 300; count++) {
    assert.deepEqual([wilson(0, count)[0], wilson(1, count)[1]], [0, 1], `${count}`);
    for (const right of [0, 1, count >> 1, count]) {
      const [low, high] = wilson(right / count, count);
      assert.ok(0 <= low && low <= right / count && right / count <= high && high <= 1, `${right} of ${count}`);
    }
  }
});

test('the interval of a balanced accuracy holds it in 95% of cases, and is wide where one class has few images', () => {
  const of = (...classes: readonly (readonly [right: number, count: number])[]): ReturnType<typeof balancedInterval> =>
    balancedInterval({
      count: classes.reduce((sum, [, count]) => sum + count, 0),
      perClass: Object.fromEntries(
        classes.map(([right, count], c) => [c, { recall: count > 0 ? right / count : 0, precision: 1, count }]),
      ),
    });
  assert.deepEqual(of([8, 10], [0, 0]), of([8, 10]), 'a class without images takes no part');
  assert.deepEqual(of([1, 4], [4, 4], [3, 4], [4, 4], [4, 4]), wilson(0.8, 20), 'equal classes: that of the accuracy');
  const [low, high] = of([3, 3], [58, 60]);
  assert.ok(low < 0.73 && high > 0.99, `${low} to ${high}`);
  // Of all draws of 3 and 60 images, by how likely they are.
  const likely = (right: number, count: number, share: number): number => {
    let ways = 1;
    for (let i = 0; i < right; i++) ways *= (count - i) / (i + 1);
    return ways * share ** right * (1 - share) ** (count - right);
  };
  for (const [rare, usual] of [
    [0.9, 0.9],
    [0.7, 0.95],
    [0.5, 0.5],
    [0.95, 0.6],
    [0.98, 0.98],
  ] as const) {
    let held = 0;
    for (let a = 0; a <= 3; a++)
      for (let b = 0; b <= 60; b++) {
        const [from, to] = of([a, 3], [b, 60]);
        const isHeld = from <= (rare + usual) / 2 && (rare + usual) / 2 <= to;
        if (isHeld) held += likely(a, 3, rare) * likely(b, 60, usual);
      }
    assert.ok(held > 0.94, `${rare} and ${usual}: ${held}`);
  }
});

test('intervals are those of Student t', () => {
  const { mean, interval } = meanInterval([1, 2, 3]);
  close(mean, 2);
  close(interval, 4.303 / Math.sqrt(3), 1e-3);
  // 20 degrees of freedom: 2.086.
  const many = meanInterval(Array.from({ length: 21 }, (_, i) => i));
  close(many.interval, 2.086 * Math.sqrt(38.5 / 21), 0.01);
});

test('60 images, each four times, are worth 60: in shares, in means and beside chance', () => {
  const names = Array.from({ length: 60 }, (_, i) => `image ${i}`),
    copies = [...names, ...names, ...names, ...names];
  assert.equal(effectiveCount(names), 60);
  assert.equal(effectiveCount(names.map(() => undefined)), 60);
  assert.equal(effectiveCount(copies), 60);
  // 4 and 1: 5^2 / (4^2 + 1).
  assert.equal(effectiveCount(['a', 'a', undefined, 'a', 'a']), 25 / 17);
  assert.equal(effectiveCount([]), 0);
  assert.deepEqual([independence(60, 60), independence(240, 60)], [{}, { independent: 60 }]);
  const values = names.map((_, i) => Number(i % 3 === 0) - Number(i % 7 === 0)),
    four = [...values, ...values, ...values, ...values];
  const [alone, grouped] = [meanInterval(values), meanInterval(four, copies)];
  close(grouped.mean, alone.mean, 1e-12);
  close(grouped.interval, alone.interval, 1e-12);
  assert.ok(meanInterval(four).interval < 0.51 * alone.interval, 'half as wide, taken for 240');
  assert.deepEqual(meanInterval(values, names), alone, 'the same bits without copies');
  assert.ok(Number.isNaN(meanInterval([1, 0], ['a', 'a']).interval), 'one image, twice');
  // 7 of 10 images, each four times, are no surer than 7 of 10.
  assert.equal(isBetterThanChance(28, 40, 2), true);
  assert.equal(isBetterThanChance(28, 40, 2, 10), false);
});

test('more right answers than chance: two standard deviations of guessing', () => {
  // 0.2 + 2 sqrt(0.2 0.8 / 100) = 0.28
  assert.equal(isBetterThanChance(28, 100, 5), false);
  assert.equal(isBetterThanChance(29, 100, 5), true);
  assert.equal(isBetterThanChance(0, 9, 5), true, 'too few to tell');
  assert.equal(isBetterThanChance(0, 10, 5), false);
  assert.equal(besideChance(5, 10, 2, 'images'), 'right on 5 of 10 images, no better than chance (50%)');
  const few = 'right on 8 of 10 held-out images, too few to tell it from chance (50%)';
  assert.equal(besideChance(8, 10, 2, 'held-out images'), few);
});
