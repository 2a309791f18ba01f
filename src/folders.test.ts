import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolders } from './folders.js';
import { temporaryFolder } from './testing/image-files.js';

test('folders are made with those above them, also where some are there', async (t) => {
  const at = await temporaryFolder(t);
  await makeFolders(join(at, 'a', 'b'));
  await makeFolders(join(at, 'a', 'b', 'c'));
  await Promise.all([makeFolders(join(at, 'd', 'e')), makeFolders(join(at, 'd', 'f'))]);
  for (const name of ['a/b/c', 'd/e', 'd/f']) assert.ok((await stat(join(at, name))).isDirectory());
});

test(
  'a file system that refuses new folders is told, not waited for',
  { skip: process.platform !== 'linux' && 'needs /proc' },
  async () => {
    await assert.rejects(makeFolders('/proc/none/a/b'), { code: 'ENOENT' });
  },
);
