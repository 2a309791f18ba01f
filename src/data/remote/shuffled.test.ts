import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pack } from 'tar-stream';
import { startFileServer, type FileServer } from '../../testing/file-server.js';
import { noisePng, temporaryFolder, writeTree } from '../../testing/image-files.js';
import { batchesOf, digest, input, pipeline, withPool } from '../../testing/loading.js';
import { openDataset } from '../dataset.js';
import { createLoader, type Batch, type Loader, type LoaderOptions } from '../loader.js';
import type { PoolOptions } from '../pool.js';
import { prepareImages } from '../prepare.js';
import type { Dataset } from '../sample.js';
import { workingTarget } from '../target.js';

/** Training from archives on a host that no cache holds, read piece by piece. */

const [shards, each, side] = [4, 40, 96];
/** About 280 kB, 10 images, are read at once; about 40 wait in the buffer. */
const shuffle = { buffer: 1_120_000, piece: 280_000 };

/** One archive, class by class. */
async function tarOf(first: number): Promise<Uint8Array> {
  const archive = pack();
  for (let i = 0; i < each; i++)
    archive.entry(
      { name: `${i < each / 2 ? 'a' : 'b'}/${first + i}.png` },
      Buffer.from(await noisePng(first + i, side, side)),
    );
  archive.finalize();
  const parts: Uint8Array[] = [];
  for await (const part of archive as AsyncIterable<Uint8Array>) parts.push(part);
  return Buffer.concat(parts);
}

async function start(t: TestContext): Promise<{ host: FileServer; dataset: Dataset }> {
  const files = await Promise.all(Array.from({ length: shards }, (_, i) => tarOf(1000 * i)));
  const host = await startFileServer(t, Object.fromEntries(files.map((bytes, i) => [`train-00${i}.tar`, bytes])));
  const variables = { PUPIL_CACHE: join(await temporaryFolder(t), 'cache'), PUPIL_SHARD_CACHE: '1000' };
  Object.assign(process.env, variables);
  t.after(() => {
    for (const name of Object.keys(variables)) delete process.env[name];
  });
  return { host, dataset: await openDataset(`${host.address}/train-{000..003}.tar`) };
}

/** A loader of images that are kept nowhere. */
async function loaderOf(
  t: TestContext,
  { samples }: Dataset,
  { workers = 0, ...more }: Partial<LoaderOptions> & PoolOptions,
): Promise<Loader> {
  const pool = await withPool(t, { workers, memory: 0, disk: 0 });
  const images = await prepareImages(samples, { pool, target: workingTarget(input) });
  assert.deepEqual(images.held, { memory: 0, disk: 0, source: samples.length });
  return createLoader({ images, classes: 2, pipeline, size: input.size, batchSize: 8, seed: 4, ...more });
}

/** Requests for bytes of archives while `work` is done. */
async function requestsOf<T>(host: FileServer, work: () => Promise<T>): Promise<{ result: T; requests: number }> {
  host.log.length = 0;
  const result = await work();
  return { result, requests: host.log.filter((line) => /\.tar .*$/.test(line)).length };
}

const shown = (batches: readonly Batch[]): string[] => batches.flatMap(({ paths }) => paths).sort();

test('a piece of an archive is fetched once an epoch, where each image was; a training goes on anywhere', async (t) => {
  const { host, dataset } = await start(t);
  const all = dataset.samples.map(({ path }) => path).sort();
  const one = await loaderOf(t, dataset, { shuffle: 'all' });
  const before = await requestsOf(host, () => batchesOf(one, 0));
  assert.deepEqual(shown(before.result), all);
  const byPieces = await loaderOf(t, dataset, { shuffle });
  const first = await requestsOf(host, () => batchesOf(byPieces, 0));
  assert.deepEqual(shown(first.result), all);
  // Not what is still in memory from the first epoch.
  const other = await loaderOf(t, dataset, { shuffle });
  const second = await requestsOf(host, () => batchesOf(other, 1));
  assert.deepEqual(shown(second.result), all);
  assert.notDeepEqual(
    second.result.map(({ paths }) => paths),
    first.result.map(({ paths }) => paths),
  );
  t.diagnostic(`requests in an epoch of ${all.length} images: ${before.requests} before, ${first.requests} by pieces`);
  assert.ok(before.requests > 100, `${before.requests} requests`);
  // 4 archives of 1.1 MB; the last piece of each may be short.
  for (const { requests } of [first, second]) assert.ok(requests <= 4 * 5, `${requests} requests`);
  const resumed = await loaderOf(t, dataset, { shuffle, workers: 2 });
  const rest = await requestsOf(host, () => batchesOf(resumed, 0, 11));
  assert.deepEqual(rest.result.map(digest), first.result.slice(11).map(digest));
  assert.ok(rest.requests <= 4 * 5, `${rest.requests} requests`);
});

test('several ranks show parts of the same batches, two views the same images, read once', async (t) => {
  const { host, dataset } = await start(t);
  const mixing = { cutmix: 1, mixup: 0, probability: 1 };
  for (const more of [{}, { mixing }]) {
    const whole = await batchesOf(await loaderOf(t, dataset, { shuffle, dropLast: true, ...more }), 0);
    const parts: Batch[][] = [];
    for (const rank of [0, 1]) {
      const loader = await loaderOf(t, dataset, { shuffle, dropLast: true, slice: { rank, size: 2 }, ...more });
      const { result, requests } = await requestsOf(host, () => batchesOf(loader, 0));
      assert.ok(requests <= 4 * 5, `${requests} requests of rank ${rank}`);
      parts.push(result);
    }
    for (const [step, { pixels, indexes }] of whole.entries()) {
      const [a, b] = parts.map((batches) => batches[step]!) as [Batch, Batch];
      assert.deepEqual([...a.allIndexes], [...indexes]);
      assert.deepEqual(Buffer.concat([a.pixels, b.pixels]), Buffer.from(pixels));
    }
  }
  const pool = await withPool(t, { workers: 2, memory: 0, disk: 0 });
  const images = await prepareImages(dataset.samples, { pool, target: workingTarget(input) });
  const [weak, strong] = ['weak', 'strong'].map((view) =>
    createLoader({ images, classes: 2, pipeline, size: input.size, batchSize: 8, seed: 4, shuffle, view }).batches(0),
  );
  const both = await requestsOf(host, async () => {
    for await (const batch of weak!) {
      const other = await strong!.next();
      assert.deepEqual((other.value as Batch).paths, batch.paths);
    }
  });
  assert.ok(both.requests <= 4 * 5, `${both.requests} requests of two views`);
});

test('balanced epochs, folders beside archives, and a host that gives no parts', async (t) => {
  const { host, dataset } = await start(t);
  const folder = await temporaryFolder(t);
  await writeTree(folder, { 'a/x.png': 5000, 'b/y.png': 5001, 'b/z.png': 5002 });
  const { samples } = await openDataset(folder);
  const mixed = { ...dataset, samples: [...dataset.samples.slice(0, 60), ...samples] };
  const loader = await loaderOf(t, mixed, { shuffle, balance: true });
  const { result, requests } = await requestsOf(host, () => batchesOf(loader, 0));
  const labels = result.flatMap((batch) => [...batch.labels]);
  assert.ok(Math.abs(labels.filter((label) => label === 0).length - labels.length / 2) <= 1);
  assert.ok(requests <= 2 * 5, `${requests} requests`);
  host.ranges = false;
  const whole = `${host.address}/whole`;
  for (const [name, bytes] of [...host.files]) host.files.set(`whole/${name}`, bytes);
  const plain = await openDataset(`${whole}/train-{000..003}.tar`);
  const batches = await batchesOf(await loaderOf(t, plain, { shuffle }), 0);
  assert.equal(new Set(shown(batches)).size, shards * each);
});

test('what fails on its way is fetched again, and an error names the archive', async (t) => {
  const { host, dataset } = await start(t);
  const [loader, another] = [await loaderOf(t, dataset, { shuffle }), await loaderOf(t, dataset, { shuffle })];
  host.faults.push('cut', 'busy', 'cut');
  assert.equal(new Set(shown(await batchesOf(loader, 0))).size, shards * each);
  assert.deepEqual(host.faults, []);
  host.files.clear();
  await assert.rejects(batchesOf(another, 0), /train-00\d\.tar: the host has no such file/);
});

test('archives on this disk are shuffled by pieces where that is asked for', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { 'train-000.tar': await tarOf(0), 'train-001.tar': await tarOf(1000) });
  const dataset = await openDataset(folder);
  const [usual, all, byPieces] = await Promise.all(
    ([true, 'all', 'shards'] as const).map(async (how) =>
      batchesOf(await loaderOf(t, dataset, { shuffle: how, workers: 1 }), 0),
    ),
  );
  assert.deepEqual(usual!.map(digest), all!.map(digest));
  assert.notDeepEqual(byPieces!.map(digest), all!.map(digest));
  assert.deepEqual(shown(byPieces!), shown(all!));
});
