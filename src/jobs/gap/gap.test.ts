import type { PolicyGap } from '../../artifact/gap-formats.js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareWith, referenceOf } from '../../evaluate/distribution.js';
import { gapDrawing, bestPolicy, verdict } from '../../report/gap.js';
import { svgOf } from '../../report/render.js';
import { Random } from '../../random.js';
import { createReferenceEngine } from '../../engine/reference/index.js';
import { mapTogether } from './map.js';
import { compareHalves, coverScores, meanOf, policyGap, type MeanComparison } from './measure.js';
import { resolveGap } from './settings.js';

const size = 6;
const engine = createReferenceEngine();
function draw(name: string, count: number, shift = 0): Float32Array {
  const random = new Random(1, name);
  return Float32Array.from({ length: count * size }, () => random.normal() + shift);
}

test('half of the way closes part of the gap, away widens it, the real images themselves close it', async () => {
  const reference = await referenceOf(draw('real', 150, 0.8), size);
  const compared = async (shift: number, draws = 2): Promise<MeanComparison> =>
    meanOf(
      await Promise.all(
        Array.from({ length: draws }, (_, i) => compareWith(reference, draw(`train ${i}`, 200, shift))),
      ),
    );
  const none = await compared(0, 1);
  const half = policyGap('half', await compared(0.4), none),
    away = policyGap('away', await compared(-0.4), none),
    all = policyGap('all', await compared(0.8), none);
  assert.ok(half.closes! > 0.3 && half.closes! < 0.95, `${half.closes}`);
  assert.ok(half.closesInterval! > 0 && half.closesInterval! < 0.3, `${half.closesInterval}`);
  assert.ok(away.closes! < -away.closesInterval!, `${away.closes}`);
  assert.ok(all.closes! > 0.9 && all.closes! <= 1, `${all.closes}`);
  assert.ok(all.coverage > half.coverage && half.coverage > policyGap('none', none, none).coverage);
  assert.deepEqual([policyGap('none', none, none).closes, policyGap('none', none, none).closesInterval], [0, 0]);
  assert.equal(bestPolicy([half, away, all])?.augment, 'all');
  assert.match(verdict(half), /^closes \d+% ± /);
  assert.match(verdict(away), /^widens it by \d+% ± /);
});

test('where there is no gap, none is closed', async () => {
  const reference = await referenceOf(draw('real', 150), size);
  const none = meanOf([await compareWith(reference, draw('train', 150))]);
  const far = policyGap('far', meanOf([await compareWith(reference, draw('other', 150, 1))]), none);
  assert.deepEqual([far.closes, far.closesInterval], [null, null]);
  assert.equal(verdict(far), 'moves away');
  assert.equal(verdict(policyGap('same', none, none)), 'already similar');
  assert.equal(bestPolicy([far]), undefined);
});

test('numbers of several draws are their means, item by item', () => {
  const row = (value: number) => ({
    coverage: value,
    density: 2 * value,
    mmd: 3 * value,
    nearest: Float64Array.of(1),
    withoutEach: Float64Array.of(value, 1),
    withoutReference: Float64Array.of(0, value),
  });
  assert.deepEqual(meanOf([row(1), row(2)]), {
    coverage: 1.5,
    density: 3,
    mmd: 4.5,
    withoutEach: Float64Array.of(1.5, 1),
    withoutReference: Float64Array.of(0, 1.5),
  });
});

test('a change within its interval is no clear one', () => {
  const row = { mmd: 1, interval: 0.1, closes: -0.02, closesInterval: 0.05 };
  assert.equal(verdict(row), 'no clear change (\u22122.0% ± 5.0)');
});

test('halves of the same images show no gap; too few images have none', async () => {
  const halves = await compareHalves(draw('train', 200), size, 5, 0);
  assert.ok(halves && Math.abs(halves.mmd) < 1.5 * halves.interval && halves.coverage > 0.9);
  assert.equal(await compareHalves(draw('train', 11), size, 5, 0), undefined);
  assert.deepEqual(
    await compareHalves(draw('train', 40), size, 5, 3),
    await compareHalves(draw('train', 40), size, 5, 3),
  );
});

test("cover scores are relative to the image's own neighbours, or to the usual ones where it has copies", () => {
  const scores = coverScores({ squaredRadii: Float64Array.of(4, 1, 0, 9) }, { nearest: Float64Array.of(1, 3, 4, 0) });
  assert.deepEqual([...scores], [0.5, 3, 2, 0]);
});

test('the map is the same for a seed, keeps groups apart, and lies along x', async () => {
  const groups = [draw('a', 30), draw('b', 25, 9), draw('c', 20, 9)];
  const [a, b, c] = await mapTogether(engine, groups, size, { seed: 4 });
  assert.deepEqual([a!.length, b!.length, c!.length], [30, 25, 20]);
  assert.deepEqual(await mapTogether(engine, groups, size, { seed: 4 }), [a, b, c]);
  assert.notDeepEqual((await mapTogether(engine, groups, size, { seed: 5 }))[0], a);
  const middle = (points: typeof a): number => points!.reduce((sum, [x]) => sum + x, 0) / points!.length;
  const width = Math.max(...a!.map(([x]) => x)) - Math.min(...a!.map(([x]) => x));
  assert.ok(Math.abs(middle(a) - middle(b)) > width, 'far groups are apart');
  assert.ok(Math.abs(middle(b) - middle(c)) < width, 'like groups are together');
});

test('maps of few and of equal images', async () => {
  assert.equal((await mapTogether(engine, [draw('a', 3)], size, { seed: 0 }))[0]!.length, 3);
  const same = (await mapTogether(engine, [new Float32Array(8 * size).fill(0.5)], size, { seed: 0 }))[0]!;
  assert.ok(same.every(([x, y]) => Number.isFinite(x) && Number.isFinite(y)));
});

test('policies: none is always first, each is there once; mistakes are one line', async () => {
  const names = async (augment?: string[]): Promise<string[]> =>
    (await resolveGap('data', { real: ['real'], augment })).policies.map(({ name }) => name);
  assert.deepEqual(await names(), ['none', 'light', 'basic', 'randaugment:n=2,m=9', 'trivial']);
  assert.deepEqual(await names(['basic', 'none', 'TrivialAugment', 'trivial']), ['none', 'basic', 'trivial']);
  await assert.rejects(resolveGap('data', {}), { code: 'usage', message: /`real`/ });
  await assert.rejects(resolveGap('data', { real: ['r'], augment: ['basc'] }), {
    code: 'usage',
    message: /did you mean "basic"/,
  });
  await assert.rejects(resolveGap('data', { real: ['r'], model: 'resnet18' }), {
    code: 'usage',
    message: /no trained weights/,
  });
  await assert.rejects(resolveGap('data', { real: ['r'], limit: 5, neighbours: 5 }), {
    code: 'usage',
    message: /`limit: 5`: too few/,
  });
});

test('the picture has a panel for each policy, a dot for each image, and escapes names', () => {
  const row = (augment: string, closes: number | null): PolicyGap => ({
    augment,
    coverage: 0.5,
    density: 1,
    mmd: 0.1,
    interval: 0.01,
    closes,
    closesInterval: closes === null ? null : 0.05,
  });
  const svg = svgOf(
    gapDrawing({
      title: 'x',
      model: 'm',
      neighbours: 5,
      draws: 1,
      expectedCoverage: 1,
      halves: undefined,
      least: [],
      seconds: 1,
      config: {},
      train: { path: 't', count: 3, found: 3 },
      real: { path: 'r', count: 2, found: 2 },
      policies: [row('none', 0), row('<a> & b.json', 0.3)],
      map: {
        train: [
          [0, 0],
          [1, 1],
          [2, 0],
        ],
        real: [
          [5, 2],
          [6, 1],
        ],
        augmented: {
          '<a> & b.json': [
            [0, 1],
            [3, 2],
            [4, 4],
          ],
        },
        marked: [1],
      },
    }),
  );
  assert.equal(svg.match(/<circle/g)!.length, 4 + (3 + 2 + 1) + (3 + 3 + 2 + 1));
  assert.match(svg, /&lt;a&gt; &amp; b\.json/);
  assert.match(svg, /closes 30% ± 5/);
  assert.doesNotMatch(svg, /NaN|undefined/);
});
