/** Data sets of noise that is more or less of one colour: small, and soon learned. */
import { datasetOf } from '../data/dataset.js';
import type { Dataset, Split } from '../data/sample.js';
import type { Image } from '../image/image.js';
import { Random } from '../random.js';

/** Noise, 16x16, with `more` (of 255) of one channel. */
export function blob(channel: number, seed: number, more = 80): Image {
  const random = new Random(seed, 'blob', channel);
  return {
    width: 16,
    height: 16,
    data: Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => random.integer(150) + (i % 3 === channel ? more : 0)),
  };
}

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
