import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ErrorCode } from '../errors.js';
import { noisePng, temporaryFolder, writeTar, writeTree } from '../testing/image-files.js';
import { refused } from '../testing/kit.js';
import { datasetOf, naturalOrder, openDataset, openImages } from './dataset.js';
import { readSource } from './read-source.js';
import type { Dataset } from './sample.js';

/** "split/class/file" of every sample. */
const summary = ({ samples, classes }: Dataset): string[] =>
  samples
    .map(({ split, label, path }) => `${split}/${label < 0 ? '-' : classes[label]!}/${path.replace(/^.*[\\/]/, '')}`)
    .sort();

const refuses = (promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> =>
  assert.rejects(promise, refused(code, message));

const tree = {
  'train/ants/1.png': 1,
  'train/ants/2.png': 2,
  'train/bees/3.png': 3,
  'val/ants/4.png': 4,
  'val/bees/5.png': 5,
  'test/bees/6.png': 6,
};
const treeSummary = [
  'test/bees/6.png',
  'train/ants/1.png',
  'train/ants/2.png',
  'train/bees/3.png',
  'val/ants/4.png',
  'val/bees/5.png',
];

test('a folder per class is a training set; classes are in natural order', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    '10/a.png': 1,
    '9/b.png': 2,
    'Bee fly/c.png': 3,
    'été/deep/er/d.png': 4,
    '.hidden/x.png': 5,
    '9/.DS_Store': 'x',
  });
  const dataset = await openDataset(root);
  assert.deepEqual(dataset.classes, ['9', '10', 'Bee fly', 'été']);
  assert.deepEqual(summary(dataset), ['train/10/a.png', 'train/9/b.png', 'train/Bee fly/c.png', 'train/été/d.png']);
  assert.deepEqual([dataset.unreadable, dataset.notes], [[], []]);
});

test('train, val and test stand above the classes, in folders and archives, with or without a wrapper', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(join(root, 'plain'), tree);
  await writeTree(join(root, 'wrapped', 'photos'), tree);
  await writeTar(join(root, 'plain.tar'), tree);
  await writeTar(join(root, 'wrapped.tar'), tree, './photos-1.0/');
  const plain = await openDataset(join(root, 'plain'));
  assert.deepEqual(summary(plain), treeSummary);
  for (const name of ['wrapped', 'plain.tar', 'wrapped.tar']) {
    const dataset = await openDataset(join(root, name));
    assert.deepEqual(summary(dataset), treeSummary, name);
    assert.equal(dataset.hash, plain.hash, name);
  }
});

test('images in archives are read at their place', async (t) => {
  const root = await temporaryFolder(t);
  const long = `${'long name '.repeat(15)}/Bienenfänger "4'\n.png`;
  await writeTar(join(root, 'x.tar'), { 'ants/1.png': 1, [`bees/${long}`]: 2 });
  const { samples } = await openDataset(join(root, 'x.tar'));
  assert.equal(samples.length, 2);
  for (const { source, path, label } of samples) {
    assert.equal(source.kind, 'range');
    if (source.kind === 'range')
      assert.deepEqual(Buffer.from(await readSource(source, path)), Buffer.from(await noisePng(label + 1)));
  }
});

test('a class may be named train', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, { 'train/1.png': 1, 'car/2.png': 2, 'bus/3.png': 3 });
  assert.deepEqual((await openDataset(root)).classes, ['bus', 'car', 'train']);
});

test('files outside classes are named, not used', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    ...tree,
    'README.txt': 'hello',
    'train/stray.png': 9,
    'docs/figure.png': 10,
    'test/loose.png': 11,
  });
  const { samples, notes } = await openDataset(root);
  assert.equal(samples.length, 6);
  assert.match(notes.join('\n'), /ignored beside train, val and test: docs/);
  assert.match(notes.join('\n'), /stray\.png/);
});

test('a run among the images is passed over; a class whose folder cannot be read is one without images', async (t) => {
  const folder = await temporaryFolder(t);
  const run = JSON.stringify({ command: 'train', versions: { pupil: '1', node: '2' } });
  await writeTree(folder, {
    'cats/1.png': 1,
    'cats/run/run.json': run,
    'cats/run/preview.png': 3,
    'dogs/2.png': 2,
    'dogs/run.json': '{}',
    'runs/a/run.json': run,
    'runs/a/rounds/1/preview.png': 4,
  });
  const { classes, samples, notes } = await openDataset(folder);
  assert.deepEqual(classes, ['cats', 'dogs']);
  assert.equal(samples.length, 2);
  assert.match(notes.join('\n'), /2 runs of Pupil passed over \(such as cats\/run\)/);
  // Root reads everything.
  await chmod(join(folder, 'dogs'), 0);
  const closed = process.getuid?.() === 0 ? undefined : await openDataset(folder);
  await chmod(join(folder, 'dogs'), 0o755);
  if (closed === undefined) return;
  assert.deepEqual(closed.classes, ['cats', 'dogs']);
  assert.match(closed.unreadable[0]!.reason, /the folder cannot be read/);
});

test('an image that cannot be read is listed with its reason, a file of another kind in a note', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    'a/1.png': 1,
    'a/notes.txt': 'text',
    'a/Thumbs.db': 'thumbnails',
    'b/.DS_Store': 'folder',
    'b/2.png': 2,
    'b/empty.jpg': '',
    'b/labels.csv': '',
    'b/photo.txt': await noisePng(9),
    'b/fake.jpg': 'no image at all',
  });
  await symlink(join(root, 'gone.png'), join(root, 'a', 'dangling.png'));
  const { samples, unreadable, notes } = await openDataset(root);
  assert.equal(samples.length, 3, 'an image is known by its content, whatever its name');
  const others = `${root}/a/notes.txt, ${root}/b/labels.csv`;
  const note = `2 files beside the images are no images and are passed over: ${others}`;
  assert.deepEqual(notes, [`${root}: ${note}`]);
  assert.deepEqual((await openImages([root])).notes, [`${root}: ${note}`]);
  const [labels, more] = [join(root, 'a'), join(root, 'b')];
  await writeTree(labels, { 'x/1.png': 11, 'y/2.png': 12 });
  const { notes: apart } = await openDataset(labels, { unlabelled: more });
  assert.equal(
    apart.at(-1),
    `${more}: 1 file beside the images is no image and is passed over: ${more}/labels.csv`,
    'each folder under its own name',
  );
  assert.deepEqual(
    (await openImages([join(root, 'a', 'notes.txt')])).unreadable.map(({ reason }) => reason.slice(0, 12)),
    ['not an image'],
    'what is named is meant',
  );
  assert.deepEqual(
    unreadable.map(({ path, reason }) => `${path.slice(root.length + 1)}: ${reason}`),
    [
      'a/dangling.png: cannot be read (no such file)',
      'b/empty.jpg: the file is empty',
      'b/fake.jpg: not an image (JPEG, PNG, GIF, WebP, TIFF, AVIF, HEIC and BMP are read)',
    ],
  );
});

test('links are followed, also in a circle', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, { 'elsewhere/1.png': 1, 'data/b/2.png': 2, 'data/b/more/3.png': 3 });
  await symlink(join(root, 'elsewhere'), join(root, 'data', 'a'));
  await symlink(join(root, 'data'), join(root, 'data', 'b', 'more', 'round'));
  assert.deepEqual(summary(await openDataset(join(root, 'data'))), ['train/a/1.png', 'train/b/2.png', 'train/b/3.png']);
});

test('numbered archives are one data set in a folder or by a pattern; a note names those beside one', async (t) => {
  const root = await temporaryFolder(t);
  const shards = join(root, 'shards');
  await mkdir(shards);
  await writeTar(join(shards, 'x-0000.tar'), { 'ants/1.png': 1 });
  await writeTar(join(shards, 'x-0001.tar'), { 'ants/2.png': 2, 'bees/3.png': 3 });
  await writeTar(join(shards, 'x-0002.tar'), { 'bees/4.png': 4 });
  const wanted = ['train/ants/1.png', 'train/ants/2.png', 'train/bees/3.png', 'train/bees/4.png'];
  for (const all of [shards, join(shards, 'x-{0000..0002}.tar'), join(shards, 'x-{0000,0001,0002}.tar')]) {
    const dataset = await openDataset(all);
    assert.deepEqual(summary(dataset), wanted);
    assert.deepEqual(dataset.notes, []);
  }
  const one = await openDataset(join(shards, 'x-0001.tar'));
  assert.deepEqual(summary(one), wanted.slice(1, 3));
  assert.match(one.notes.join(), /2 other archives .* are not opened; to open all, give '.*x-\{0000\.\.0002\}\.tar'/);
  await refuses(openDataset(join(shards, 'x-{0000..0003}.tar')), 'not-found', /x-0003\.tar: no such file/);
  await refuses(openDataset(join(shards, 'x-{3..1}.tar')), 'usage', /\{3\.\.1\} is not a range/);
  await refuses(openDataset(join(shards, 'x-{0..99999999}.tar')), 'usage', /range of up to 10000/);
  await rename(join(shards, 'x-0001.tar'), join(shards, 'x-0003.tar'));
  await refuses(openDataset(shards), 'not-found', /between the shards x-0000\.tar and x-0002\.tar/);
  assert.deepEqual(summary(await openDataset(join(shards, 'x-0003.tar'))), wanted.slice(1, 3));
  const splits = join(root, 'splits');
  await mkdir(splits);
  await writeTar(join(splits, 'train-00.tar'), { 'ants/1.png': 1, 'bees/2.png': 2 });
  await writeTar(join(splits, 'val-00.tar'), { 'ants/3.png': 3 });
  assert.deepEqual(summary(await openDataset(splits)), ['train/ants/1.png', 'train/bees/2.png', 'val/ants/3.png']);
});

test('CSV and JSONL manifests', async (t) => {
  const root = await temporaryFolder(t);
  const odd = 'it\'s "odd",\nreally.png';
  await writeTree(root, {
    'images/1.png': 1,
    'images/2.png': 2,
    'images/3.png': 3,
    [`images/${odd}`]: 4,
    'images/5.png': 5,
  });
  await writeTar(join(root, 'more.tar'), { 'in/6.png': 6 });
  await writeTree(root, {
    'a.csv':
      '\ufeffpath,label,split,comment\nimages/1.png,a/b c,train,x\n' +
      'images/2.png,"été, 2",,\nimages/3.png,a/b c,validation,\n' +
      `"images/${odd.replaceAll('"', '""')}","été, 2",test,\nimages/5.png,,,\nmore.tar/in/6.png,a/b c,,\n`,
    'b.jsonl': [
      { path: 'images/1.png', label: 'a/b c', split: 'train' },
      { path: 'images/2.png', label: 'été, 2' },
      { path: 'images/3.png', label: 'a/b c', split: 'val' },
      { path: `images/${odd}`, label: 'été, 2', split: 'test' },
      { path: 'images/5.png' },
      { path: join(root, 'more.tar', 'in/6.png'), label: 'a/b c' },
    ]
      .map((row) => JSON.stringify(row))
      .join('\n'),
  });
  const csv = await openDataset(join(root, 'a.csv')),
    jsonl = await openDataset(join(root, 'b.jsonl'));
  assert.deepEqual(csv.classes, ['a/b c', 'été, 2']);
  assert.deepEqual(
    csv.samples.map(({ split, label }) => `${split} ${label}`),
    ['train 0', 'train 1', 'val 0', 'test 1', 'unlabelled -1', 'train 0'],
  );
  assert.ok(csv.samples.some(({ path }) => path === `images/${odd}`));
  assert.deepEqual(csv.unreadable, []);
  assert.equal(jsonl.hash, csv.hash);
});

test('a manifest filled in with a spreadsheet: semicolons, spaces around labels, rows without one', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    'a,b.png': 1,
    '2.png': 2,
    '3.png': 3,
    'a.csv': '\ufeffpath;label;order\r\na,b.png;daisy ;1\r\n2.png; daisy;2\r\n3.png; ;3\r\n',
  });
  const { classes, samples } = await openDataset(join(root, 'a.csv'));
  assert.deepEqual(classes, ['daisy']);
  assert.deepEqual(
    samples.map(({ path, split, label }) => [path, split, label]),
    [
      ['a,b.png', 'train', 0],
      ['2.png', 'train', 0],
      ['3.png', 'unlabelled', -1],
    ],
  );
});

test('mistakes in manifests are named with their line', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, { '1.png': 1 });
  const refusesFile = async (name: string, text: string, message: RegExp): Promise<void> => {
    await writeFile(join(root, name), text);
    await refuses(openDataset(join(root, name)), 'bad-data', message);
  };
  await refusesFile('a.csv', 'where,label\n1.png,a\n', /no column 'path' \(found: where, label\)/);
  await refusesFile('a.csv', 'path,label,Label\n1.png,a,b\n', /2 columns are called 'label'; keep one of them/);
  await refusesFile(
    'a.csv',
    'path,label,is_valid\n1.png,a,maybe\n',
    /line 2: is_valid 'maybe' is neither true nor false/,
  );
  await refusesFile('a.csv', `path,label\n1.png,${'x'.repeat(1000)}\n`, /line 2: a label of 1000 characters/);
  await refusesFile('a.csv', 'path,label,split\n1.png,a,often\n', /line 2: split 'often'/);
  await refusesFile('a.csv', 'path,label\n1.png,a\n1.png,b\n', /listed twice.*lines 2 and 3/);
  await refusesFile('a.csv', 'path,label\n"1.png,a\n', /not a readable CSV file/);
  await refusesFile('a.csv', 'path,label\n', /lists no image/);
  await refusesFile('a.jsonl', '{"path":"1.png","label":"a"}\n{"path":\n', /line 2: not JSON/);
  await refusesFile('a.jsonl', '{"label":"a"}\n', /no column 'path' \(found: label\)/);
  await refusesFile('a.jsonl', '{"path":"1.png"}\n{"label":"a"}\n', /line 2: no path/);
  await writeFile(join(root, 'b.csv'), 'path,label\n1.png,a\n2.png,b\n');
  assert.deepEqual((await openDataset(join(root, 'b.csv'))).unreadable, [
    { path: '2.png', reason: `cannot be read (no such file in ${root})` },
  ]);
});

test('wrong paths are refused in one line', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    'loose/1.png': 1,
    'empty': null,
    'a.txt': 'x',
    'b.zip': 'x',
    'text.tar': 'no tar'.repeat(200),
  });
  await refuses(openDataset(join(root, 'nothing')), 'not-found', /no such file/);
  await refuses(openDataset(join(root, 'loose')), 'bad-data', /its 1 image is not in class folders/);
  await refuses(openDataset(join(root, 'empty')), 'bad-data', /no images found/);
  await refuses(openDataset(join(root, 'a.txt')), 'bad-data', /not a data set/);
  await refuses(openDataset(join(root, 'b.zip')), 'unsupported', /unpack it/);
  await refuses(openDataset(join(root, 'text.tar')), 'bad-data', /not a whole tar archive/);
  await writeTar(join(root, 'cut.tar'), { 'a/1.png': 1, 'b/2.png': 2 });
  await writeFile(join(root, 'cut.tar'), readFileSync(join(root, 'cut.tar')).subarray(0, 1200));
  await refuses(openDataset(join(root, 'cut.tar')), 'bad-data', /not a whole tar archive/);
  await writeFile(join(root, 'zipped.tar'), Buffer.from([0x1f, 0x8b, 8, 0]));
  await refuses(openDataset(join(root, 'zipped.tar')), 'unsupported', /decompress/);
});

test('unlabelled sources add images without labels, each once', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    'data/a/1.png': 1,
    'data/b/2.png': 2,
    'data/unlabelled/3.png': 3,
    'more/x/4.png': 4,
    'more/5.png': 5,
  });
  await writeTar(join(root, 'u.tar'), { 'train/z/6.png': 6 });
  const unlabelled = [join(root, 'more'), join(root, 'u.tar'), join(root, 'data')];
  const dataset = await openDataset(join(root, 'data'), { unlabelled });
  assert.deepEqual(dataset.classes, ['a', 'b']);
  assert.deepEqual(summary(dataset), [
    'train/a/1.png',
    'train/b/2.png',
    ...[3, 4, 5, 6].map((n) => `unlabelled/-/${n}.png`),
  ]);
  assert.match(
    dataset.notes.join(),
    /2 of the images given without labels are its own and keep their labels: .*1\.png, .*2\.png$/,
  );
  assert.equal((await openImages([join(root, 'more', '5.png'), join(root, 'u.tar')])).samples.length, 2);
  // A list among the images names them from its own place.
  await writeFile(join(root, 'more', 'list.csv'), 'path,label\nx/4.png,a\n5.png,\n');
  const listed = await openDataset(join(root, 'more', 'list.csv'), { unlabelled: [join(root, 'more')] });
  assert.deepEqual(
    listed.samples.map(({ path, label }) => [path, label]),
    [
      ['x/4.png', 0],
      ['5.png', -1],
    ],
  );
});

test('given classes fix the index order and refuse others', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, { 'test/b/1.png': 1 });
  const { samples, classes } = await openDataset(root, { classes: ['c', 'b', 'a'] });
  assert.deepEqual([samples[0]!.label, classes], [1, ['c', 'b', 'a']]);
  await refuses(openDataset(root, { classes: ['a'] }), 'bad-data', /class b not known to the model \(a\)$/);
  await refuses(openDataset(root, { classes: ['class 0', 'class 1'] }), 'bad-data', /give them with `classNames`$/);
});

test('the hash is that of content, label and split, not of paths', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    'x/a/1.png': 1,
    'x/b/2.png': 2,
    'y/a/other.png': 1,
    'y/b/z/2.png': 2,
    'z/a/2.png': 2,
    'z/b/1.png': 1,
  });
  const [x, y, z] = await Promise.all(['x', 'y', 'z'].map((name) => openDataset(join(root, name))));
  assert.equal(x!.hash, y!.hash);
  assert.notEqual(x!.hash, z!.hash);
});

test('images in memory make a data set', () => {
  const image = { width: 1, height: 1, data: new Uint8Array([1, 2, 3]) };
  const dataset = datasetOf('digits', ['0', '1'], [{ image, label: 1, split: 'train' }]);
  assert.deepEqual(
    dataset.samples.map(({ path, label, format }) => [path, label, format]),
    [['digits/0', 1, 'pixels']],
  );
});

test('natural order', () => {
  assert.deepEqual(['b10', 'b9', 'B9', 'a', '10', '9'].sort(naturalOrder), ['9', '10', 'a', 'b9', 'B9', 'b10']);
});

const shared = new URL('../../../shared/data/', import.meta.url).pathname;
const skip = existsSync(shared) ? false : 'needs ../shared/data';
test('real folders of photos', { skip }, async () => {
  const dataset = await openDataset(join(shared, 'hymenoptera'));
  assert.deepEqual(dataset.classes, ['ants', 'bees']);
  const counts = (split: string): number => dataset.samples.filter((sample) => sample.split === split).length;
  assert.deepEqual([counts('train'), counts('val'), counts('test')], [244, 153, 0]);
  assert.equal((await readdir(join(shared, 'flowers', 'train'))).length, 5);
});

test('a real archive of 25,000 images', { skip }, async () => {
  const { classes, samples } = await openDataset(join(shared, 'cifar10-25k.tar'));
  assert.equal(classes.length, 10);
  assert.deepEqual(
    [20000, 5000],
    ['train', 'test'].map((split) => samples.filter((sample) => sample.split === split).length),
  );
});

test('what does not exist is refused by what could be given there', async () => {
  await assert.rejects(openDataset('no such place'), {
    code: 'not-found',
    message: /give a folder with one subfolder/,
  });
  await assert.rejects(openImages(['no such.jpg']), {
    code: 'not-found',
    message: /no such file; give an image, a folder of images/,
  });
});
