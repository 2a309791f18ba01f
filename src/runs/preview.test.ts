import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch } from '../data/loader.js';
import { decode } from '../image/decode.js';
import { noise } from '../testing/image-files.js';
import { labelOf } from '../augment/mixed-label.js';
import { drawBatches } from './preview.js';

const classes = ['ant', 'bee', 'wasp'];

test('an image is named by its class, or by the shares of two', () => {
  const targets = Float32Array.of(0, 1, 0, 0.7, 0.3, 0, 0.2, 0, 0.8, 0, 0, 0, 0.004, 0.996, 0);
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((i) => labelOf({ targets, count: 5 }, i, classes)),
    ['bee', 'ant 0.70 bee 0.30', 'wasp 0.80 ant 0.20', 'no label', 'bee'],
  );
  assert.equal(labelOf({ targets: Float32Array.of(0.375, 0.625), count: 1 }, 0, classes), 'bee 0.63 ant 0.37');
});

test('a preview holds the bytes of the batch', async () => {
  const count = 3,
    width = 112,
    height = 112,
    size = width * height * 3;
  const pixels = new Uint8Array(count * size);
  for (let i = 0; i < count; i++) pixels.set(noise(i, width, height).data, i * size);
  const batch: Batch = {
    pixels,
    count,
    width,
    height,
    targets: Float32Array.of(1, 0, 0, 0, 1, 0, 0.5, 0.5, 0),
    labels: Int32Array.of(0, 1, 0),
    indexes: Int32Array.of(0, 1, 2),
    allIndexes: Int32Array.of(0, 1, 2),
    paths: ['a', 'b', 'c'],
    mix: null,
    epoch: 0,
    step: 0,
  };
  const sheet = await decode(await drawBatches([batch], classes, 'augmentation none'), 'sheet');
  const found = Buffer.from(sheet.data);
  for (let i = 0; i < count; i++) {
    const rows = [0, 50, 111].map((row) =>
      Buffer.from(pixels.subarray(i * size + row * width * 3, i * size + (row + 1) * width * 3)),
    );
    for (const row of rows) assert.ok(found.includes(row), `image ${i} is not in the picture as it is`);
  }
});
