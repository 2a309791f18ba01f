import { openImages } from '../data/dataset.js';
import type { Unreadable } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { checkOptions } from '../options/option.js';
import { pictureOptions } from '../options/pictures.js';
import {
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

/**
 * Classifies image files, or all images of folders, archives and manifests. Files that cannot be
 * decoded are returned by name; throws `bad-data` when none can.
 */
export async function predictFiles(
  model: Pick<Classifier, 'run' | 'labels' | 'preprocessing' | 'outlierThreshold'>,
  paths: readonly string[],
  options: PredictOptions = {},
): Promise<{ readonly predictions: PathPrediction[]; readonly unreadable: Unreadable[] }> {
  const { samples, unreadable } = await openImages(paths);
  const predictions: PathPrediction[] = [],
    failed: Unreadable[] = [...unreadable];
  const { views = 1, batchSize = 32, ...refused } = checkOptions(pictureOptions, options);
  const viewsOf = pictureViews(model.preprocessing);
  const size = Math.max(1, Math.floor(batchSize / views));
  for (let start = 0; start < samples.length; start += size) {
    const batch: PictureViews[] = [];
    for (const sample of samples.slice(start, start + size)) {
      try {
        batch.push({ name: sample.path, views: viewsOf(await decodeSample(sample), views) });
      } catch (error) {
        failed.push({ path: sample.path, reason: reasonFor(sample, error) });
      }
    }
    const answers = await predictViews(model, batch, refused);
    batch.forEach(({ name }, i) => predictions.push({ path: name, ...answers[i]! }));
  }
  if (predictions.length > 0) return { predictions, unreadable: failed };
  const [first] = failed;
  throw new PupilError(
    'bad-data',
    first
      ? `${first.path}: ${first.reason}`
      : `${paths.join(' ')}: no images found; give image files or folders of them`,
  );
}
