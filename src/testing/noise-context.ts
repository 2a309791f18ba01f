import type { TestContext } from 'node:test';
import { datasetOf } from '../data/dataset.js';
import { createPool } from '../data/pool.js';
import { prepareImages } from '../data/prepare.js';
import { workingTarget } from '../data/target.js';
import type { BatchContext } from '../runs/batches.js';
import type { RunImages } from '../runs/images.js';
import type { FixedSettings } from '../runs/phases.js';
import { resolveSettings, type TrainOptions } from '../runs/resolve.js';
import { noise, temporaryFolder } from './image-files.js';
import { tinyModel } from './tiny-model.js';

/** Five labelled images of three classes and sixteen without labels, on an 8x8 network. */
export async function noiseContext(
  t: TestContext,
  options: TrainOptions,
  more: Partial<RunImages> = {},
): Promise<BatchContext> {
  const { batchSize = 2 } = options as { readonly batchSize?: number };
  const dataset = datasetOf(
    'noise',
    ['a', 'b', 'c'],
    Array.from({ length: 21 }, (_, i) => ({
      image: noise(i, 12, 12),
      label: i < 5 ? i % 3 : -1,
      split: i < 5 ? 'train' : 'unlabelled',
    })),
  );
  const model = tinyModel(),
    pool = createPool({ workers: 1, cacheFolder: await temporaryFolder(t) });
  t.after(() => pool.close());
  const images = await prepareImages(dataset.samples, { pool, target: workingTarget(model.preprocessing) });
  return {
    model,
    teachers: [],
    batchSize,
    firstEpoch: 0,
    epochs: 3,
    learnFrom: [0, 1, 2, 3, 4],
    settings: resolveSettings(undefined, { ...options, batchSize }) as FixedSettings,
    images: {
      dataset,
      evaluation: images,
      training: images,
      unlabelled: Array.from({ length: 16 }, (_, i) => i + 5),
      ...more,
    } as unknown as RunImages,
  };
}
