import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildModel } from '../models/index.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { evaluate } from './evaluate.js';

test('progress ends at as many images as there are, though some have the same content', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, { 'cat/1.png': 1, 'cat/2.png': 1, 'dog/1.png': 2, 'dog/2.png': 3 });
  const told: [number, number][] = [];
  const labels = ['cat', 'dog'];
  const preprocessing = buildModel('resnet8', { labels, seed: 1 }).preprocessing;
  await evaluate(
    {
      ...{ labels, preprocessing },
      run: (_, count) =>
        Promise.resolve({ logits: new Float32Array(2 * count), probabilities: new Float32Array(2 * count).fill(0.5) }),
    },
    root,
    { workers: 0, batchSize: 1, onProgress: (done, total) => told.push([done, total]) },
  );
  assert.ok(told.every(([, total]) => total === 4));
  assert.equal(told.at(-1)![0], 4);
  assert.deepEqual(
    told.map(([done]) => done),
    told.map(([done]) => done).sort((a, b) => a - b),
  );
});
