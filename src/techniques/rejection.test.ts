import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../random.js';
import { fitRejection, type RejectionSet } from './rejection.js';

const size = 16;

/** Images around a direction of each class; `class 2` is of none of two. */
function drawn(counts: readonly number[], seed: number): { features: Float32Array; labels: number[] } {
  const random = new Random(seed, 'rejection');
  const labels = counts.flatMap((count, c) => Array.from({ length: count }, () => c));
  const features = Float32Array.from(
    labels.flatMap((label) => {
      const length = 1 + random.uniform();
      return Array.from({ length: size }, (_, k) => length * (Number(k % 3 === label) + 0.3 * random.normal()));
    }),
  );
  return { features, labels };
}

/** The share of rows whose largest cosine with a mean is below the limit, in float64. */
function refused(set: RejectionSet, features: Float32Array): number {
  const { means, threshold } = fitRejection(set)!;
  const outliers = Array.from({ length: features.length / size }, (_, i) => {
    const row = features.subarray(i * size, (i + 1) * size);
    const cosines = Array.from(
      { length: set.classes },
      (__, c) => row.reduce((sum, x, k) => sum + x * Number(means.data[k * set.classes + c]), 0) / Math.hypot(...row),
    );
    return 1 - Math.max(...cosines);
  });
  return outliers.filter((outlier) => outlier > threshold).length / outliers.length;
}

test('of images like those that set the limit one in fifty is refused, of others nearly all', () => {
  const fresh = drawn([1000, 1000], 100);
  const strangers = drawn([0, 0, 1000], 101);
  for (const heldOut of [undefined, drawn([200, 200], 200).features]) {
    let own = 0,
      others = 0;
    for (let seed = 0; seed < 10; seed++) {
      const set = { ...drawn([100, 100], seed), size, classes: 2, heldOut };
      own += refused(set, fresh.features) / 10;
      others += refused(set, strangers.features) / 10;
    }
    assert.ok(own > 0.005 && own < 0.035, `${own}`);
    assert.ok(others > 0.9, `${others}`);
  }
});

test('the direction of features counts, not their length', () => {
  const { features, labels } = drawn([30, 30], 3);
  const one = fitRejection({ features, labels, size, classes: 2 })!;
  const longer = fitRejection({ features: features.map((x) => 8 * x), labels, size, classes: 2 })!;
  assert.deepEqual(longer, one);
});

test('few images, a class without any, or nothing but zeros set no limit that refuses', () => {
  const { features, labels } = drawn([24, 24], 4);
  assert.equal(fitRejection({ features, labels, size, classes: 2 }), undefined, 'fewer than 49');
  const more = drawn([60, 0], 4);
  assert.equal(fitRejection({ ...more, size, classes: 2 }), undefined, 'a class has none');
  const alone = drawn([59, 1], 4);
  assert.ok(fitRejection({ ...alone, size, classes: 2 }), 'the only image of a class counts for its mean alone');
  const zeros = { features: new Float32Array(60 * size), labels: drawn([30, 30], 5).labels };
  assert.equal(
    refused(
      { ...zeros, size, classes: 2 },
      zeros.features.map((_, i) => Number(i === -1)),
    ),
    0,
  );
});
