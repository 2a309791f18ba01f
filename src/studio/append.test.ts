import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { withFullDisk } from '../testing/full-disk.js';
import { temporaryFolder } from '../testing/image-files.js';
import { append } from './append.js';

test('a disk that is full leaves no half of a line, into which the next one would be written', async (t) => {
  const file = join(await temporaryFolder(t), 'history.jsonl');
  await append(file, '{"step":1}\n');
  await assert.rejects(
    withFullDisk(4, () => append(file, '{"step":2}\n')),
    { code: 'io', message: /history\.jsonl: the disk is full/ },
  );
  await append(file, '{"step":3}\n');
  assert.equal(readFileSync(file, 'utf8'), '{"step":1}\n{"step":3}\n');
});
