import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Random } from '../random.js';
import { compareWith, expectedCoverage, jackknifeInterval, referenceOf } from './distribution.js';

interface Case {
  name: string;
  size: number;
  neighbours: number;
  real: number[];
  train: number[];
  coverage: number;
  density: number;
  radii: number[];
  nearest: number[];
  mmd: number;
  interval: number;
}
const cases = JSON.parse(
  gunzipSync(readFileSync(new URL('../../fixtures/gap/gap.json.gz', import.meta.url))).toString(),
) as Case[];
const near = (actual: number, expected: number, what: string, tolerance = 1e-9): void =>
  assert.ok(
    Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${what}: ${actual}, not ${expected}`,
  );

for (const { name, size, neighbours, real, train, ...expected } of cases) {
  test(`coverage, density and kernel distance as numpy has them: ${name}`, async () => {
    const reference = await referenceOf(Float32Array.from(real), size, neighbours);
    const actual = await compareWith(reference, Float32Array.from(train));
    near(actual.coverage, expected.coverage, 'coverage');
    near(actual.density, expected.density, 'density');
    near(actual.mmd, expected.mmd, 'kernel distance');
    near(jackknifeInterval(actual.withoutEach, actual.withoutReference), expected.interval, 'interval');
    expected.radii.forEach((radius, i) => near(Math.sqrt(reference.squaredRadii[i]!), radius, `radius ${i}`));
    expected.nearest.forEach((distance, i) => near(actual.nearest[i]!, distance, `nearest ${i}`));
  });
}

test('points on a line, by hand', async () => {
  // Second neighbours: of 0 it is 2 away, of 1 it is 1, of 2 it is 2, of 10 it is 9.
  const reference = await referenceOf(Float32Array.of(0, 1, 2, 10), 1, 2);
  assert.deepEqual([...reference.squaredRadii], [4, 1, 4, 81]);
  // -2 lies in the sphere of 0 (at its edge); 3 in those of 2 and 10; 30 in none. 1 is covered by
  // nothing.
  const { coverage, density, nearest } = await compareWith(reference, Float32Array.of(-2, 3, 30));
  assert.equal(coverage, 3 / 4);
  assert.equal(density, 3 / (2 * 3));
  assert.deepEqual([...nearest], [2, 2, 1, 7]);
});

test('the kernel distance of three points and three, by hand', async () => {
  // k(x, y) = (xy + 1)^3: train 0 0 1 has pairs 1 1 1, real 1 1 1 has 8 8 8, across 1 1 8 for each.
  const { mmd, withoutEach, withoutReference } = await compareWith(
    await referenceOf(Float32Array.of(1, 1, 1), 1, 1),
    Float32Array.of(0, 0, 1),
  );
  near(mmd, 1 + 8 - (2 * 10) / 3, 'all');
  near(withoutEach[0]!, 1 + 8 - (2 * 9) / 2, 'without a 0');
  near(withoutEach[2]!, 1 + 8 - 2 * 1, 'without the 1');
  near(withoutReference[0]!, 1 + 8 - (2 * 10) / 3, 'without a real 1');
});

test('images that are there several times are like their copies', async () => {
  const row = [0.1, 0.7, 0.3];
  const reference = await referenceOf(Float32Array.from([...row, ...row, ...row, 0.2, 0.2, 0.2, 3, 3, 3]), 3, 2);
  assert.equal(reference.squaredRadii[0], 0);
  const same = await compareWith(reference, Float32Array.from([...row, ...row, 9, 9, 9]));
  assert.equal(same.nearest[0], 0);
  assert.equal(same.coverage, 1);
});

test('samples of one distribution are at distance 0 within the interval, cover as expected, density 1', async () => {
  const size = 8,
    draw = (name: string, count: number): Float32Array => {
      const random = new Random(3, name);
      return Float32Array.from({ length: count * size }, () => random.normal());
    };
  const reference = await referenceOf(draw('real', 400), size, 5);
  const { coverage, density, mmd, withoutEach, withoutReference } = await compareWith(reference, draw('train', 600));
  assert.ok(Math.abs(mmd) < jackknifeInterval(withoutEach, withoutReference), `${mmd}`);
  assert.ok(Math.abs(coverage - expectedCoverage(400, 600, 5)) < 0.02, `${coverage} ${expectedCoverage(400, 600, 5)}`);
  assert.ok(Math.abs(density - 1) < 0.1, `${density}`);
});

test('the expected coverage of as many images is 1 - 2^-k, and the jackknife of a mean is its standard error', () => {
  near(expectedCoverage(1e7, 1e7, 5), 1 - 2 ** -5, 'coverage', 1e-5);
  near(expectedCoverage(2, 1, 1), 0.5, 'one of two is nearest');
  const values = [1, 2, 4, 9],
    mean = 4;
  const without = values.map((value) => (16 - value) / 3);
  near(
    jackknifeInterval(without),
    1.96 * Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 3 / 4),
    'interval',
  );
});
