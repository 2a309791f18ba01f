import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { noiseContext } from '../testing/noise-context.js';
import type { BatchSource, TrainBatch } from '../train/runner.js';
import { batchesOf } from './batches.js';

async function take(source: BatchSource, epoch: number, start = 0): Promise<TrainBatch[]> {
  const batches: TrainBatch[] = [];
  for await (const batch of source.batches(epoch, start)) batches.push(batch);
  return batches;
}
const digest = ({ feeds, files }: TrainBatch): string => {
  const hash = createHash('sha256').update(files.join());
  for (const [name, { dims, data }] of Object.entries(feeds))
    hash.update(`${name} ${dims.join()}`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest('hex');
};

test('FixMatch: labelled, weak and strong images side by side, the last two in the same order', async (t) => {
  const context = await noiseContext(t, { technique: 'fixmatch', unlabelledRatio: 3 });
  const source = batchesOf(context);
  assert.equal(source.stepsPerEpoch, 3, 'all 21 images, 6 at a time');
  const seen = new Set<number>();
  for (const { feeds, views, files } of await take(source, 0)) {
    const { labelled, weak, strong } = views!;
    assert.deepEqual(feeds['pixels']!.dims, [2 + 6 + 6, 8, 8, 3]);
    assert.deepEqual(
      Buffer.from(feeds['pixels']!.data as Uint8Array),
      Buffer.concat([labelled!, weak!, strong!].map(({ pixels }) => pixels)),
    );
    assert.deepEqual(
      [feeds['targets']!.dims, [...(feeds['targets']!.data as Float32Array)]],
      [[2, 3], [...labelled!.targets]],
    );
    assert.ok(labelled!.indexes.every((index) => index < 5));
    assert.deepEqual(weak!.indexes, strong!.indexes);
    assert.notDeepEqual(Buffer.from(weak!.pixels), Buffer.from(strong!.pixels));
    assert.equal(files.length, 14);
    weak!.indexes.forEach((index) => seen.add(index));
  }
  assert.equal(seen.size, 18, 'an epoch shows an image once');
  for (let epoch = 1; epoch < 3; epoch++)
    for (const { views } of await take(source, epoch)) views!['weak']!.indexes.forEach((index) => seen.add(index));
  assert.ok(
    [0, 1, 2, 3, 4].some((index) => seen.has(index)),
    'labelled images are among those without labels',
  );
});

test('views of the same images show the same ones, balanced too, each varied in its own way', async (t) => {
  for (const [technique, pairs] of [
    [
      'adamatch',
      [
        ['labelled', 'labelled strong'],
        ['weak', 'strong'],
      ],
    ],
    [
      'mean-teacher',
      [
        ['labelled', 'labelled again'],
        ['unlabelled', 'unlabelled again'],
      ],
    ],
  ] as const)
    for (const { views } of await take(
      batchesOf(await noiseContext(t, { technique, unlabelledRatio: 3, augment: 'light', balance: true })),
      1,
    ))
      for (const [one, other] of pairs) {
        assert.deepEqual(views![one]!.indexes, views![other]!.indexes);
        assert.notDeepEqual(Buffer.from(views![one]!.pixels), Buffer.from(views![other]!.pixels), `${one}, ${other}`);
      }
});

test('joined batches begin anywhere as they would have gone on; what has fewer images begins again', async (t) => {
  const make = async (firstEpoch: number): Promise<BatchSource> =>
    batchesOf({
      ...(await noiseContext(t, { technique: 'softmatch', unlabelledRatio: 2 })),
      firstEpoch,
    });
  const whole = await make(0),
    steps = whole.stepsPerEpoch;
  assert.equal(steps, 5, 'twice through two batches of labelled images, and a half');
  const epochs = [await take(whole, 0), await take(whole, 1), await take(whole, 2)];
  const expected = epochs.map((batches) => batches.map(digest));
  assert.equal(new Set(expected.flat()).size, 15);
  for (const [epoch, start] of [
    [0, 2],
    [1, 0],
    [1, 4],
    [2, 3],
  ] as const)
    assert.deepEqual((await take(await make(0), epoch, start)).map(digest), expected[epoch]!.slice(start));
  // A later phase goes on where the one before has ended.
  assert.deepEqual((await take(await make(2), 0)).map(digest), expected[2]);
  // Left half-way, as at an interruption.
  for await (const batch of whole.batches(1, 0)) if (digest(batch) === expected[1]![2]) break;
  assert.deepEqual((await take(whole, 1, 1)).map(digest), expected[1]!.slice(1));
});

test('pseudo-labels: labels first, then pseudo-labels as often as they have copies', async (t) => {
  const soft = Float32Array.of(0.25, 0.5, 0.25),
    hard = Float32Array.of(0, 0, 1);
  const context = await noiseContext(
    t,
    { technique: 'pseudo-labels', pseudoLabels: 'labels.csv', unlabelledRatio: 2 },
    {
      pseudo: {
        indexes: [6, 9, 9, 9],
        targets: new Map([
          [6, soft],
          [9, hard],
        ]),
      },
    },
  );
  const batches = await take(batchesOf(context), 0);
  assert.equal(batches.length, 2, 'once through the labels');
  for (const { feeds, views } of batches) {
    const { labelled, 'pseudo-labelled': others } = views!;
    assert.deepEqual(
      [...others!.indexes].sort((a, b) => a - b),
      [6, 9, 9, 9],
    );
    assert.deepEqual(
      [...(feeds['targets']!.data as Float32Array)],
      [
        ...[...labelled!.indexes].flatMap((index) => [0, 1, 2].map((c) => Number(c === index % 3))),
        ...[...others!.indexes].flatMap((index) => [...(index === 6 ? soft : hard)]),
      ],
    );
  }
});
