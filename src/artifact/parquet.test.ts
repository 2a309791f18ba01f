import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PupilError } from '../errors.js';
import { Random } from '../random.js';
import { readPseudoLabels, writePseudoLabels } from './pseudo-labels.js';
import { readParquet } from './parquet.js';

let folder: string;
let whole: Buffer;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pupil-parquet-'));
  const path = join(folder, 'whole.parquet');
  const rows = Array.from({ length: 40 }, (_, i) => ({
    ...{
      path: join(folder, `${i}.jpg`),
      label: i % 2,
      confidence: 0.75,
      accepted: i % 3 > 0,
      copies: Number(i % 3 > 0),
    },
    ...{ probabilities: Float32Array.of(i % 2 ? 0.25 : 0.75, i % 2 ? 0.75 : 0.25), hash: `${i}`.repeat(9) },
  }));
  await writePseudoLabels(path, { classes: ['cat', 'dog'], rows });
  whole = readFileSync(path);
});
after(() => rmSync(folder, { recursive: true }));

test('a Parquet file with mistakes in it is read, or refused in one line', async (t) => {
  const outcomes = { read: 0, refused: 0 };
  const path = join(folder, 'damaged.parquet');
  const tries = 60;
  for (let i = 0; i < tries; i++) {
    const random = new Random(i, 'parquet');
    let bytes = Buffer.from(whole);
    // Pages are at the beginning, what describes them at the end.
    if (i % 10 === 0) bytes = Buffer.concat([bytes.subarray(0, random.integer(bytes.length)), bytes.subarray(-200)]);
    else for (let n = 0; n < 1 + (i % 4); n++) bytes[4 + random.integer(bytes.length - 12)] = random.integer(256);
    writeFileSync(path, bytes);
    try {
      await readPseudoLabels(path);
      outcomes.read++;
    } catch (error) {
      assert.ok(error instanceof PupilError, `try ${i}: ${String((error as Error).stack)}`);
      assert.equal(error.code, 'bad-data', error.message);
      assert.doesNotMatch(error.message, /\n/);
      outcomes.refused++;
    }
  }
  t.diagnostic(`${tries} tries: ${outcomes.read} read, ${outcomes.refused} refused`);
  assert.ok(outcomes.read > 0 && outcomes.refused > tries / 4, JSON.stringify(outcomes));
});

test('a Parquet file that takes too long is given up', async () => {
  await assert.rejects(readParquet(Uint8Array.from(whole), { seconds: 0 }), /it is not read after 0 s/);
});
