import { openImages } from '../data/dataset.js';
import type { Unreadable } from '../data/sample.js';
import { PupilError } from '../errors.js';
import type { Image } from '../image/image.js';
import type { Classifier, PredictOptions, Prediction } from './classifier.js';
import { decodeSample, reasonFor } from './readers.js';

/** A prediction and the file that it is of. */
export interface PathPrediction extends Prediction {
  readonly path: string;
}

/** Images decoded at once. */
const chunkSize = 32;

/**
 * Classifies image files, or all images of folders, archives and manifests. Files that cannot be
 * decoded are returned by name; throws `bad-data` when none can.
 */
export async function predictFiles(
  model: Pick<Classifier, 'predict'>,
  paths: readonly string[],
  options: PredictOptions = {},
): Promise<{ readonly predictions: PathPrediction[]; readonly unreadable: Unreadable[] }> {
  const { samples, unreadable } = await openImages(paths);
  const predictions: PathPrediction[] = [],
    failed: Unreadable[] = [...unreadable];
  for (let start = 0; start < samples.length; start += chunkSize) {
    const decoded: { readonly path: string; readonly image: Image }[] = [];
    for (const sample of samples.slice(start, start + chunkSize)) {
      try {
        decoded.push({ path: sample.path, image: await decodeSample(sample) });
      } catch (error) {
        failed.push({ path: sample.path, reason: reasonFor(sample, error) });
      }
    }
    const answers = await model.predict(
      decoded.map(({ image }) => image),
      options,
    );
    decoded.forEach(({ path }, i) => predictions.push({ path, ...answers[i]! }));
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
