import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodePng } from '../image/decode.js';
import type { Image } from '../image/image.js';
import { resizeShort } from '../image/resize.js';
import { Random } from '../random.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { findAlike, withGroups } from './alike.js';
import { openDataset } from './dataset.js';
import { describeDataset, inspectImages } from './describe.js';
import { fingerprint } from './fingerprint.js';
import { groupAlike, groupMeasured } from './grouping.js';
import { createNeighbours } from './neighbours.js';
import { createPool } from './pool.js';
import type { Sample } from './sample.js';
import { holdOut, kFolds } from './split.js';

/** A picture of soft waves that no other seed repeats. */
function picture(seed: number, width = 160, height = 120): Image {
  const random = new Random(seed, 'waves');
  const draw = (scale: number): number => random.uniform() * scale;
  const waves = Array.from({ length: 12 }, () => [draw(30) - 15, draw(30) - 15, draw(6.3), 10 + draw(25)] as const);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let value = 128;
      for (const [fx, fy, phase, size] of waves) value += size * Math.sin((fx * x) / width + (fy * y) / height + phase);
      data.fill(Math.max(0, Math.min(255, value)), (y * width + x) * 3, (y * width + x) * 3 + 3);
    }
  return { width, height, data };
}

const changed = ({ width, height, data }: Image, change: (value: number, i: number) => number): Image => ({
  width,
  height,
  data: data.map((value, i) => Math.max(0, Math.min(255, change(value, i)))),
});

function cropped(image: Image, left: number): Image {
  const width = image.width - left;
  const data = new Uint8Array(width * image.height * 3);
  for (let y = 0; y < image.height; y++)
    data.set(image.data.subarray((y * image.width + left) * 3, (y + 1) * image.width * 3), y * width * 3);
  return { width, height: image.height, data };
}

const sampleOf = (hash: string, label = 0): Sample => ({
  path: hash,
  label,
  split: 'train',
  source: { kind: 'file', path: hash },
  hash,
  format: 'PNG',
  bytes: 1,
});

test('an image is found again when resized, noisy, brighter or cropped; others are not alike', async () => {
  const noise = new Random(1, 'noise');
  const changes: Record<string, (image: Image) => Image> = {
    half: (image) => resizeShort(image, 60, 'bilinear'),
    noisy: (image) => changed(image, (value) => value + noise.uniform() * 24 - 12),
    brighter: (image) => changed(image, (value) => value * 0.95 + 6),
    coarse: (image) => changed(image, (value) => Math.round(value / 16) * 16),
    cropped: (image) => cropped(image, 2),
  };
  const images = new Map(Array.from({ length: 25 }, (_, i) => [`${i}`, picture(i)]));
  for (const [name, change] of Object.entries(changes)) images.set(`0 ${name}`, change(picture(0)));
  const prints = new Map([...images].map(([name, image]) => [name, fingerprint(image)]));
  const pairs = await findAlike(
    [...images.keys()].map((name) => sampleOf(name)),
    (hash) => prints.get(hash),
  );
  const expected = Object.keys(changes).map((name) => `0 ${name}`);
  assert.deepEqual(
    pairs.filter(({ first }) => first.hash === '0').map(({ second }) => second.hash),
    expected,
  );
  assert.ok(pairs.every(({ first, second }) => first.hash.startsWith('0') && second.hash.startsWith('0 ')));
});

/** Looks in groups of three: near each other within a group, far from other groups. */
function groupsOfLooks(groups: number): Map<string, string> {
  const random = new Random(2, 'looks');
  const looks = new Map<string, string>();
  for (let group = 0; group < groups; group++) {
    const bytes = Buffer.from(Array.from({ length: 32 }, () => random.integer(256)));
    for (let i = 0; i < 3; i++) {
      const near = Buffer.from(bytes);
      for (let flip = 0; flip < 3 * i; flip++) near[4 + random.integer(28)]! ^= 1 << random.integer(8);
      if (i > 0) near[random.integer(4)]! ^= 1 << random.integer(8);
      looks.set(`${group} ${i}`, near.toString('hex'));
    }
  }
  return looks;
}

test('looks are compared once, however often they are asked for, and many of them in bounded time', async () => {
  const all = groupsOfLooks(3000);
  const groupsIn = (near: ReadonlyMap<string, readonly string[]>): number =>
    [...near].filter(([hash, others]) => others.length === 2 && others.every((other) => sameGroup(hash, other))).length;
  const sameGroup = (one: string, other: string): boolean => one.split(' ')[0] === other.split(' ')[0];
  const neighbours = createNeighbours();
  const parts = [...all].slice(0, 4000);
  await neighbours.among(new Map(parts));
  assert.equal(groupsIn(await neighbours.among(all)), all.size);
  const began = performance.now();
  for (let i = 0; i < 20; i++) await neighbours.among(all);
  assert.ok(performance.now() - began < 1000, 'nothing is compared again');
  const many = groupsOfLooks(34_000);
  assert.equal(groupsIn(await createNeighbours().among(many)), many.size);
});

test('what has little to see, or few pixels, looks like nothing else', () => {
  const flat = (value: number): Image => ({ width: 40, height: 40, data: new Uint8Array(4800).fill(value) });
  assert.equal(fingerprint(flat(7)).look, '');
  assert.equal(fingerprint(picture(1, 31, 40)).look, '');
  assert.notEqual(fingerprint(picture(1, 32, 40)).look, '');
});

test('images that look alike are held out together, in any fold, but not where most do', () => {
  const samples = Array.from({ length: 60 }, (_, i) => sampleOf(`hash ${i}`, i % 2));
  const pair = (a: number, b: number): { first: Sample; second: Sample; samePixels: boolean } => ({
    first: samples[a]!,
    second: samples[b]!,
    samePixels: false,
  });
  const grouped = withGroups(samples, [pair(0, 2), pair(2, 4), pair(1, 3), pair(10, 12)]);
  assert.deepEqual(new Set(grouped.flatMap(({ group }) => group ?? [])).size, 3);
  const together = (chosen: readonly Sample[], ...indexes: number[]): boolean =>
    new Set(indexes.map((i) => chosen.some(({ hash }) => hash === `hash ${i}`))).size === 1;
  for (const { selection } of [...kFolds(grouped, 5), holdOut(grouped, 0.2)]) {
    assert.ok(together(selection, 0, 2, 4));
    assert.ok(together(selection, 1, 3));
    assert.ok(together(selection, 10, 12));
  }
  const most = Array.from({ length: 20 }, (_, i) => pair(0, 2 * i + 2));
  assert.ok(withGroups(samples, most).every(({ group }) => group === undefined));
});

test('images of val that look alike are a group in val, with none of another split', () => {
  const samples = Array.from({ length: 8 }, (_, i): Sample => ({
    ...sampleOf(`hash ${i}`, i % 2),
    split: i < 4 ? 'train' : i < 7 ? 'val' : 'test',
  }));
  const pairs = [
    [0, 4],
    [4, 6],
    [6, 7],
  ].map(([a, b]) => ({ first: samples[a!]!, second: samples[b!]!, samePixels: true }));
  assert.deepEqual(
    groupMeasured(samples, pairs).map(({ group }) => group),
    samples.map((_, i) => (i === 4 || i === 6 ? 'hash 4' : undefined)),
  );
});

test('doctor names what looks alike, and remembers it; a training keeps it together', async (t) => {
  const root = await temporaryFolder(t);
  const png = (image: Image): Promise<Uint8Array> => encodePng(image);
  const twin = await png(picture(1));
  await writeTree(root, {
    'train/a/1.png': twin,
    'train/a/2.png': await png(picture(2)),
    'train/a/3.png': await png(picture(3)),
    'train/a/3 half.png': await png(resizeShort(picture(3), 60, 'bilinear')),
    'train/b/4.png': await png(picture(4)),
    'train/b/4 small.png': await png(resizeShort(picture(4), 90, 'bilinear')),
    'train/b/2 again.png': await png(changed(picture(2), (value) => value + 3)),
    'val/a/1.png': Buffer.concat([twin, Buffer.from('more bytes behind the picture')]),
    'val/b/4.png': await png(changed(picture(4), (value) => value * 0.9)),
    'unlabelled/5.png': await png(picture(5)),
  });
  const dataset = await openDataset(root);
  const pool = createPool({ workers: 0, cacheFolder: join(root, 'cache') });
  const inspection = await inspectImages(dataset, pool);
  const found = describeDataset(dataset, inspection).warnings.filter(({ kind }) => kind === 'alike');
  const names = found.map(({ message }) => message.replaceAll(`${root}/`, ''));
  assert.match(names[0]!, /^1 image with the same pixels as one of another split.*: train\/a\/1.png = val\/a\/1.png$/);
  assert.match(names[1]!, /^1 image nearly the same as one of another split.*train\/b\/4 small.png = val\/b\/4.png/);
  assert.match(names[2]!, /^1 image nearly the same as one with another label: .*2\.png \(a\) = .*2 again\.png \(b\)/);
  assert.match(names[3]!, /^2 images nearly the same as another \(kept together/);
  // Known from now on: nothing is decoded any more.
  const later = createPool({ workers: 0, cacheFolder: join(root, 'cache') });
  const inTrain = { ...dataset, samples: dataset.samples.filter(({ split }) => split !== 'val') };
  let decoded = 0;
  const grouped = await groupAlike(inTrain, { seed: 0 }, { pool: later, onProgress: () => decoded++ });
  assert.equal(decoded, 0);
  const groups = new Map<string, string[]>();
  for (const { group, path } of grouped.samples)
    if (group !== undefined) groups.set(group, [...(groups.get(group) ?? []), path.slice(root.length + 1)]);
  assert.deepEqual([...groups.values()].map((paths) => paths.sort().join()).sort(), [
    'train/a/2.png,train/b/2 again.png',
    'train/a/3 half.png,train/a/3.png',
    'train/b/4 small.png,train/b/4.png',
  ]);
  assert.equal(grouped.hash, inTrain.hash);
  assert.ok(existsSync(join(root, 'cache', 'fingerprints-1')) && (await readdir(join(root, 'cache'))).length === 1);
});
