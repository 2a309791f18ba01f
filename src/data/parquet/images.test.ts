import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import * as zlib from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { decodeSample } from '../../evaluate/readers.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { refused } from '../../testing/kit.js';
import { openDataset, openImages } from '../dataset.js';
import { createPool } from '../pool.js';
import { prepareImages } from '../prepare.js';
import { evaluationTarget } from '../target.js';

/** Made by pyarrow (fixtures/parquet/make.py). */
const at = (name: string): string => fileURLToPath(new URL(`../../../fixtures/parquet/${name}`, import.meta.url));
const image = /parquet.(data.)?(\S+)$/;

test("a folder as Hugging Face's data sets are stored: splits by file, names of labels, unlabelled rows", async () => {
  const { classes, samples, unreadable, notes } = await openDataset(at('data'));
  assert.deepEqual([classes, unreadable, notes], [['owl', 'red fox'], [], []]);
  const shown = samples.map(({ path, split, label }) => `${image.exec(path)![2]!} ${split} ${label}`);
  assert.deepEqual(shown, [
    'test-00000-of-00001.parquet/0 unlabelled -1',
    'test-00000-of-00001.parquet/1 unlabelled -1',
    ...[1, 0, 1, 0, 1].map((label, row) => `train-00000-of-00002.parquet/${row} train ${label}`),
    ...[0, 1, 0].map((label, row) => `train-00001-of-00002.parquet/${row} train ${label}`),
    ...[1, 0, 1].map((label, row) => `validation-00000-of-00001.parquet/${row} val ${label}`),
  ]);
  assert.equal(new Set(samples.map(({ hash }) => hash)).size, samples.length);
  assert.ok(samples.every(({ format, bytes }) => format === 'PNG' && bytes > 50));
});

test('its images are decoded, one by one and by a pool, in any order', async (t) => {
  const { samples } = await openDataset(at('data'));
  // fixtures/parquet/make.py: the first byte of image n is 37 n, and test is written last, with 11 and 12.
  const seeds = [11, 12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const firsts = seeds.map((seed) => (seed * 37) % 256);
  const images = await Promise.all(samples.map(decodeSample));
  assert.deepEqual(
    images.map(({ data }) => data[0]),
    firsts,
  );
  const pool = createPool({ workers: 1, cacheFolder: await temporaryFolder(t) });
  t.after(() => pool.close());
  const target = evaluationTarget({ size: [8, 8], resizeShort: 8, interpolation: 'bilinear' });
  const prepared = await prepareImages([...samples].reverse(), { pool, target });
  assert.deepEqual(prepared.unreadable, []);
  const pixels = prepared.locations.map((place) =>
    place.kind === 'memory' ? new Uint8Array(place.pixels, place.offset, 1)[0] : undefined,
  );
  assert.deepEqual(pixels, firsts.toReversed());
});

test('labels as texts, images that are missing or none, single files and patterns', async () => {
  const { classes, samples, unreadable } = await openDataset(at('strings.parquet'));
  assert.deepEqual(
    [classes, samples.map(({ label }) => label)],
    [
      ['a', 'b'],
      [1, 0],
    ],
  );
  assert.deepEqual(
    unreadable.map(({ path, reason }) => [image.exec(path)![2], reason]),
    [
      ['strings.parquet/1', 'the image is not in the file, only its path (elsewhere.png)'],
      ['strings.parquet/2', unreadable[1]!.reason],
    ],
  );
  const one = await openDataset(at('data/train-00001-of-00002.parquet'));
  assert.equal(one.samples.length, 3);
  assert.match(one.notes.join(), /train-00001-of-00002\.parquet: 1 of 2 files of train are opened/);
  const both = await openDataset(at('data/train-{00000..00001}-of-00002.parquet'));
  assert.deepEqual([both.samples.length, both.notes], [8, []]);
  const { samples: plain } = await openImages([at('data')]);
  assert.ok(plain.length === 13 && plain.every(({ label }) => label === -1));
});

test('what is missing or damaged is named', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'data'));
  const name = 'train-00000-of-00002.parquet';
  await copyFile(at(`data/${name}`), join(folder, 'data', name));
  await assert.rejects(openDataset(folder), refused('not-found', /data: train-00001-of-00002\.parquet is missing/));
  const bytes = await readFile(at(`data/${name}`));
  const file = join(folder, 'train.parquet');
  await writeFile(file, bytes.subarray(0, bytes.length >> 1));
  await assert.rejects(openDataset(file), refused('bad-data', /train\.parquet: not a readable Parquet file .*skip/));
  // A page of the last of three row groups is overwritten.
  await writeFile(file, bytes);
  const broken = Buffer.from(bytes);
  const start = broken.indexOf('4.png');
  broken.fill(255, start - 120, start);
  await writeFile(file, broken);
  await assert.rejects(openDataset(file), refused('bad-data', /train\.parquet\/4\.\.4: rows of a Parquet file that/));
  const { samples, unreadable } = await openDataset(file, { skip: 1 });
  assert.equal(samples.length, 4);
  assert.deepEqual(
    unreadable.map(({ path }) => path),
    [`${file}/4..4`],
  );
  await writeFile(join(folder, 'labels.parquet'), await readFile(at('strings.parquet')));
  await assert.rejects(openDataset(join(folder, 'none.parquet')), refused('not-found', /none\.parquet: no such file/));
});

test('Zstandard is read, or the Node that reads it is named', async (t) => {
  const file = join(await temporaryFolder(t), 'images.parquet');
  const columnData = [
    { name: 'image', data: [new Uint8Array(100), new Uint8Array(100)], type: 'BYTE_ARRAY' as const },
    { name: 'label', data: ['a', 'b'], type: 'STRING' as const },
  ];
  // What is no Zstandard is refused by those that read it.
  const compressors = { ZSTD: (bytes: Uint8Array): Uint8Array => bytes };
  await writeFile(file, new Uint8Array(parquetWriteBuffer({ columnData, codec: 'ZSTD', compressors })));
  const told = 'zstdDecompressSync' in zlib ? /images\.parquet/ : /images\.parquet.*Node 22\.15/;
  await assert.rejects(openDataset(file), refused('bad-data', told));
});
