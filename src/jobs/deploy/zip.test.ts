import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Random } from '../../random.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { unzipped } from '../../testing/zip.js';
import { zipped } from './zip.js';

const random = new Random(0, 'bytes');
const files = new Map<string, Uint8Array | string>([
  ['README.md', '# Ants\n'],
  ['onnx/model.onnx', Uint8Array.from({ length: 100_000 }, () => random.integer(256))],
  ['ü/空.txt', 'a'.repeat(50_000)],
  ['empty', ''],
]);

test('a ZIP archive has all files in one folder, and is the same each time', async () => {
  const archive = await zipped('ants', files);
  const found = unzipped(archive);
  assert.deepEqual(
    [...found.keys()],
    [...files.keys()].map((path) => `ants/${path}`),
  );
  for (const [path, content] of files) assert.deepEqual(found.get(`ants/${path}`), Buffer.from(content as Uint8Array));
  assert.ok(archive.length < 103_000, `${archive.length} bytes: letters that repeat take no room`);
  assert.deepEqual(await zipped('ants', files), archive);
});

test('another program finds no fault in it', async (t) => {
  const file = join(await temporaryFolder(t), 'ants.zip');
  await writeFile(file, await zipped('ants', files));
  const program = `import zipfile; z = zipfile.ZipFile(${JSON.stringify(file)}); print(z.testzip(), len(z.namelist()))`;
  let said: string;
  try {
    said = execFileSync('python3', ['-c', program], { encoding: 'utf8' });
  } catch {
    return t.skip('no Python here');
  }
  assert.equal(said.trim(), `None ${files.size}`);
});
