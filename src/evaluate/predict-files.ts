import { openFiles } from '../data/dataset.js';
import { listFiles } from '../data/listing.js';
import type { Sample, Unreadable } from '../data/sample.js';
import { assertSkippable, type SkipOptions } from '../data/skipping.js';
import { PupilError } from '../errors.js';
import { checkOptions } from '../options/option.js';
import { pictureOptions } from '../options/pictures.js';
import {
  inBatchesOf,
  pictureViews,
  predictViews,
  type Classifier,
  type PictureViews,
  type PredictOptions,
  type Prediction,
} from './classifier.js';
import { decodeSample, reasonFor } from './readers.js';

/** A prediction and the file that it is of. */
export interface PathPrediction extends Prediction {
  readonly path: string;
}

/** What predicts here. */
type Predictor = Pick<Classifier, 'run' | 'labels' | 'preprocessing' | 'outlierThreshold'>;

/**
 * Classifies image files, or all images of folders, archives and manifests. Files that cannot be
 * decoded are returned by name; throws `bad-data` when none can.
 */
export async function predictFiles(
  model: Predictor,
  paths: readonly string[],
  { skip, ...options }: PredictOptions & SkipOptions = {},
): Promise<{ readonly predictions: PathPrediction[]; readonly unreadable: Unreadable[] }> {
  const { files } = await listFiles(paths, { skip });
  const { samples, unreadable } = await openFiles(paths.join(' '), files, { hashes: false });
  const predictions: PathPrediction[] = [],
    failed: Unreadable[] = [...unreadable];
  const isFilled = files.length >= batchOf(options);
  for await (const part of predictSamples(model, samples, { ...options, isFilled })) {
    predictions.push(...part.predictions);
    failed.push(...part.failed);
  }
  assertSkippable(failed, { skip });
  if (predictions.length > 0) return { predictions, unreadable: failed };
  const [first] = failed;
  throw new PupilError(
    'bad-data',
    first
      ? `${first.path}: ${first.reason}`
      : `${paths.join(' ')}: no images found; give image files or folders of them`,
  );
}

/** Images that are predicted together; of several views one, for another may have another number of them. */
export const batchOf = ({ views = 1, batchSize = 32 }: PredictOptions): number => (views === 1 ? batchSize : 1);

/**
 * Classifies images, some at a time. With `isFilled` the last batch is filled up, so that what is said of
 * an image does not depend on how many others there are.
 */
export async function* predictSamples(
  { run, labels, preprocessing, outlierThreshold }: Predictor,
  samples: readonly Sample[],
  { isFilled, ...told }: PredictOptions & { readonly isFilled: boolean },
): AsyncGenerator<{ readonly predictions: PathPrediction[]; readonly failed: Unreadable[] }, void> {
  const options = checkOptions(pictureOptions, told);
  const { views = 1, threshold, rejection } = options;
  const viewsOf = pictureViews(preprocessing);
  const size = batchOf(options);
  const model = { run: inBatchesOf(isFilled && views === 1 ? size : undefined, run), labels, outlierThreshold };
  for (let start = 0; start < samples.length; start += size) {
    const batch: PictureViews[] = [],
      failed: Unreadable[] = [];
    for (const sample of samples.slice(start, start + size)) {
      try {
        batch.push({ name: sample.path, views: viewsOf(await decodeSample(sample), views) });
      } catch (error) {
        failed.push({ path: sample.path, reason: reasonFor(sample, error) });
      }
    }
    const answers = await predictViews(model, batch, { threshold, rejection });
    yield { predictions: batch.map(({ name }, i) => ({ path: name, ...answers[i]! })), failed };
  }
}
