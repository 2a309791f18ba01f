import assert from 'node:assert/strict';
import { appendFile, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { noisePng, temporaryFolder } from '../testing/image-files.js';
import { openDataset, openImages } from './dataset.js';
import { fewestIndexed, openFileIndex, writeFileIndex, type FileRecord } from './file-index.js';
import { contentHash } from './read.js';
import { scanFolder } from './scan-folder.js';

test('files of a large folder are read again only where size or times changed', async (t) => {
  const folder = await temporaryFolder(t);
  const data = join(folder, 'data');
  process.env['PUPIL_CACHE'] = join(folder, 'cache');
  t.after(() => delete process.env['PUPIL_CACHE']);
  const png = await noisePng(1, 4, 4);
  const bytesOf = (i: number): Uint8Array => Buffer.concat([png, Buffer.from(String(i))]);
  for (const kind of ['a', 'a-b', 'é']) await mkdir(join(data, kind), { recursive: true });
  const kindOf = (i: number): string => ['a', 'a-b', 'é'][i % 3]!;
  const all = Array.from({ length: fewestIndexed }, (_, i) => i);
  for (const i of all) await writeFile(join(data, kindOf(i), `${i}.png`), bytesOf(i));
  await writeFile(join(data, 'a/notes.txt'), 'no image');

  // Records with hashes of our own: what has them was not read.
  const { entries } = await scanFolder(data);
  const records: FileRecord[] = [];
  for (const [i, { name, path, format, problem }] of entries.entries())
    if (problem === undefined)
      records.push({ name, format, hash: i.toString(16).padStart(32, 'f'), times: await stat(path) });
  await writeFileIndex(data, records, Date.now() + 1e6);
  assert.equal((await openFileIndex(data)).count, all.length);
  const hashes = (): Promise<Map<string, string>> =>
    openDataset(data).then(
      ({ samples }) => new Map(samples.map(({ path, hash }) => [path.slice(data.length + 1), hash])),
    );
  const second = await hashes();
  assert.deepEqual(second, new Map(records.map(({ name, hash }) => [name, hash])));
  const { samples } = await openImages([data]);
  assert.deepEqual(new Set(samples.map(({ hash }) => hash)), new Set(second.values()), 'unlabelled images, too');

  await appendFile(join(data, 'a-b/1.png'), '!');
  await rm(join(data, 'é/2.png'));
  await writeFile(join(data, 'a/new.png'), bytesOf(-1));
  const third = await hashes();
  const expected = new Map(second);
  expected.set('a-b/1.png', contentHash(Buffer.concat([bytesOf(1), Buffer.from('!')])));
  expected.delete('é/2.png');
  expected.set('a/new.png', contentHash(bytesOf(-1)));
  assert.deepEqual(Object.fromEntries(third), Object.fromEntries(expected));
  // What changed just now may change again within the same tick of the clock: it is not kept.
  assert.deepEqual(
    [(await openFileIndex(data)).count < all.length, (await readdir(join(folder, 'cache/files'))).length],
    [true, 1],
  );
});

test('an index that is damaged or of another version is passed over', async (t) => {
  const folder = await temporaryFolder(t);
  process.env['PUPIL_CACHE'] = join(folder, 'cache');
  t.after(() => delete process.env['PUPIL_CACHE']);
  const times = { size: 3, mtimeMs: 1, ctimeMs: 2 };
  const record = { name: 'a/1.png', hash: '0'.repeat(32), format: 'PNG', times };
  await writeFileIndex(folder, [record], Date.now());
  const { find } = await openFileIndex(folder);
  assert.deepEqual(find('a/1.png', times), { hash: record.hash, format: 'PNG' });
  assert.deepEqual(
    [
      find('a/0.png', times),
      find('a/1.png', { ...times, mtimeMs: 3 }),
      find('b', times),
      find('a/1.png', times)?.format,
    ],
    [undefined, undefined, undefined, 'PNG'],
  );
  const [name] = await readdir(join(folder, 'cache/files'));
  await writeFile(join(folder, 'cache/files', name!), 'pupil-files-0\n{}');
  assert.equal((await openFileIndex(folder)).count, 0);
});
