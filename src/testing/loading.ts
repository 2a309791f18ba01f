/** Small data sets and loaders of them, for tests. */
import { createHash } from 'node:crypto';
import { type TestContext } from 'node:test';
import { trainPipeline } from '../augment/presets.js';
import { temporaryFolder, writeTree } from './image-files.js';
import { openDataset } from '../data/dataset.js';
import { createLoader, type Batch, type Loader, type LoaderOptions } from '../data/loader.js';
import { createPool, type Pool, type PoolOptions } from '../data/pool.js';
import { prepareImages } from '../data/prepare.js';
import { makePreprocessing } from '../data/preprocessing.js';
import type { Dataset } from '../data/sample.js';
import { workingTarget } from '../data/target.js';

export const size = 16;
export const input = makePreprocessing(size);
export const pipeline = trainPipeline('basic', input);

export async function batchesOf(loader: Loader, epoch: number, start?: number): Promise<Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of loader.batches(epoch, start)) batches.push(batch);
  return batches;
}
export const digest = ({ pixels, labels, targets, indexes, paths, mix, step }: Batch): string =>
  createHash('sha256')
    .update(pixels)
    .update(JSON.stringify([[...labels], [...targets], [...indexes], paths, mix, step]))
    .digest('hex');

/** Two classes of 14 and 9 images. */
export async function photos(t: TestContext): Promise<Dataset> {
  const root = await temporaryFolder(t);
  const files = Array.from({ length: 23 }, (_, i) => [`${i < 14 ? 'a' : 'b'}/${i}.png`, i] as const);
  await writeTree(root, Object.fromEntries(files));
  return openDataset(root);
}
export async function withPool(t: TestContext, options: PoolOptions): Promise<Pool> {
  const pool = createPool({ cacheFolder: await temporaryFolder(t), ...options });
  t.after(() => pool.close());
  return pool;
}
export type Extra = Partial<Omit<LoaderOptions, 'images' | 'classes' | 'pipeline' | 'size'>>;
export async function trainingLoader(dataset: Dataset, pool: Pool, extra: Extra = {}): Promise<Loader> {
  const images = await prepareImages(dataset.samples, { pool, target: workingTarget(input) });
  return createLoader({
    images,
    classes: dataset.classes.length,
    pipeline,
    size: input.size,
    batchSize: 5,
    seed: 4,
    ...extra,
  });
}
