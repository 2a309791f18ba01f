import type { Dataset } from '../data/sample.js';
import type { Image } from '../image/image.js';
import { decodeSample } from './evaluate.js';

/** Finds images of a data set by the path that an evaluation states; undefined where one is gone. */
export function imageReader({ samples }: Pick<Dataset, 'samples'>): (path: string) => Promise<Image | undefined> {
  const byPath = new Map(samples.map((sample) => [sample.path, sample]));
  return async (path) => {
    const sample = byPath.get(path);
    return sample && decodeSample(sample).catch(() => undefined);
  };
}
