import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch } from '../data/loader.js';
import type { Sample } from '../data/sample.js';
import { float32 } from '../tensor.js';
import type { Observer, TrainBatch } from '../train/runner.js';
import { flexibleThresholds, flexmatch } from './flexmatch.js';
import { maskObserver, type MaskStatistics } from './mask-observer.js';
import type { TechniqueOptions } from './technique.js';

const classes = ['cat', 'dog', 'owl'];
/**
 * Labelled dog; then images without labels: a known cat, a known owl, one of which nothing is
 * known. Index 0 is none of ours.
 */
const samples = [
  { label: 2 },
  { label: 1 },
  { label: -1, truth: 0 },
  { label: -1, truth: 2 },
  { label: -1 },
] as Sample[];
const unlabelled = [2, 3, 4, 1];
const context = { classes, samples, unlabelled };
const curriculum = (): Observer => flexmatch.observer!(context, { threshold: 0.9 } as TechniqueOptions);

/** Predictions on images: [index, class, confidence, weight]. */
type Prediction = readonly [index: number, label: number, confidence: number, weight: number];
function see(observer: Observer, ...predictions: Prediction[]): void {
  const column = (k: 1 | 2 | 3): ReturnType<typeof float32> =>
    float32(
      [predictions.length],
      predictions.map((prediction) => prediction[k]),
    );
  const weak = { allIndexes: Int32Array.from(predictions, ([index]) => index) } as Batch;
  observer.observe({ predicted: column(1), confidence: column(2), weight: column(3) }, {
    feeds: {},
    files: [],
    views: { weak },
  } satisfies TrainBatch);
}
const summaryOf = (observer: Observer): MaskStatistics => observer.summary()['unlabelled'] as MaskStatistics;

test('shares of what counted, and how much of it is right, where truth is known', () => {
  const observer = maskObserver(context);
  assert.equal(observer.feeds, undefined);
  see(observer, [2, 0, 0.99, 1], [3, 0, 0.96, 1], [4, 1, 0.97, 1]);
  see(observer, [1, 1, 0.98, 0.5], [2, 2, 0.4, 0.25], [3, 2, 0.5, 0]);
  const expected: MaskStatistics = {
    // The labelled dog does not count.
    kept: 3 / 5,
    weight: 3.25 / 5,
    known: 2,
    right: 1 / 2, // of the cat and the owl taken for a cat
    perClass: {
      cat: { predicted: 2 / 5, kept: 1 },
      dog: { predicted: 1 / 5, kept: 1 },
      owl: { predicted: 2 / 5, kept: 0 },
    },
  };
  assert.deepEqual(summaryOf(observer), expected);
  // Counting begins anew; where nothing is known there is no share of it.
  see(observer, [4, 1, 0.97, 1]);
  const next = summaryOf(observer);
  assert.deepEqual([next.kept, next.known, next.right, next.perClass['cat']], [1, 0, null, { predicted: 0, kept: 0 }]);
  assert.deepEqual([summaryOf(observer).kept, summaryOf(observer).weight], [0, 0], 'nothing was seen');
});

test('FlexMatch counts the last confident prediction on each image', () => {
  const observer = curriculum();
  const thresholds = (): number[] => [...(observer.feeds!()['thresholds']!.data as Float32Array)];
  assert.deepEqual(thresholds(), [0, 0, 0]);
  see(observer, [2, 0, 0.95, 1], [3, 0, 0.8, 1]); // the second is not sure enough, though it counted
  const third = Math.fround((0.9 * (1 / 3)) / (2 - 1 / 3));
  assert.deepEqual(thresholds(), [third, 0, 0], 'one learned, three not yet');
  see(observer, [3, 2, 0.9, 1], [1, 0, 0.99, 1], [4, 0, 0.1, 0]); // exactly the threshold is confident
  const half = Math.fround((0.9 * 0.5) / 1.5);
  assert.deepEqual(thresholds(), [Math.fround(0.9), 0, half]);
  see(observer, [2, 2, 0.99, 1], [4, 1, 0.2, 0]); // the last one counts; an unsure one changes nothing
  assert.deepEqual(thresholds(), [half, 0, Math.fround(0.9)]);
  assert.deepEqual(Object.values(summaryOf(observer).thresholds!), thresholds());
  assert.deepEqual(
    thresholds(),
    [half, 0, Math.fround(0.9)],
    'a summary forgets the counts of the epoch, not what was learned',
  );
});

test('saved in the middle of an epoch and restored, it goes on as if nothing had been', () => {
  for (const make of [() => maskObserver(context), curriculum]) {
    const [whole, before, after] = [make(), make(), make()];
    for (const observer of [whole, before]) see(observer, [2, 0, 0.95, 1], [3, 2, 0.91, 0.7]);
    const saved = before.save();
    see(before, [1, 1, 1, 1]); // what was saved is a copy
    after.restore(saved);
    for (const observer of [whole, after]) see(observer, [4, 1, 0.99, 0.9]);
    assert.deepEqual(after.feeds?.(), whole.feeds?.());
    assert.deepEqual(after.save(), whole.save());
    assert.deepEqual(after.summary(), whole.summary());
  }
});

test('thresholds rise to the whole with what is learned, and stay finite where nothing is', () => {
  assert.deepEqual([...flexibleThresholds([], 2, 0.95)], [0, 0]);
  assert.deepEqual([...flexibleThresholds([1, 1, 0, 1], 2, 0.5)], [Math.fround((0.5 * (1 / 3)) / (2 - 1 / 3)), 0.5]);
});
