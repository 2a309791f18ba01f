import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch } from '../data/loader.js';
import { tensor } from '../tensor.js';
import type { BatchSource } from '../train/runner.js';
import { nextBatch, watched } from './glimpse.js';

const batchOf = (value: number): Batch => ({
  pixels: new Uint8Array(3).fill(value),
  targets: Float32Array.of(1, 0),
  ...{ count: 1, width: 1, height: 1, epoch: 0, step: value, mix: null },
  ...{ labels: Int32Array.of(0), paths: [`${value}.png`] },
  ...{ indexes: Int32Array.of(value), allIndexes: Int32Array.of(value) },
});

test('somebody who waits sees the next batch as it was; batches pass on as they are', async () => {
  const made = [1, 2, 3].map(batchOf);
  const source: BatchSource = {
    stepsPerEpoch: made.length,
    async *batches() {
      for (const batch of made) {
        const feeds = { pixels: tensor('uint8', [1, 1, 1, 3], batch.pixels) };
        yield { feeds, files: batch.paths, views: { labelled: batch } };
      }
    },
  };
  const batches = watched(source, { classes: ['a', 'b'], augmentation: 'none' })
    .batches(0, 0)
    [Symbol.asyncIterator]();
  const first = await batches.next();
  assert.equal((first.value as { views: { labelled: Batch } }).views.labelled, made[0]);
  const [one, other] = [nextBatch(), nextBatch()];
  await batches.next();
  // Its memory is given away after the step.
  made[1]!.pixels.fill(99);
  for (const { parts, classes } of [await one, await other]) {
    assert.deepEqual([...parts[0]!.pixels], [2, 2, 2]);
    assert.deepEqual(classes, ['a', 'b']);
  }
  assert.equal((await batches.next()).done, false);
  assert.equal((await batches.next()).done, true);
});
