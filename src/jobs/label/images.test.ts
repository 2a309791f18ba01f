import assert from 'node:assert/strict';
import { test } from 'node:test';
import { datasetOf } from '../../data/dataset.js';
import { createPool } from '../../data/pool.js';
import { PupilError } from '../../errors.js';
import { makeClassifier, type Classifier } from '../../evaluate/classifier.js';
import type { Image } from '../../image/image.js';
import { labelImages } from './images.js';

const size = 4;
const grey = (value: number): Image => ({
  width: size,
  height: size,
  data: new Uint8Array(size * size * 3).fill(value),
});

/** A teacher of dark and bright: the probability of `bright` is the brightness. */
const teacher = (answer: (brightness: number) => number[] = (p) => [1 - p, p]): Classifier =>
  makeClassifier<Image>({
    read: (image) => image,
    runner: {
      run: async (pixels, count) => {
        const probabilities = Float32Array.from(
          Array.from({ length: count }, (_, i) => answer(pixels[i * size * size * 3]! / 255)).flat(),
        );
        return { probabilities, logits: probabilities };
      },
      close: async () => undefined,
    },
    labels: ['dark', 'bright'],
    preprocessing: {
      size: [size, size],
      resizeShort: size,
      crop: 'center',
      interpolation: 'bilinear',
      mean: [0, 0, 0],
      std: [1, 1, 1],
    },
  });

test('a teacher labels many images part by part, with a bounded number of them in memory', async () => {
  const pool = createPool({ workers: 0 });
  const count = 1300; // three parts
  const { samples } = datasetOf(
    'memory',
    [],
    Array.from({ length: count }, (_, i) => {
      const image = grey(i % 256);
      image.data[5] = i >> 8; // different contents
      return { image, label: -1, split: 'unlabelled' as const };
    }),
  );
  const progress: number[] = [];
  let most = 0;
  const { labels, unreadable, unlike } = await labelImages({ classifier: teacher() }, samples, {
    pool,
    batchSize: 64,
    onProgress: (done, total) => {
      assert.equal(total, count);
      progress.push(done);
      most = Math.max(most, pool.memory.used);
    },
  });
  assert.deepEqual(
    [labels.classes, labels.rows.length, unreadable, unlike],
    [['dark', 'bright'], count, [], undefined],
  );
  labels.rows.forEach((row, i) => {
    const p = (i % 256) / 255;
    assert.equal(row.path, `memory/${i}`);
    assert.equal(row.hash, samples[i]!.hash);
    assert.equal(row.label, p > 0.5 ? 1 : 0);
    assert.ok(Math.abs(row.confidence - Math.max(p, 1 - p)) < 1e-6);
    assert.equal(row.probabilities[1], Math.fround(p));
    assert.ok(row.accepted && row.copies === 1);
  });
  assert.deepEqual([progress.at(-1), progress.every((done, i) => i === 0 || done > progress[i - 1]!)], [count, true]);
  assert.ok(most <= 2 * 32 * 2 ** 20, `at most two parts: ${most}`);
  assert.equal(pool.memory.used, 0, 'all memory is given back');
  await pool.close();
});

test('it can be stopped, and a model that says nothing is refused', async () => {
  const pool = createPool({ workers: 0 });
  const { samples } = datasetOf(
    'memory',
    [],
    Array.from({ length: 700 }, (_, i) => ({
      image: { ...grey(i % 256), data: grey(i % 256).data.fill(i >> 8, 3, 6) },
      label: -1,
      split: 'unlabelled' as const,
    })),
  );
  const controller = new AbortController();
  await assert.rejects(
    labelImages({ classifier: teacher() }, samples, {
      pool,
      signal: controller.signal,
      onProgress: (done) => {
        if (done > 100) controller.abort();
      },
    }),
    { name: 'AbortError' },
  );
  assert.equal(pool.memory.used, 0);
  await assert.rejects(
    labelImages({ classifier: teacher(() => [NaN, NaN]) }, samples, { pool }),
    (error) =>
      error instanceof PupilError && error.code === 'bad-model' && /memory\/0: .*not finite/.test(error.message),
  );
  await assert.rejects(labelImages({ classifier: teacher() }, [], { pool }), /no images to label/);
  assert.equal(pool.memory.used, 0);
  await pool.close();
});
