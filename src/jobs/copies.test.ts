import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { EvaluationFile, Metrics, SelectionFile } from '../artifact/formats.js';
import { summary } from '../cli/commands/train.js';
import { withSamples } from '../data/dataset.js';
import type { Dataset } from '../data/sample.js';
import { selectionSplit } from '../data/split.js';
import { argmax, fitTemperature, shareInterval, wilson } from '../evaluate/metrics.js';
import { rangeText } from '../report/intervals.js';
import { train } from '../runs/train.js';
import { blobs, blobTraining } from '../testing/blobs.js';
import { temporaryFolder } from '../testing/image-files.js';
import { useOwnCache } from '../testing/kit.js';
import { compare } from './compare.js';
import { learn } from './learn/learn.js';
import { countsOf } from './parts.js';

useOwnCache();

/** Every image four times, under other names. */
const fourTimes = (data: Dataset): Dataset =>
  withSamples(
    data,
    [1, 2, 3, 4].flatMap((copy) => data.samples.map((sample) => ({ ...sample, path: `${sample.path} ${copy}` }))),
  );

const read = async <T>(...path: readonly string[]): Promise<T> =>
  JSON.parse(await readFile(join(...path), 'utf8')) as T;

const short = { ...blobTraining, epochs: 1 } as const;

test('copies are learned from and measured, but make no interval narrower', async (t) => {
  const at = await temporaryFolder(t),
    data = blobs({ train: 6, test: 5 });
  const alone = await train(data, { ...short, out: join(at, 'alone') }),
    copied = await train(fourTimes(data), { ...short, out: join(at, 'copied') });
  const sizes = (metrics: Metrics | undefined): unknown[] => [metrics?.count, metrics?.independent];
  assert.deepEqual([alone.val, alone.test].map(sizes), [
    [12, undefined],
    [10, undefined],
  ]);
  assert.deepEqual([copied.val, copied.test].map(sizes), [
    [48, 12],
    [40, 10],
  ]);
  const counted = /Copies and near copies among them tell nothing new: in the interval these 40 count as 10\./;
  assert.match(summary(copied), counted);
  assert.match(await readFile(join(at, 'copied', 'model-card.md'), 'utf8'), counted);
  const interval = rangeText(wilson(copied.test!.top1, 10));
  const report = await readFile(join(at, 'copied', 'report.html'), 'utf8');
  assert.match(report, counted);
  assert.ok(report.includes(`95% interval ${interval}`), interval);
  const { predictions } = await read<EvaluationFile>(at, 'copied', 'evaluation.json'),
    { images } = await read<SelectionFile>(at, 'copied', 'selection.json');
  assert.equal(new Set(predictions.map(({ group }) => group)).size, 10);
  assert.equal(new Set(images.map(({ group }) => group)).size, 12);
  // The temperature leaves the doubt of twelve images.
  const logits = Float32Array.from(images.flatMap((image) => image.logits)),
    labels = images.map(({ right }, row) => (right ? argmax(logits, 2 * row, 2) : 1 - argmax(logits, 2 * row, 2)));
  const { temperature } = (await read<EvaluationFile>(at, 'copied', 'evaluation.json')).calibration!;
  const [fitted, asMany] = [fitTemperature(logits, labels, 2, 12), fitTemperature(logits, labels, 2)];
  assert.ok(Math.abs(temperature - fitted) < 1e-6 && asMany < fitted, `${temperature}, ${fitted}, ${asMany}`);
  // Without copies nothing is added to any file.
  for (const name of ['evaluation.json', 'selection.json', 'result.json'])
    assert.doesNotMatch(await readFile(join(at, 'alone', name), 'utf8'), /"(independent|group)"/, name);
  const { independent, count, runs } = await compare([join(at, 'copied'), join(at, 'copied')]);
  assert.deepEqual([count, independent], [40, 10]);
  assert.equal(runs[0]!.interval, shareInterval(copied.test!.top1, 10));
});

test('labels are as many as there are different ones, when few or many of them decide', () => {
  const data = blobs({ train: 60 }),
    copied = fourTimes(data);
  assert.deepEqual(countsOf(data), { labelled: 120, unlabelled: 0 });
  assert.deepEqual(countsOf(copied), { labelled: 480, different: 120, unlabelled: 0 });
  assert.equal(selectionSplit(copied, { seed: 0 }).selection.kind, 'folds');
  assert.equal(selectionSplit(blobs({ train: 100 }), { seed: 0 }).selection.kind, 'holdout');
});

test('learn holds out copies together and gives the interval of different images', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const { threads, workers, size, batchSize, seed } = blobTraining;
  const asked = { model: 'convnet-small', epochs: 1, rungs: ['supervised'] } as const;
  const { rungs } = await learn(fourTimes(blobs({ train: 5 })), {
    ...{ threads, workers, size, batchSize, seed, out },
    ...asked,
  });
  const [first] = rungs;
  const { top1, interval, count, independent, low, high } = first!.selection!;
  assert.deepEqual([count, independent], [40, 10]);
  assert.equal(interval, shareInterval(top1, 10));
  assert.deepEqual([low, high], wilson(top1, 10), 'both ends, which differ in how far they are');
});
