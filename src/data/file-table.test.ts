import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { noisePng, temporaryFolder } from '../testing/image-files.js';
import { openDataset } from './dataset.js';
import { FileNames, walkOrder } from './file-names.js';
import { FileTable, sampleOf } from './file-table.js';
import { contentHash } from './read.js';

test('names of files come back as they were, whatever characters they have', () => {
  const names = new FileNames('data');
  const bases = ['1.png', 'é.jpg', 'e\u0301.jpg', '猫.webp', '😀', '\ud800.png', 'a'.repeat(300), ''];
  const folders = ['', 'a/', 'a/ß/'].map((name) => names.addFolder(name, `data/${name}`));
  const expected: [string, string, string | undefined][] = [];
  for (let i = 0; i < 500; i++) {
    const base = bases[i % bases.length]! + (i % bases.length === 7 ? '' : String(i));
    const folder = ['', 'a/', 'a/ß/'][i % 3]!;
    const problem = i % 50 === 0 ? `problem ${i}` : undefined;
    names.add(folders[i % 3]!, base, problem);
    // Without a name it is the folder itself.
    expected.push([folder + base, base === '' ? `data/${folder}`.slice(0, -1) : `data/${folder}${base}`, problem]);
  }
  assert.deepEqual(
    Array.from(names, ({ name, path, problem }) => [name, path, problem]),
    expected,
  );
});

test('in the order of a walk what a folder holds comes before names that go on with less than a slash', () => {
  const names = ['a', 'a/1', 'a/b/2', 'a/c', 'a-b/1', 'a.png', 'b'];
  const key = (name: string): string => name.replaceAll('/', '\0');
  assert.deepEqual([...names].sort(walkOrder), names);
  for (const one of names)
    for (const other of names)
      assert.equal(Math.sign(walkOrder(one, other)), key(one) < key(other) ? -1 : key(one) > key(other) ? 1 : 0);
});

test('samples of a table are as plain ones in copies, JSON and messages', () => {
  const names = new FileNames('data');
  const folder = names.addFolder('cat/', 'data/cat/');
  const table = new FileTable((names.add(folder, '1.png'), names));
  const hash = contentHash(new Uint8Array(3));
  table.put(0, { hash, format: 'PNG', bytes: 3 });
  const sample = sampleOf(table.at(0), 2, 'train');
  const path = 'data/cat/1.png';
  const plain = { path, label: 2, split: 'train', source: { kind: 'file', path }, hash, format: 'PNG', bytes: 3 };
  assert.deepEqual({ ...sample }, plain);
  assert.deepEqual({ ...sample, label: -1 }, { ...plain, label: -1 });
  assert.deepEqual(structuredClone(sample), plain);
  assert.equal(JSON.stringify(sample), JSON.stringify(plain));
  assert.deepEqual(Object.keys(sample), Object.keys(plain));
});

test('without hashes only the beginning of files is read, and what is asked for is hashed then', async (t) => {
  const folder = await temporaryFolder(t);
  process.env['PUPIL_CACHE'] = join(folder, 'cache');
  t.after(() => delete process.env['PUPIL_CACHE']);
  const data = join(folder, 'data');
  const contents = await Promise.all([1, 2, 3].map((seed) => noisePng(seed, 8, 8)));
  for (const [i, bytes] of contents.entries()) {
    await mkdir(join(data, `class-${i % 2}`), { recursive: true });
    await writeFile(join(data, `class-${i % 2}`, `${i}.png`), bytes);
  }
  await writeFile(join(data, 'class-0', 'empty.png'), '');
  const now = await openDataset(data);
  const later = await openDataset(data, { hashes: false });
  // What is hashed later is what is there then.
  const changed = Buffer.concat([contents[0]!, Buffer.from('!')]);
  await writeFile(join(data, 'class-0/0.png'), changed);
  const hashOf = ({ samples }: typeof now, name: string): string | undefined =>
    samples.find(({ path }) => path.endsWith(name))?.hash;
  assert.equal(hashOf(now, '0.png'), contentHash(contents[0]!));
  assert.equal(hashOf(later, '0.png'), contentHash(changed));
  assert.equal(later.hash, (await openDataset(data)).hash);
  assert.notEqual(later.hash, now.hash);
  const described = ({ samples, unreadable }: typeof now): unknown => [
    samples.map(({ path, label, format, source }) => ({ path, label, format, source })),
    unreadable,
  ];
  assert.deepEqual(described(later), described(now));
});
