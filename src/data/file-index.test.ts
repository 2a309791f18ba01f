import assert from 'node:assert/strict';
import { appendFile, mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { noisePng, temporaryFolder } from '../testing/image-files.js';
import { openDataset, openImages } from './dataset.js';
import { fewestIndexed, openFileIndex, writeFileIndex, type FileRecord } from './file-index.js';
import { walkOrder } from './file-names.js';
import { contentHash } from './read.js';
import { scanFolder } from './scan-folder.js';

/** How many records the index of a folder has. */
async function countIn(folder: string): Promise<number> {
  const index = await openFileIndex(folder);
  index.close();
  return index.count;
}

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
  const entries = [...(await scanFolder(data)).entries];
  const records: FileRecord[] = [];
  for (const [i, { name, path, format, problem }] of entries.entries())
    if (problem === undefined)
      records.push({ name, format, hash: i.toString(16).padStart(32, 'f'), times: await stat(path) });
  await writeFileIndex(data, records, Date.now() + 1e6);
  assert.equal(await countIn(data), all.length);
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
    [(await countIn(data)) < all.length, (await readdir(join(folder, 'cache/files'))).length],
    [true, 1],
  );
});

test('files behind links are found in the index; contents are read again only for hashes', async (t) => {
  const folder = await temporaryFolder(t);
  const data = join(folder, 'data');
  process.env['PUPIL_CACHE'] = join(folder, 'cache');
  t.after(() => delete process.env['PUPIL_CACHE']);
  const png = await noisePng(1, 4, 4);
  for (const place of ['data/b', 'elsewhere']) await mkdir(join(folder, place), { recursive: true });
  for (let i = 0; i < fewestIndexed; i++)
    await writeFile(join(folder, i % 4 === 0 ? 'elsewhere' : 'data/b', `${i}.png`), png);
  // Its files come last in the walk, though 'a' is before 'b'.
  await symlink(join(folder, 'elsewhere'), join(data, 'a'));

  const { entries } = await scanFolder(data);
  const names = Array.from(entries, ({ name }) => name);
  assert.deepEqual([names[0]!.slice(0, 2), names.at(-1)!.slice(0, 2)], ['b/', 'a/']);
  const records: FileRecord[] = [];
  for (const name of names.sort(walkOrder))
    records.push({ name, format: 'WebP', hash: '', times: await stat(join(data, name)) });
  await writeFileIndex(data, records, Date.now() + 1e6);
  const formats = async (hashes: boolean): Promise<string[]> => {
    const { samples } = await openDataset(data, { hashes });
    return [...new Set(samples.map(({ format }) => format))];
  };
  assert.deepEqual(await formats(false), ['WebP'], 'what is in the index was not read');
  assert.deepEqual(await formats(true), ['PNG'], 'all was read');
});

test('an index that is damaged or of another version is passed over', async (t) => {
  const folder = await temporaryFolder(t);
  process.env['PUPIL_CACHE'] = join(folder, 'cache');
  t.after(() => delete process.env['PUPIL_CACHE']);
  const times = { size: 3, mtimeMs: 1, ctimeMs: 2 };
  const record = { name: 'a/1.png', hash: '0123456789abcdef'.repeat(2), format: 'PNG', times };
  await writeFileIndex(folder, [record], Date.now());
  const index = await openFileIndex(folder);
  const find = (name: string, now = times): string | undefined => {
    const hash = Buffer.alloc(16);
    const format = index.find(name, now, hash);
    return format && `${format} ${hash.toString('hex')}`;
  };
  const known = `PNG ${record.hash}`;
  assert.deepEqual(
    [find('a/1.png'), find('a/0.png'), find('a/1.png', { ...times, mtimeMs: 3 }), find('b'), find('a/1.png')],
    [known, undefined, undefined, undefined, known],
  );
  index.close();
  const [name] = await readdir(join(folder, 'cache/files'));
  await writeFile(join(folder, 'cache/files', name!), 'pupil-files-0\n{}');
  assert.equal(await countIn(folder), 0);
});
