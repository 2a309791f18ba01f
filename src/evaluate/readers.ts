import { readSource } from '../data/read.js';
import type { Dataset, Sample } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { decode } from '../image/decode.js';
import type { Image } from '../image/image.js';

/** The decoded image of a sample. Throws `bad-data` when it cannot be read. */
export const decodeSample = async ({ source, path }: Sample): Promise<Image> =>
  source.kind === 'pixels' ? source.image : decode(readSource(source, path), path);

/**
 * The reason of a `bad-data` error without the path that it repeats; anything else is not ours to
 * swallow.
 */
export function reasonFor(sample: Sample, error: unknown): string {
  if (!(error instanceof PupilError) || error.code !== 'bad-data') throw error;
  return error.message.replace(`${sample.path}: `, '');
}

/** Finds images of a data set by the path that an evaluation states; undefined where one is gone. */
export function imageReader({ samples }: Pick<Dataset, 'samples'>): (path: string) => Promise<Image | undefined> {
  const byPath = new Map(samples.map((sample) => [sample.path, sample]));
  return async (path) => {
    const sample = byPath.get(path);
    return sample && decodeSample(sample).catch(() => undefined);
  };
}
