import assert from 'node:assert/strict';
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { datasetOf } from '../data/dataset.js';
import { createPool } from '../data/pool.js';
import { prepareImages, type PreparedImages } from '../data/prepare.js';
import { evaluationTarget } from '../data/target.js';
import type { Engine } from '../engine/engine.js';
import { createReferenceEngine } from '../engine/reference/index.js';
import { noise, temporaryFolder } from '../testing/image-files.js';
import { tinyModel, tinySize } from '../testing/tiny-model.js';
import { featureBatch } from './features.js';
import { featuresOf } from './stored-features.js';

const model = tinyModel();
/** A value inside the network. */
const earlier = [model.graph.nodes.find(({ name }) => name === 'relu1')!.outputs[0]!];
const all = (count: number): number[] => [...Array(count).keys()];

async function imagesOf(t: TestContext, seeds: readonly number[]): Promise<PreparedImages> {
  const pool = createPool({ workers: 0 });
  t.after(() => pool.close());
  const { samples } = datasetOf(
    'noise',
    ['only'],
    seeds.map((seed, i) => ({ image: noise(seed, tinySize, tinySize), label: 0, split: 'train', path: `noise/${i}` })),
  );
  return prepareImages(samples, { pool, target: evaluationTarget(model.preprocessing) });
}

/** An engine that counts the images that its programs see. */
function counting(): Engine & { seen: number; onRun?: () => void } {
  const engine = createReferenceEngine();
  const counter = Object.assign(Object.create(engine) as Engine, {
    seen: 0,
    onRun: undefined as (() => void) | undefined,
    compile: async (...what: Parameters<Engine['compile']>) => {
      const program = await engine.compile(...what);
      return {
        ...program,
        run: (...feeds: Parameters<typeof program.run>) => {
          counter.seen += feeds[0]['pixels']!.dims[0]!;
          counter.onRun?.();
          return program.run(...feeds);
        },
      };
    },
  });
  return counter;
}

test('the backbone runs once over each image, and what is read is what was computed', async (t) => {
  const cache = join(await temporaryFolder(t), 'features');
  const engine = counting();
  const images = await imagesOf(t, all(40));
  const wanted = { images, subset: all(40), earlier };
  const plain = await featuresOf(engine, model, wanted);
  assert.deepEqual(
    plain.map(({ size }) => size),
    [4, 4],
  );
  assert.deepEqual(await featuresOf(engine, model, { ...wanted, cache }), plain, 'with a cache as without');
  engine.seen = 0;
  assert.deepEqual(await featuresOf(engine, model, { ...wanted, cache }), plain);
  assert.equal(engine.seen, 0);
  const [last] = await featuresOf(engine, model, { images, subset: [7], cache });
  assert.deepEqual(last!.features, plain[0]!.features.slice(28, 32));
  assert.equal(engine.seen, 0, 'fewer layers are there, too');
});

test('where half of the images are known, the others alone are run', async (t) => {
  const cache = join(await temporaryFolder(t), 'features');
  const engine = counting();
  const images = await imagesOf(t, all(4 * featureBatch));
  const half = all(2 * featureBatch).map((i) => 2 * i);
  await featuresOf(engine, model, { images, subset: half, cache });
  assert.equal(engine.seen, half.length);
  const progress: number[] = [];
  const wanted = { images, subset: all(4 * featureBatch), onProgress: (done: number) => progress.push(done) };
  const filled = await featuresOf(engine, model, { ...wanted, cache });
  assert.equal(engine.seen, 4 * featureBatch);
  assert.deepEqual(progress, [64, 96, 128]);
  assert.deepEqual(filled, await featuresOf(engine, model, wanted));
});

test('equal images are run once, a changed one and another layer or network again', async (t) => {
  const cache = join(await temporaryFolder(t), 'features');
  const engine = counting();
  const run = async (seeds: readonly number[], of = model, layers: readonly string[] = []): Promise<number> => {
    engine.seen = 0;
    const images = await imagesOf(t, seeds);
    const wanted = { images, subset: [...seeds.keys()], earlier: layers };
    const found = await featuresOf(engine, of, { ...wanted, cache });
    const { seen } = engine;
    assert.deepEqual(found, await featuresOf(engine, of, wanted));
    return seen;
  };
  const twice = [...all(featureBatch), ...all(featureBatch)];
  assert.equal(await run(twice), featureBatch);
  assert.equal(await run(twice.map((seed, i) => (i === 3 ? 99 : seed))), featureBatch, 'a batch is filled up');
  assert.equal(await run(twice, tinyModel({ seed: 2 })), featureBatch);
  assert.equal(await run(twice, tinyModel({ classes: 5 })), 0, 'the head is no part of it');
  assert.equal(await run(twice, model, earlier), featureBatch);
  assert.equal(await run(twice, model, earlier), 0);
});

test('a damaged file of features is computed again', async (t) => {
  const cache = join(await temporaryFolder(t), 'features');
  const engine = counting();
  const images = await imagesOf(t, all(10));
  const wanted = { images, subset: all(10), cache };
  const right = await featuresOf(engine, model, wanted);
  const file = async (): Promise<string> => {
    const files = (await readdir(cache, { recursive: true })).filter((name) => name.endsWith('.safetensors'));
    assert.equal(files.length, 1, files.join(' '));
    return join(cache, files[0]!);
  };
  const damages: ((path: string) => Promise<void>)[] = [
    async (path) => {
      const bytes = await readFile(path);
      bytes[bytes.length - 7]! ^= 1;
      await writeFile(path, bytes);
    },
    (path) => truncate(path, 100),
    (path) => truncate(path, 0),
    (path) => writeFile(path, 'no safetensors'),
  ];
  for (const damage of damages) {
    await damage(await file());
    engine.seen = 0;
    assert.deepEqual(await featuresOf(engine, model, wanted), right);
    assert.equal(engine.seen, featureBatch);
  }
  await writeFile(join(cache, 'other.txt'), 'kept');
  assert.deepEqual(await featuresOf(engine, model, wanted), right);
});

test('what was computed before an interruption is kept', async (t) => {
  const cache = join(await temporaryFolder(t), 'features');
  const engine = counting();
  const images = await imagesOf(t, all(3 * featureBatch));
  const subset = all(3 * featureBatch);
  const ending = new AbortController();
  engine.onRun = () => engine.seen === 2 * featureBatch && ending.abort();
  await assert.rejects(featuresOf(engine, model, { images, subset, cache, signal: ending.signal }), /abort/i);
  engine.seen = 0;
  const resumed = await featuresOf(engine, model, { images, subset, cache });
  assert.equal(engine.seen, featureBatch);
  assert.deepEqual(resumed, await featuresOf(engine, model, { images, subset }));
});

test('features that are not finite are refused before anything is computed from them', async (t) => {
  const broken = tinyModel();
  for (const { data } of broken.parameters.values()) (data as Float32Array).fill(1e30);
  await assert.rejects(
    featuresOf(createReferenceEngine(), broken, { images: await imagesOf(t, [1]), subset: [0], earlier }),
    { code: 'bad-model', message: /features of some images are not finite/ },
  );
});
