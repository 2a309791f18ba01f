import { resolve } from 'node:path';
import { readCached } from '../data/disk-cache.js';
import { bytesOf } from '../data/batch.js';
import type { Pool } from '../data/pool.js';
import { prepareImages } from '../data/prepare.js';
import { readSource } from '../data/read-source.js';
import { pathOf, type Dataset, type Sample } from '../data/sample.js';
import { PupilError, withoutPath } from '../errors.js';
import { decode, openImage } from '../image/decode.js';
import type { Image } from '../image/image.js';
import { pictureTarget, toTarget } from '../data/target.js';

/** The decoded image of a sample. Throws `bad-data` when it cannot be read. */
export const decodeSample = async ({ source, path }: Sample): Promise<Image> =>
  source.kind === 'pixels' ? source.image : decode(await readSource(source, path), path);

/**
 * The reason of a `bad-data` error without the path that it repeats; anything else is not ours to
 * swallow.
 */
export function reasonFor(sample: Sample, error: unknown): string {
  if (!(error instanceof PupilError) || error.code !== 'bad-data') throw error;
  return withoutPath(error, sample.path);
}

/** An image to be shown small: the short side of a large photo has twice this many pixels or more. */
export async function decodeSmall(bytes: Uint8Array, path: string): Promise<Image> {
  const opened = await openImage(bytes, path);
  return opened.decode(opened.divisor(192));
}

/** Images to be shown small, where they can be decoded: each once for all who show it and share the pool. */
export async function decodePictures(samples: readonly Sample[], pool: Pool): Promise<(Image | undefined)[]> {
  const images = await prepareImages(samples, { pool, target: pictureTarget, share: true });
  const places = new Map(images.samples.map(({ path }, i) => [path, images.locations[i]!]));
  return Promise.all(
    samples.map(async (sample) => {
      const place = places.get(sample.path);
      if (place?.kind === 'memory') return { ...place, data: Uint8Array.from(bytesOf(place)) };
      const cached = place?.kind === 'disk' ? readCached(place.file) : undefined;
      return place && (cached ?? toTarget(await decodeSample(sample), pictureTarget));
    }),
  );
}

/**
 * Finds images of a data set, to be shown small, by the path that an evaluation or a file of labels states;
 * undefined where one is gone. `pool`: that of a job that shows them more than once.
 */
export function imageReader(
  { samples }: Pick<Dataset, 'samples'>,
  pool?: Pool,
): (path: string) => Promise<Image | undefined> {
  const byPath = new Map(samples.map((sample) => [sample.path, sample])),
    byPlace = new Map(samples.map((sample) => [resolve(pathOf(sample)), sample]));
  return async (path) => {
    const sample = byPath.get(path) ?? byPlace.get(resolve(path));
    if (sample === undefined) return undefined;
    const { source } = sample;
    if (source.kind === 'pixels') return source.image;
    return Promise.resolve()
      .then(async () =>
        pool ? (await decodePictures([sample], pool))[0] : decodeSmall(await readSource(source, path), path),
      )
      .catch(() => undefined);
  };
}
