import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../random.js';
import { comparePaired } from './paired.js';

/** Answers of which so many are right by both, by the first, by the second, by none. */
const answers = (...counts: readonly number[]): [boolean[], boolean[]] => {
  const kinds = counts.flatMap((count, kind) => new Array<number>(count).fill(kind));
  return [kinds.map((kind) => kind === 0 || kind === 1), kinds.map((kind) => kind === 0 || kind === 2)];
};

const close = (actual: number, expected: number, within: number): void =>
  assert.ok(Math.abs(actual - expected) <= within, `${actual} is not ${expected}`);

test("McNemar's exact test is twice the tail of a fair coin", () => {
  // 14 images tell them apart: 2 of one kind or fewer, or 12 and more.
  close(comparePaired(...answers(36, 12, 2, 0)).p, (2 * (1 + 14 + 91)) / 2 ** 14, 1e-12);
  close(comparePaired(...answers(5, 3, 3, 5)).p, 1, 1e-12);
  close(comparePaired(...answers(20, 0, 0, 4)).p, 1, 1e-12);
  assert.ok(comparePaired(...answers(0, 3000, 2000, 0)).p < 1e-40);
});

test('the difference has its sign and its interval, which is not empty where both are right on the same images', () => {
  // 36, 12, 2 and 0 of 50: an example of Newcombe (1998).
  const { gain, interval } = comparePaired(...answers(36, 2, 12, 0));
  close(gain, 0.2, 1e-12);
  close(interval[0], 0.0569, 5e-4);
  close(interval[1], 0.3404, 5e-4);
  const swapped = comparePaired(...answers(36, 12, 2, 0));
  close(swapped.interval[0], -interval[1], 1e-12);
  const same = comparePaired(...answers(3, 0, 0, 0));
  assert.equal(same.gain, 0);
  assert.ok(same.interval[1] > 0.5, 'three images tell little');
});

test('copies count once: four of each image are compared as one of each', () => {
  const [first, second] = answers(36, 2, 12, 3);
  const four = <T>(values: readonly T[]): T[] => [...values, ...values, ...values, ...values];
  const groups = first.map((_, i) => `image ${i}`);
  const alone = comparePaired(first, second),
    copied = comparePaired(four(first), four(second), four(groups));
  assert.deepEqual(comparePaired(first, second, groups), alone);
  assert.equal(copied.onlySecond, 48);
  close(copied.gain, alone.gain, 1e-12);
  close(copied.p, alone.p, 1e-12);
  for (const end of [0, 1] as const) close(copied.interval[end], alone.interval[end], 1e-12);
  assert.ok(comparePaired(four(first), four(second)).p < alone.p / 100);
});

test('the interval holds the true difference in about 95 of 100 samples', () => {
  const random = new Random(1, 'paired');
  for (const [both, first, second, n] of [
    [0.7, 0.1, 0.15, 40],
    [0.9, 0.02, 0.06, 100],
    [0.4, 0.2, 0.2, 200],
  ] as const) {
    let held = 0;
    const samples = 600;
    for (let s = 0; s < samples; s++) {
      const counts = [0, 0, 0, 0];
      for (let i = 0; i < n; i++) {
        const u = random.uniform();
        counts[u < both ? 0 : u < both + first ? 1 : u < both + first + second ? 2 : 3]!++;
      }
      const { interval } = comparePaired(...answers(...counts));
      if (interval[0] <= second - first && second - first <= interval[1]) held++;
    }
    assert.ok(held / samples > 0.925 && held / samples <= 1, `${held} of ${samples} at n = ${n}`);
  }
});
