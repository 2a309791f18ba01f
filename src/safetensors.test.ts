import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PupilError } from './errors.js';
import { Random } from './random.js';
import { decodeSafetensors, encodeSafetensors, readSafetensors } from './safetensors.js';
import { float32, sizeOf, tensor } from './tensor.js';
import { refused } from './testing/kit.js';
import { spoilt } from './testing/spoilt.js';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'pupil-safetensors-'));
});
after(() => rmSync(folder, { recursive: true }));

/** A file of this header and so many bytes of data; `length`: what it says of its header. */
function fileOf(header: unknown, data = 8, length?: bigint): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(length ?? BigInt(json.length));
  return Buffer.concat([start, json, Buffer.alloc(data)]);
}

const f32 = (shape: unknown, from: unknown, to: unknown): object => ({ dtype: 'F32', shape, data_offsets: [from, to] });

const rows: readonly [what: string, file: Buffer, message: RegExp][] = [
  ['nothing', Buffer.alloc(0), /: 0 bytes/],
  ['an entry of null', fileOf({ a: null }), /"a" has no known dtype/],
  ['an entry of a number', fileOf({ a: 5 }), /"a" has no known dtype/],
  ['a list as header', fileOf([1]), /the header is not an object/],
  ['a text as header', fileOf('"x"'), /the header is not an object/],
  ['deep JSON', fileOf('['.repeat(3_000_000)), /the header is nested too deeply/],
  ['deep JSON that ends', fileOf(`{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`), /nested too deeply/],
  ['a huge header', fileOf({}, 8, 2n ** 63n), /a header of \d+ bytes/],
  ['a header beyond the file', fileOf({}, 8, 10n ** 7n), /a header of 10000000 bytes in/],
  ['bytes beyond the file', fileOf({ a: f32([10], 0, 40) }), /"a" lies at 0 to 40 of 8/],
  ['a negative offset', fileOf({ a: f32([1], -4, 0) }), /"a" has no known dtype/],
  ['half an offset', fileOf({ a: f32([1], 0.5, 4.5) }), /"a" has no known dtype/],
  ['an infinite offset', fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[1e999,1e999]}}'), /"a" has no known/],
  ['another shape', fileOf({ a: f32([3], 0, 8) }), /"a" lies at 0 to 8 of 8/],
  ['a huge shape', fileOf({ a: f32([2 ** 40, 2 ** 40], 0, 8) }), /"a" lies at 0 to 8/],
  ['tensors over each other', fileOf({ a: f32([2], 0, 8), b: f32([1], 4, 8) }), /"b" begins at 4, before the end/],
  ['tensors in one place', fileOf({ a: f32([2], 0, 8), b: f32([2], 0, 8) }), /begins at 0, before the end/],
  ['a gap', fileOf({ a: f32([1], 4, 8) }), /"a" begins at 4, after the end/],
  ['bytes of nothing', fileOf({ a: f32([1], 0, 4) }), /4 bytes too many/],
  ['a dtype of another kind', fileOf({ a: { ...f32([2], 0, 8), dtype: {} } }), /"a" has no known dtype/],
  ['metadata of numbers', fileOf({ __metadata__: [1, 2, 3], a: f32([2], 0, 8) }), /__metadata__ is no object of texts/],
];
for (const [what, bytes, message] of rows)
  test(`safetensors: ${what} is refused in one line`, async () => {
    const path = join(folder, 'bad.safetensors');
    writeFileSync(path, bytes);
    assert.throws(() => decodeSafetensors(bytes), refused('bad-data', message));
    await assert.rejects(readSafetensors(path), refused('bad-data', message));
  });

test('safetensors: files of many gigabytes that hold little are refused before they are read', async () => {
  const path = join(folder, 'sparse.safetensors');
  for (const size of [10e9, 60e9]) {
    writeFileSync(path, fileOf({}, 0));
    truncateSync(path, size);
    await assert.rejects(readSafetensors(path), refused('bad-data', /bytes (too|are too) many/));
  }
  await assert.rejects(readSafetensors(folder), refused('bad-data', /no file/));
});

test('safetensors: a file with mistakes in it is read as it says, or refused with a reason', (t) => {
  const outcomes = { read: 0, refused: 0 };
  const tensors = new Map([
    ['a', float32([2, 3], [1, 2, 3, 4, 5, 6])],
    ['b', tensor('int64', [2], BigInt64Array.of(1n, 2n))],
    ['__proto__', tensor('uint8', [3], Uint8Array.of(1, 2, 3))],
  ]);
  const whole = Buffer.from(encodeSafetensors(tensors, { by: 'test' }));
  const length = Number(whole.readBigUInt64LE(0));
  const header = JSON.parse(whole.toString('utf8', 8, 8 + length)) as object;
  const tries = 2000;
  for (let i = 0; i < tries; i++) {
    const random = new Random(i, 'safetensors');
    let bytes = Buffer.from(whole);
    const kind = random.integer(3);
    if (kind === 0) bytes = bytes.subarray(0, random.integer(bytes.length));
    else if (kind === 1) for (let n = 0; n < 2; n++) bytes[random.integer(bytes.length)] = random.integer(256);
    else bytes = Buffer.concat([fileOf(spoilt(header, random), 0), whole.subarray(8 + length)]);
    try {
      const read = decodeSafetensors(bytes);
      const total = [...read.tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
      assert.ok(total < bytes.length);
      for (const { dims, data } of read.tensors.values()) assert.equal(sizeOf(dims), data.length);
      outcomes.read++;
    } catch (error) {
      assert.ok(
        error instanceof PupilError && error.code === 'bad-data',
        `try ${i}: ${String((error as Error).stack)}`,
      );
      assert.doesNotMatch(error.message, /\n|undefined|Cannot /, `try ${i}`);
      outcomes.refused++;
    }
  }
  t.diagnostic(`${tries} tries: ${outcomes.read} read, ${outcomes.refused} refused`);
  assert.ok(outcomes.read > tries / 40 && outcomes.refused > tries / 2, JSON.stringify(outcomes));
});
