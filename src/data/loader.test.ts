import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { mixPixels, mixTargets } from '../augment/mixing.js';
import { trainPipeline } from '../augment/presets.js';
import { decode } from '../image/decode.js';
import { centreCrop } from '../image/crop.js';
import { resizeShort } from '../image/resize.js';
import { noise } from '../testing/image-files.js';
import { size, input, batchesOf, digest, photos, withPool, trainingLoader } from '../testing/loading.js';
import { datasetOf, openDataset } from './dataset.js';
import { createEvaluationLoader, createLoader } from './loader.js';
import { prepareImages } from './prepare.js';
import { makePreprocessing } from './preprocessing.js';
import { evaluationTarget, workingTarget } from './target.js';

test('the same seed gives the same batches whatever the number of workers', async (t) => {
  const dataset = await photos(t);
  const all: string[][] = [];
  for (const workers of [0, 1, 3]) {
    const loader = await trainingLoader(dataset, await withPool(t, { workers }), { epochs: 2 });
    all.push([...(await batchesOf(loader, 0)), ...(await batchesOf(loader, 1))].map(digest));
  }
  assert.equal(all[0]!.length, 10);
  assert.equal(new Set(all[0]).size, 10);
  assert.deepEqual(all[1], all[0]);
  assert.deepEqual(all[2], all[0]);
  const other = await trainingLoader(dataset, await withPool(t, { workers: 0 }), { seed: 5 });
  assert.notDeepEqual((await batchesOf(other, 0)).map(digest), all[0]!.slice(0, 5));
});

test('ranks make the rows of the whole batches, with the partners that they are mixed with', async (t) => {
  const dataset = await photos(t);
  const pool = await withPool(t, { workers: 1 });
  const options = { batchSize: 8, dropLast: true, mixing: { cutmix: 1, mixup: 0.4, probability: 0.8 } };
  const whole = await trainingLoader(dataset, pool, options);
  const expected = [...(await batchesOf(whole, 0)), ...(await batchesOf(whole, 1)), ...(await batchesOf(whole, 2))];
  assert.ok(expected.some(({ mix }) => mix) && expected.some(({ mix }) => !mix));
  for (const size of [2, 4]) {
    const parts = await Promise.all(
      Array.from({ length: size }, async (_, rank) => {
        const loader = await trainingLoader(dataset, pool, { ...options, slice: { rank, size } });
        return [...(await batchesOf(loader, 0)), ...(await batchesOf(loader, 1)), ...(await batchesOf(loader, 2))];
      }),
    );
    expected.forEach((batch, i) => {
      const rows = parts.map((batches) => batches[i]!);
      assert.ok(rows.every(({ count }) => count === 8 / size));
      assert.deepEqual(Buffer.concat(rows.map(({ pixels }) => pixels)), Buffer.from(batch.pixels));
      for (const what of ['targets', 'labels', 'indexes', 'paths'] as const)
        assert.deepEqual(
          rows.flatMap((part) => [...part[what]]),
          [...batch[what]],
        );
    });
  }
});

test('starting anywhere gives the batches of an uninterrupted run', async (t) => {
  const dataset = await photos(t);
  const pool = await withPool(t, { workers: 2 });
  const whole = await trainingLoader(dataset, pool);
  const expected = [await batchesOf(whole, 0), await batchesOf(whole, 1)].map((batches) => batches.map(digest));
  const resumed = await trainingLoader(dataset, pool);
  assert.deepEqual((await batchesOf(resumed, 1, 2)).map(digest), expected[1]!.slice(2));
  for await (const batch of resumed.batches(0)) if (batch.step === 1) break; // left half-way
  assert.deepEqual((await batchesOf(resumed, 0, 1)).map(digest), expected[0]!.slice(1));
});

test('pixels and targets mix alike, whatever the number of workers and wherever an epoch starts', async (t) => {
  const dataset = await photos(t);
  const all: string[][] = [];
  const mixing = { cutmix: 1, mixup: 0.4, probability: 0.8 };
  for (const workers of [0, 1, 3]) {
    const loader = await trainingLoader(dataset, await withPool(t, { workers }), { mixing });
    all.push([...(await batchesOf(loader, 0)), ...(await batchesOf(loader, 1))].map(digest));
    assert.deepEqual((await batchesOf(loader, 1, 3)).map(digest), all.at(-1)!.slice(8));
  }
  assert.deepEqual(all[1], all[0]);
  assert.deepEqual(all[2], all[0]);

  const pool = await withPool(t, { workers: 1 });
  const [mixed, plain] = [await trainingLoader(dataset, pool, { mixing }), await trainingLoader(dataset, pool)];
  const kinds = new Set<string>();
  for (let epoch = 0; epoch < 4; epoch++) {
    const batches = await batchesOf(mixed, epoch),
      originals = await batchesOf(plain, epoch);
    assert.deepEqual(
      batches.map(({ count }) => count),
      [5, 5, 5, 5, 3],
    );
    for (const [i, batch] of batches.entries()) {
      const { mix, count, pixels, targets } = batch,
        original = originals[i]!;
      kinds.add(mix?.kind ?? 'none');
      assert.equal(original.mix, null);
      assert.deepEqual([batch.labels, batch.paths], [original.labels, original.paths]);
      for (let n = 0; n < count; n++) assert.ok(Math.abs(targets[2 * n]! + targets[2 * n + 1]! - 1) < 1e-6);
      if (mix) {
        mixPixels(original.pixels, { width: size, height: size }, mix);
        mixTargets(original.targets, mix);
      }
      assert.deepEqual(Buffer.from(pixels), Buffer.from(original.pixels));
      assert.deepEqual(targets, original.targets);
    }
  }
  assert.deepEqual([...kinds].sort(), ['cutmix', 'mixup', 'none']);
  await assert.rejects(trainingLoader(dataset, pool, { mixing: { cutmix: -1 } }), /cutmix -1/);
});

test('an epoch holds every image once; batches carry labels, targets and paths', async (t) => {
  const dataset = await photos(t);
  const loader = await trainingLoader(dataset, await withPool(t, { workers: 0 }));
  assert.deepEqual([loader.stepsPerEpoch, loader.count], [5, 23]);
  const batches = await batchesOf(loader, 3);
  assert.deepEqual(
    batches.flatMap(({ indexes }) => [...indexes]).sort((a, b) => a - b),
    dataset.samples.map((_, i) => i),
  );
  for (const batch of batches) {
    assert.equal(batch.pixels.length, batch.count * size * size * 3);
    for (let i = 0; i < batch.count; i++) {
      const sample = dataset.samples[batch.indexes[i]!]!;
      assert.deepEqual([batch.labels[i], batch.paths[i]], [sample.label, sample.path]);
      assert.deepEqual(
        [...batch.targets.subarray(i * 2, i * 2 + 2)],
        [0, 1].map((label) => (label === sample.label ? 1 : 0)),
      );
    }
  }
  assert.deepEqual(
    batches.map(({ count }) => count),
    [5, 5, 5, 5, 3],
  );
  const even = await trainingLoader(dataset, await withPool(t, { workers: 0 }), { dropLast: true });
  assert.deepEqual(
    (await batchesOf(even, 0)).map(({ count }) => count),
    [5, 5, 5, 5],
  );
  const small = await trainingLoader(dataset, await withPool(t, { workers: 0 }), { dropLast: true, batchSize: 32 });
  assert.deepEqual(
    (await batchesOf(small, 0)).map(({ count }) => count),
    [32],
  );
  const fold = await trainingLoader(dataset, await withPool(t, { workers: 0 }), { subset: [2, 20, 5] });
  assert.deepEqual(
    (await batchesOf(fold, 0)).flatMap(({ indexes }) => [...indexes]).sort((a, b) => a - b),
    [2, 5, 20],
  );
});

test('soft labels stand in for labels and are mixed as the images are', async (t) => {
  const dataset = await photos(t),
    pool = await withPool(t, { workers: 1 });
  // Soft for every third image; none but zeros where there is neither a soft label nor a label.
  const unlabelled = {
    ...dataset,
    samples: dataset.samples.map((sample, i) => (i % 3 === 1 ? { ...sample, label: -1 } : sample)),
  };
  const softOf = (index: number): Float32Array | undefined =>
    index % 3 === 0 ? Float32Array.of(0.25, 0.75) : undefined;
  const rowOf = (index: number): number[] =>
    index % 3 === 0 ? [0.25, 0.75] : [0, 1].map((label) => Number(label === unlabelled.samples[index]!.label));
  const plain = await batchesOf(await trainingLoader(unlabelled, pool, { targetsOf: softOf }), 0);
  for (const { indexes, targets, labels } of plain) {
    assert.deepEqual([...targets], [...indexes].flatMap(rowOf));
    assert.deepEqual(
      [...labels],
      [...indexes].map((index) => unlabelled.samples[index]!.label),
    );
  }
  const mixed = await batchesOf(
    await trainingLoader(unlabelled, pool, { targetsOf: softOf, mixing: { cutmix: 1 } }),
    0,
  );
  for (const [i, { targets, mix, count, indexes }] of mixed.entries()) {
    assert.ok(mix?.kind === 'cutmix');
    assert.deepEqual(indexes, plain[i]!.indexes);
    const expected = plain[i]!.targets.slice();
    mixTargets(expected, mix);
    assert.deepEqual(targets, expected);
    // What is mixed of images with and without a label has the share of the first.
    for (let n = 0; n < count; n++) assert.ok(targets[2 * n]! + targets[2 * n + 1]! <= 1 + 1e-6);
  }
  assert.ok(
    mixed.some(({ targets, count }) =>
      Array.from({ length: count }, (_, n) => targets[2 * n]! + targets[2 * n + 1]!).some(
        (sum) => sum > 0.01 && sum < 0.99,
      ),
    ),
  );
});

test('loaders that differ in their view alone give the same images in other views', async (t) => {
  const dataset = await photos(t),
    pool = await withPool(t, { workers: 2 });
  const [plain, weak, strong, again] = await Promise.all(
    [{}, { view: 'weak' }, { view: 'strong' }, { view: 'weak' }].map(async (extra) =>
      batchesOf(await trainingLoader(dataset, pool, extra), 2),
    ),
  );
  assert.deepEqual(weak!.map(digest), again!.map(digest));
  for (const [i, batch] of weak!.entries()) {
    for (const other of [plain!, strong!]) {
      assert.deepEqual(
        [batch.indexes, batch.labels, batch.targets],
        [other[i]!.indexes, other[i]!.labels, other[i]!.targets],
      );
      assert.notDeepEqual(Buffer.from(batch.pixels), Buffer.from(other[i]!.pixels));
    }
  }
});

test('an index given twice is seen twice an epoch, in two views', async (t) => {
  const dataset = await photos(t);
  const loader = await trainingLoader(dataset, await withPool(t, { workers: 0 }), {
    subset: [4, 9, 4, 4],
    batchSize: 4,
  });
  assert.equal(loader.count, 4);
  const [batch] = await batchesOf(loader, 0);
  assert.deepEqual(
    [...batch!.indexes].sort((a, b) => a - b),
    [4, 4, 4, 9],
  );
  const views = [...batch!.indexes].map(
    (index, i) =>
      [
        index,
        Buffer.from(batch!.pixels.subarray(i * size * size * 3, (i + 1) * size * size * 3)).toString('hex'),
      ] as const,
  );
  assert.equal(new Set(views.map(([, pixels]) => pixels)).size, 4);
});

test('evaluation sees exactly decode, resize, crop, in order', async (t) => {
  const dataset = await photos(t);
  const preprocessing = { ...makePreprocessing(12), resizeShort: 15, interpolation: 'bicubic' } as const;
  const images = await prepareImages(dataset.samples, {
    pool: await withPool(t, { workers: 2 }),
    target: evaluationTarget(preprocessing),
  });
  const batches = await batchesOf(createEvaluationLoader({ images, classes: 2, batchSize: 10 }), 0);
  assert.deepEqual(
    batches.map(({ count }) => count),
    [10, 10, 3],
  );
  for (const [i, { path }] of dataset.samples.entries()) {
    const photo = await decode(await readFile(path), path);
    const batch = batches[Math.floor(i / 10)]!;
    const pixels = batch.pixels.subarray((i % 10) * 432, ((i % 10) + 1) * 432);
    assert.deepEqual(Buffer.from(pixels), Buffer.from(centreCrop(resizeShort(photo, 15, 'bicubic'), 12, 12).data));
  }
});

test('an augmentation that changes the size is refused', async (t) => {
  const dataset = await photos(t);
  const images = await prepareImages(dataset.samples, {
    pool: await withPool(t, { workers: 1 }),
    target: workingTarget(input),
  });
  const loader = createLoader({
    images,
    classes: 2,
    pipeline: [{ name: 'resize', width: 9, height: 8 }],
    size: [8, 8],
    batchSize: 2,
  });
  await assert.rejects(loader.batches(0).next(), /9x8 pixels where the model takes 8x8/);
});

test('images in memory, photos larger than the working size, and images of one pixel are loaded', async (t) => {
  const pool = await withPool(t, { workers: 1 });
  const sizes = [
    [1, 1],
    [200, 100],
    [3, 90],
    [16, 16],
  ] as const;
  const dataset = datasetOf(
    'memory',
    ['x', 'y'],
    sizes.map(([w, h], i) => ({ image: noise(i, w, h), label: i % 2, split: 'train' })),
  );
  const images = await prepareImages(dataset.samples, { pool, target: workingTarget(input) });
  assert.deepEqual(
    images.locations.map((at) => (at.kind === 'memory' ? [at.width, at.height] : [])),
    [
      [1, 1],
      [36, 18],
      [3, 90],
      [16, 16],
    ],
  );
  for (const kind of ['none', 'light', 'basic'] as const) {
    const [batch] = await batchesOf(
      createLoader({ images, classes: 2, pipeline: trainPipeline(kind, input), size: input.size, batchSize: 4 }),
      0,
    );
    assert.equal(batch!.count, 4);
  }
});

const hymenoptera = new URL('../../../shared/data/hymenoptera/', import.meta.url).pathname;
test('real photos become batches', { skip: existsSync(hymenoptera) ? false : 'needs ../shared/data' }, async (t) => {
  const dataset = await openDataset(hymenoptera);
  const pool = await withPool(t, { workers: 2 });
  const preprocessing = makePreprocessing(224);
  const chosen = dataset.samples.filter(({ split }) => split === 'val').slice(0, 40);
  const images = await prepareImages(chosen, { pool, target: workingTarget(preprocessing) });
  assert.deepEqual([images.unreadable, images.held.memory], [[], 40]);
  const loader = createLoader({
    images,
    classes: 2,
    pipeline: trainPipeline('basic', preprocessing),
    size: preprocessing.size,
    batchSize: 16,
  });
  const batches = await batchesOf(loader, 0);
  const mean =
    batches.reduce((sum, { pixels }) => sum + pixels.reduce((a, b) => a + b, 0) / pixels.length, 0) / batches.length;
  assert.ok(mean > 60 && mean < 190, `mean byte ${mean}`);
});
