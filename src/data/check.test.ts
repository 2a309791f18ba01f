import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { encodePng } from '../image/decode.js';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';
import { refused } from '../testing/kit.js';
import { assertTrainable, checkDataset } from './check.js';
import { openDataset } from './dataset.js';
import { describeDataset, formatDescription, inspectImages } from './describe.js';
import { createPool } from './pool.js';

type Files = Parameters<typeof writeTree>[1];

test('what makes training impossible is refused by name', async (t) => {
  const refuses = async (files: Files, message: RegExp): Promise<void> => {
    const root = await temporaryFolder(t);
    await writeTree(root, files);
    const check = checkDataset(await openDataset(root));
    assert.throws(() => assertTrainable(check), refused('bad-data', message));
  };
  await refuses({ 'only/1.png': 1, 'only/2.png': 2 }, /only the class 'only' found; at least two/);
  await refuses(
    { 'a/1.png': 1, 'b/2.png': 2, 'hollow one': null },
    /class hollow one without a readable training image/,
  );
  await refuses({ 'a/1.png': 1, 'b/2.png': 2, 'c/notes.txt': 'text' }, /class c without a readable training image/);
  await refuses(
    { 'train/a/1.png': 1, 'train/b/2.png': 2, 'val/a/3.png': 3, 'val/new/4.png': 4 },
    /class new in val but without a training image \(such as .*4\.png\)/,
  );
  await refuses({ 'train/a/1.png': 1, 'train/b/2.png': 2, 'test/newer/4.png': 4 }, /class newer in test but/);
  await refuses(
    { 'train/a/1.png': 1, 'train/b/2.png': 2, 'val/b/copy.png': 2 },
    /class b in val but without a training image/,
  );
  // A list whose labels are still to be filled in.
  const root = await temporaryFolder(t);
  await writeTree(root, {
    'images/1.png': 1,
    'images/2.png': 2,
    'list.csv': 'path,label\nimages/1.png,\nimages/2.png,\n',
  });
  const check = checkDataset(await openDataset(join(root, 'list.csv')));
  assert.throws(
    () => assertTrainable(check),
    refused('bad-data', /no class found.*; none of its 2 images has a label yet$/),
  );
});

test('a class with very few labels beside another is named', async (t) => {
  const root = await temporaryFolder(t);
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`ants/${i}.png`, i]));
  await writeTree(root, { ...many, 'bees/1.png': 50, 'bees/2.png': 51, 'wasps/1.png': 60, 'wasps/2.png': 61 });
  const rare = async (): Promise<string[]> =>
    checkDataset(await openDataset(root)).warnings.flatMap(({ kind, message }) =>
      kind === 'rare-class' ? [message.split(':')[0]!] : [],
    );
  assert.deepEqual(await rare(), ['few labels of bees, wasps beside those of ants']);
  await writeTree(root, { 'bees/3.png': 52, 'wasps/3.png': 62 });
  assert.deepEqual(await rare(), []);
});

test('the same content in train and val is named, and stays only in val', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    'train/a/1.png': 1,
    'train/a/twin.png': 2,
    'train/b/3.png': 3,
    'val/a/2.png': 2,
    'val/b/5.png': 5,
    'test/b/same as 5.png': 5,
    'unlabelled/4.png': 5,
    'unlabelled/fine.png': 6,
  });
  const { errors, warnings, dataset } = checkDataset(await openDataset(root));
  assert.deepEqual(errors, []);
  const [leak] = warnings.filter(({ kind }) => kind === 'leak');
  assert.match(leak!.message, /2 images in more than one of train, val and test.*twin\.png = .*2\.png/);
  assert.deepEqual(dataset.samples.map(({ path }) => path.slice(root.length + 1)).sort(), [
    'test/b/same as 5.png',
    'train/a/1.png',
    'train/b/3.png',
    'unlabelled/fine.png',
    'val/a/2.png',
  ]);
  assert.ok(
    warnings.some(({ kind, message }) => kind === 'class-without-val' && message.includes('val has no image of b')),
  );
});

test('an unlabelled copy of a labelled image is left out, by content, and the data set says so', async (t) => {
  const root = await temporaryFolder(t),
    other = await temporaryFolder(t);
  await writeTree(root, { 'a/1.png': 1, 'b/2.png': 2, 'b/3.png': 3 });
  await writeTree(other, { 'renamed.png': 1, 'again.png': 1, 'deep/2.png': 2, 'own.png': 4, 'own twin.png': 4 });
  const { errors, warnings, dataset } = checkDataset(await openDataset(root, { unlabelled: other }));
  assert.deepEqual(errors, []);
  const [leak, ...others] = warnings;
  assert.deepEqual([leak!.kind, others], ['leak', []]);
  assert.match(leak!.message, /^3 unlabelled images with the content of a labelled one \(skipped\): .*a.1\.png = .*/);
  const unlabelled = dataset.samples.filter(({ split }) => split === 'unlabelled');
  assert.deepEqual(unlabelled.map(({ path }) => path.slice(other.length + 1)).sort(), ['own twin.png', 'own.png']);
  assert.deepEqual(dataset.notes, [leak!.message]);
  // What is left is clean; it still knows what was left out.
  assert.deepEqual(
    checkDataset(dataset).warnings.map(({ kind, message }) => [kind, message]),
    [['note', leak!.message]],
  );
});

test('one content under two labels is named', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, { 'a/1.png': 1, 'b/one.png': 1, 'b/2.png': 2, 'b/two.png': 2 });
  const { errors, warnings } = checkDataset(await openDataset(root));
  assert.deepEqual(errors, []);
  assert.match(warnings.find(({ kind }) => kind === 'conflicting-labels')!.message, /1\.png \(a\) = .*one\.png \(b\)/);
  assert.match(warnings.find(({ kind }) => kind === 'repeated')!.message, /2\.png = .*two\.png/);
});

test('one content under two labels is named in two splits as well', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, { 'train/a/1.png': 1, 'train/b/2.png': 2, 'train/a/3.png': 3, 'val/b/one.png': 1 });
  const { dataset, warnings } = checkDataset(await openDataset(root));
  assert.equal(dataset.samples.length, 3, 'the one in val is kept');
  assert.deepEqual(
    warnings.map(({ kind }) => kind),
    ['leak', 'conflicting-labels', 'class-without-val'],
  );
  assert.match(warnings[1]!.message, /1 image under two labels: .*1\.png \(a\) = .*one\.png \(b\); keep the one that/);
});

test('doctor counts, measures and names corrupt files', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    'train/a/1.png': 1,
    'train/a/2.png': await noisePng(2, 40, 60),
    'train/b/3.png': 3,
    'val/b/4.png': 4,
    'train/b/x.txt': 'x',
  });
  const good = await readFile(join(root, 'train/a/1.png'));
  await writeFile(join(root, 'train/b/cut\nshort.png'), good.subarray(0, 700));
  const pool = createPool({ workers: 0 });
  const dataset = await openDataset(root);
  const inspection = await inspectImages(dataset, pool);
  assert.deepEqual(
    inspection.unreadable.map(({ path }) => path),
    [join(root, 'train/b/cut\nshort.png')],
  );
  const description = describeDataset(dataset, inspection);
  assert.deepEqual(description.splits, { train: 3, val: 1, test: 0, unlabelled: 0 });
  assert.deepEqual(
    description.classes.map(({ name, train, val }) => [name, train, val]),
    [
      ['a', 2, 0],
      ['b', 1, 1],
    ],
  );
  assert.deepEqual(description.formats, { PNG: 4 });
  assert.deepEqual(
    [description.shortSide, description.longSide],
    [
      { minimum: 20, median: 20, maximum: 40 },
      { minimum: 24, median: 24, maximum: 60 },
    ],
  );
  const text = formatDescription(description);
  assert.ok(text.every((line) => !line.includes('\n')));
  assert.match(text.join('\n'), /1 file beside the images is no image and is passed over: .*x\.txt/);
  assert.match(text.join('\n'), /1 file cannot be read and is skipped: /);
  assert.match(text.join('\n'), /cut\\nshort\.png \(cannot be decoded as PNG/);
  assert.match(text.join('\n'), /class {2}train {2}val\na {10}2 {4}0\nb {10}1 {4}1\nall {8}3 {4}1/);
  assert.equal(text.at(-1), 'Ready to train; see the warnings.');
});

test('doctor names images of one colour, of nearly one, and tiny ones', async (t) => {
  const root = await temporaryFolder(t);
  const plain = (width: number, value: number, more: number): Promise<Uint8Array> =>
    encodePng({
      width,
      height: 40,
      data: Uint8Array.from({ length: width * 40 * 3 }, (_, i) => value + (i % more)),
    });
  await writeTree(root, {
    'a/black.png': await plain(40, 0, 1),
    'a/grey.png': await plain(40, 100, 4),
    'a/dim.png': await plain(40, 3, 14),
    'a/dark.png': await plain(40, 0, 40),
    'b/narrow.png': await noisePng(7, 15, 40),
    'b/1.png': await noisePng(8, 16, 40),
    'b/2.png': await noisePng(9, 40, 40),
  });
  const pool = createPool({ workers: 0 });
  const dataset = await openDataset(root);
  const { warnings } = describeDataset(dataset, await inspectImages(dataset, pool));
  assert.deepEqual(
    warnings.map(({ kind, paths }) => [kind, ...paths.map((path) => path.slice(root.length + 1)).sort()]),
    [
      ['blank', 'a/black.png', 'a/grey.png'],
      ['blank', 'a/dim.png'],
      ['tiny', 'b/narrow.png'],
    ],
  );
  assert.match(warnings[0]!.message, /^2 images of one colour: .*black\.png/);
  assert.match(
    warnings[1]!.message,
    /^1 image of nearly one colour: .*dim\.png; look at it, and remove it if it is no photo/,
  );
});

const flowers = new URL('../../../shared/data/flowers/', import.meta.url).pathname;
test('copies among real photos are found', { skip: existsSync(flowers) ? false : 'needs ../shared/data' }, async () => {
  const { errors, warnings } = checkDataset(await openDataset(flowers));
  assert.deepEqual(errors, []);
  assert.match(
    warnings.find(({ kind }) => kind === 'conflicting-labels')!.message,
    /roses\/15922772266_1167a06620\.jpg \(roses\) = .*tulips/,
  );
});
