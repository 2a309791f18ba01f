import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';
import { refused } from '../testing/kit.js';
import { input, pipeline, batchesOf, digest, photos, withPool, trainingLoader } from '../testing/loading.js';
import type { Decoding } from '../image/decode.js';
import { openDataset } from './dataset.js';
import { pruneCache } from './disk-cache.js';
import { createEvaluationLoader, createLoader } from './loader.js';
import { type PoolOptions } from './pool.js';
import { makeFingerprints, prepareImages, prepareTogether, wantSizes } from './prepare.js';
import { evaluationTarget, workingTarget } from './target.js';

test('several sizes prepared together equal those prepared alone', async (t) => {
  const dataset = await photos(t);
  const targets = [
    evaluationTarget(input),
    workingTarget(input),
    { kind: 'working', short: 100, interpolation: 'bilinear' },
  ] as const;
  for (const options of [{ workers: 1 }, { workers: 0, memory: 40_000 }]) {
    const pool = await withPool(t, options);
    const together = await prepareTogether(
      targets.map((target, i) => ({ target, samples: dataset.samples.slice(i) })),
      { pool },
    );
    for (const [i, target] of targets.entries()) {
      const samples = dataset.samples.slice(i);
      assert.deepEqual(together[i]!.samples, samples);
      const alone = await prepareImages(samples, { pool: await withPool(t, { workers: 0 }), target });
      const [a, b] = await Promise.all(
        [together[i]!, alone].map((images) =>
          batchesOf(createLoader({ images, classes: 2, pipeline, size: input.size, batchSize: 8 }), 0),
        ),
      );
      assert.deepEqual(a!.map(digest), b!.map(digest));
    }
  }
});

test('images that the trainings of a job share are decoded once, and stay when one of them ends', async (t) => {
  const { samples } = await photos(t);
  const half = samples.slice(0, samples.length / 2);
  for (const options of [{}, { memory: 10_000 }]) {
    const pool = await withPool(t, { workers: 0, ...options });
    const decoded: string[] = [];
    const run = pool.run.bind(pool);
    pool.run = (task) => {
      if (task.kind === 'decode') decoded.push(...task.items.map(({ path }) => path));
      return run(task);
    };
    const target = evaluationTarget(input);
    const first = await prepareImages(half, { pool, target, share: true });
    first.close();
    const { used } = pool.memory;
    const requests = [
      { samples, target },
      { samples: half, target: workingTarget(input) },
    ];
    const [all] = await prepareTogether(requests, { pool, share: true });
    assert.deepEqual(
      decoded,
      [...half, ...samples].map(({ path }) => path),
      'for the second size once more',
    );
    const again = await prepareTogether(requests, { pool, share: true });
    assert.equal(decoded.length, half.length + samples.length);
    assert.deepEqual(again[0]!.held, all!.held);
    assert.ok(pool.memory.used >= used && pool.memory.used <= pool.memory.limit);
    const alone = await prepareImages(samples, { pool: await withPool(t, { workers: 0 }), target });
    const [a, b] = await Promise.all(
      [again[0]!, alone].map((images) => batchesOf(createEvaluationLoader({ images, classes: 2, batchSize: 8 }), 0)),
    );
    assert.deepEqual(a!.map(digest), b!.map(digest));
  }
});

test('what was shared is found by another pool, and one decoding makes all sizes that are wanted', async (t) => {
  const { samples } = await photos(t);
  const targets = [evaluationTarget(input), workingTarget(input)] as const;
  const cacheFolder = await temporaryFolder(t);
  const decoded: string[] = [];
  const count = (message: unknown): void => void decoded.push((message as Decoding).where);
  subscribe('pupil:decode', count);
  t.after(() => unsubscribe('pupil:decode', count));
  const prepared = async (options: PoolOptions, wanted = true): Promise<{ digests: string[]; held: object }> => {
    const pool = await withPool(t, { workers: 0, cacheFolder, ...options });
    if (wanted) wantSizes(pool, [{ samples, targets }]);
    await makeFingerprints(samples, { pool });
    const digests: string[] = [];
    let held = {};
    for (const target of targets) {
      const images = await prepareImages(samples, { pool, target, share: true });
      held = images.held;
      digests.push(
        ...(await batchesOf(createLoader({ images, classes: 2, pipeline, size: input.size, batchSize: 8 }), 0)).map(
          digest,
        ),
      );
    }
    await pool.close();
    return { digests, held };
  };
  const names = samples.map(({ path }) => path).sort();
  const first = await prepared({});
  assert.deepEqual([...decoded].sort(), names, 'once for fingerprints and both sizes');
  decoded.length = 0;
  assert.deepEqual(await prepared({}), first);
  assert.deepEqual(await prepared({}, false), first);
  const little = await prepared({ memory: 5000 });
  assert.deepEqual(little.digests, first.digests);
  assert.notDeepEqual(little.held, first.held);
  assert.equal(decoded.length, 0, 'found in the cache');
  const folder = join(cacheFolder, 'decoded-3');
  for (const name of (await readdir(folder, { recursive: true })).filter((one) => one.endsWith('.rgb')))
    await writeFile(join(folder, name), (await readFile(join(folder, name))).fill(0, 100));
  assert.deepEqual((await prepared({ memory: 5000 })).digests, first.digests, 'a damaged file is not served');
  decoded.length = 0;
  await rm(folder, { recursive: true });
  assert.deepEqual(await prepared({}), first);
  assert.deepEqual([...decoded].sort(), names, 'once for the size that is asked for first, and the other one');
  // Where not all sizes fit, nothing is made that is not asked for.
  decoded.length = 0;
  await rm(cacheFolder, { recursive: true });
  assert.deepEqual((await prepared({ memory: 10_000, disk: 10_000 })).digests, first.digests);
  assert.ok(decoded.length >= 3 * names.length);
});

test('a corrupt file is left out and listed, the rest is trained on', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, {
    'a/1.png': 1,
    'a/2.png': 2,
    'b/3.png': 3,
    'b/bad.png': (await noisePng(4)).subarray(0, 900),
  });
  const dataset = await openDataset(root);
  const progress: number[] = [];
  const images = await prepareImages(dataset.samples, {
    pool: await withPool(t, { workers: 1 }),
    target: workingTarget(input),
    onProgress: (done, total) => progress.push(done / total),
  });
  assert.equal(progress.at(-1), 1);
  assert.deepEqual(
    images.samples.map(({ path }) => path.slice(root.length + 1)),
    ['a/1.png', 'a/2.png', 'b/3.png'],
  );
  assert.deepEqual(
    images.unreadable.map(({ path }) => path.slice(root.length + 1)),
    ['b/bad.png'],
  );
  assert.match(images.unreadable[0]!.reason, /^cannot be decoded as PNG/);
});

test('images beyond the memory limit go to disk, beyond its limit are decoded again: the same batches', async (t) => {
  const dataset = await photos(t);
  const imageBytes = 24 * 20 * 3;
  const run = async (options: PoolOptions): Promise<{ held: object; digests: string[]; folder: string }> => {
    const pool = await withPool(t, { workers: 1, ...options });
    const images = await prepareImages(dataset.samples, {
      pool,
      target: { kind: 'working', short: 100, interpolation: 'bilinear' },
    });
    assert.ok(pool.memory.used <= pool.memory.limit);
    const loader = createLoader({ images, classes: 2, pipeline, size: input.size, batchSize: 5 });
    const digests = (await batchesOf(loader, 0)).map(digest);
    images.close();
    assert.equal(pool.memory.used, 0);
    return { held: images.held, digests, folder: pool.cacheFolder };
  };
  const memory = await run({});
  assert.deepEqual(memory.held, { memory: 23, disk: 0, source: 0 });
  const disk = await run({ memory: 4 * imageBytes });
  assert.deepEqual(disk.held, { memory: 4, disk: 19, source: 0 });
  const files = (await readdir(disk.folder, { recursive: true })).filter((name) => name.endsWith('.rgb'));
  assert.equal(files.length, 19);
  const none = await run({ memory: 0, disk: 0 });
  assert.deepEqual(none.held, { memory: 0, disk: 0, source: 23 });
  await writeFile(join(disk.folder, 'a file'), '');
  const refused = await run({ memory: 0, cacheFolder: join(disk.folder, 'a file') });
  assert.deepEqual(refused.held, { memory: 0, disk: 0, source: 23 });
  for (const { digests } of [disk, none, refused]) assert.deepEqual(digests, memory.digests);
  // A second run finds the files; damaged and lost ones are made again.
  await writeFile(join(disk.folder, files[0]!), 'damaged');
  await rm(join(disk.folder, files[1]!));
  assert.deepEqual((await run({ memory: 0, cacheFolder: disk.folder })).digests, memory.digests);
  await pruneCache(disk.folder, 10 * (imageBytes + 28));
  assert.equal((await readdir(disk.folder, { recursive: true })).filter((name) => name.endsWith('.rgb')).length, 10);
});

test('a file that vanishes after preparing is named', async (t) => {
  const dataset = await photos(t);
  for (const workers of [0, 1]) {
    const pool = await withPool(t, { workers, memory: 0, disk: 0 });
    const loader = await trainingLoader(dataset, pool, { shuffle: false });
    await rm(dataset.samples[0]!.path, { force: true });
    await assert.rejects(batchesOf(loader, 0), refused('bad-data', /^\S*0\.png: .*has the file changed/));
    await writeFile(dataset.samples[0]!.path, await noisePng(0));
  }
});

test('closing a pool rejects what waits; an aborted preparation stops', async (t) => {
  const dataset = await photos(t);
  const pool = await withPool(t, { workers: 1 });
  const waiting = prepareImages(dataset.samples, { pool, target: workingTarget(input) });
  const rejected = assert.rejects(waiting);
  await pool.close();
  await rejected;
  const other = await withPool(t, { workers: 0 });
  await assert.rejects(
    prepareImages(dataset.samples, { pool: other, target: workingTarget(input), signal: AbortSignal.abort() }),
    /abort/i,
  );
  assert.equal(other.memory.used, 0);
});
