import assert from 'node:assert/strict';
import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../testing/image-files.js';
import { openFeatureCache, openFeatureStore, type LayerRows } from './feature-store.js';

const size = 8;
const hash = (image: number): string => image.toString(16).padStart(32, '0');
/** Rows that tell of which image they are. */
const rowsOf = (images: readonly number[]): LayerRows => ({
  name: 'last',
  size,
  features: Float32Array.from({ length: images.length * size }, (_, i) => images[Math.floor(i / size)]!),
});
const empty = (images: readonly number[]): LayerRows => ({ ...rowsOf(images.map(() => NaN)) });
const hashes = (images: readonly number[]): string[] => images.map(hash);
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

async function knownIn(
  store: ReturnType<typeof openFeatureStore>,
  images: readonly number[],
  places?: readonly number[],
) {
  const layer = empty(images);
  const missing = new Set(await store.fill(hashes(images), [layer], places));
  for (const place of (places ?? [...images.keys()]).filter((one) => !missing.has(one)))
    assert.deepEqual(
      [...layer.features.subarray(place * size, (place + 1) * size)],
      Array.from({ length: size }, () => images[place]),
    );
  return [...missing].map((place) => images[place]);
}

test('features that several commands added are found, at the places that are asked for', async (t) => {
  const root = await temporaryFolder(t);
  const [one, other] = [openFeatureCache(root, 'network', 1e6), openFeatureCache(root, 'network', 1e6)];
  const [first, second] = [range(0, 10), range(5, 15)];
  await Promise.all([one.add(hashes(first), [rowsOf(first)]), other.add(hashes(second), [rowsOf(second)])]);
  assert.deepEqual(await knownIn(one, range(0, 20)), range(15, 20));
  assert.deepEqual(await knownIn(other, range(0, 20), [3, 12, 19]), [19]);
  assert.deepEqual(await knownIn(openFeatureCache(root, 'other network', 1e6), [1]), [1]);
  assert.equal((await readdir(join(root, 'network'))).length, 2);
});

test('files that were used longest ago leave, over all networks; one that cannot fit is not added', async (t) => {
  const root = await temporaryFolder(t);
  const add = async (key: string, images: readonly number[], limit = 1e6): Promise<void> => {
    const before = new Set(await readdir(root, { recursive: true }));
    await openFeatureCache(root, key, limit).add(hashes(images), [rowsOf(images)]);
    // So long ago as is left to add.
    const time = new Date(Date.now() - 1e6 * (100 - images[0]!));
    for (const name of await readdir(root, { recursive: true }))
      if (name.endsWith('.safetensors') && !before.has(name)) await utimes(join(root, name), time, time);
  };
  await add('a', range(0, 10));
  await add('b', range(10, 20));
  await add('a', range(20, 30));
  const files = (await readdir(root, { recursive: true })).filter((name) => name.endsWith('.safetensors'));
  const { size: bytes } = await stat(join(root, files[0]!));
  const at = (key: string) => openFeatureCache(root, key, 1e6);
  assert.deepEqual(await knownIn(at('a'), [0]), [], 'the oldest is used');
  await add('b', range(30, 40), 3 * bytes);
  assert.deepEqual(await knownIn(at('b'), [10, 30]), [10]);
  assert.deepEqual(await knownIn(at('a'), [0, 20]), []);
  await add('a', range(40, 50), 100);
  assert.deepEqual(await knownIn(at('a'), [0, 20, 40]), [40]);
});

test('where nothing can be written, nothing is kept, and a run says so', async (t) => {
  const root = await temporaryFolder(t);
  await mkdir(join(root, 'cache'));
  await writeFile(join(root, 'cache', 'network'), 'a file');
  const cache = openFeatureCache(join(root, 'cache'), 'network', 1e6);
  await cache.add(hashes([1]), [rowsOf([1])]);
  assert.deepEqual(await knownIn(cache, [1]), [1]);
  await assert.rejects(openFeatureStore(join(root, 'cache', 'network')).add(hashes([1]), [rowsOf([1])]), {
    name: 'PupilError',
  });
});
