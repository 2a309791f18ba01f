import { datasetOf } from '../data/dataset.js';
import type { Dataset, Split } from '../data/sample.js';
import { blob } from './image-files.js';

/** Red and blue blobs: so many of each class in each split. */
export function blobs(counts: Readonly<Partial<Record<Split, number>>>, more?: number): Dataset {
  let seed = 0;
  return datasetOf(
    'blobs',
    ['red', 'blue'],
    (Object.entries(counts) as [Split, number][]).flatMap(([split, count]) =>
      Array.from({ length: 2 * count }, (_, i) => ({
        image: blob(2 * (i % 2), seed, more),
        label: i % 2,
        split,
        path: `blobs/${split}/${seed++}`,
      })),
    ),
  );
}

/** A small training that learns blobs. */
export const blobTraining = {
  mode: 'scratch',
  model: 'convnet-small',
  size: 16,
  batchSize: 4,
  optimizer: 'adamw',
  lr: 0.003,
  flip: false,
  threads: 1,
  workers: 0,
  seed: 1,
} as const;
