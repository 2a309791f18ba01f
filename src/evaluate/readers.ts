import { resolve } from 'node:path';
import { readSource } from '../data/read-source.js';
import { pathOf, type Dataset, type Sample } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { decode, openImage } from '../image/decode.js';
import type { Image } from '../image/image.js';

/** The decoded image of a sample. Throws `bad-data` when it cannot be read. */
export const decodeSample = async ({ source, path }: Sample): Promise<Image> =>
  source.kind === 'pixels' ? source.image : decode(await readSource(source, path), path);

/**
 * The reason of a `bad-data` error without the path that it repeats; anything else is not ours to
 * swallow.
 */
export function reasonFor(sample: Sample, error: unknown): string {
  if (!(error instanceof PupilError) || error.code !== 'bad-data') throw error;
  return error.message.replace(`${sample.path}: `, '');
}

/** An image to be shown small: the short side of a large photo has twice this many pixels or more. */
export async function decodeSmall(bytes: Uint8Array, path: string): Promise<Image> {
  const opened = await openImage(bytes, path);
  return opened.decode(opened.divisor(192));
}

/**
 * Finds images of a data set, to be shown small, by the path that an evaluation or a file of labels states;
 * undefined where one is gone.
 */
export function imageReader({ samples }: Pick<Dataset, 'samples'>): (path: string) => Promise<Image | undefined> {
  const byPath = new Map(samples.map((sample) => [sample.path, sample])),
    byPlace = new Map(samples.map((sample) => [resolve(pathOf(sample)), sample]));
  return async (path) => {
    const sample = byPath.get(path) ?? byPlace.get(resolve(path));
    if (sample === undefined) return undefined;
    const { source } = sample;
    if (source.kind === 'pixels') return source.image;
    return Promise.resolve()
      .then(async () => decodeSmall(await readSource(source, path), path))
      .catch(() => undefined);
  };
}
