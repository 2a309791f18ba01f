/** How a learned rejection stands in a file: browsers read it, too. */
import type { OnnxFile } from '../onnx/index.js';
import type { Rejection } from './model.js';

/** The constant that holds the means of the classes. */
export const outlierMeans = 'outlier.means';

/** From which `outlier` an image is of none of the classes, by a file's metadata; undefined: it has none. */
export function outlierThreshold({ metadata }: Pick<OnnxFile, 'metadata'>): number | undefined {
  try {
    const { threshold } = JSON.parse(metadata.get('outlier') ?? '{}') as { readonly threshold?: unknown };
    return typeof threshold === 'number' && Number.isFinite(threshold) ? threshold : undefined;
  } catch {
    return undefined; // another tool's entry of the same name
  }
}

/** The rejection of a file that Pupil made, for features of that many numbers. */
export function rejectionIn(
  file: Pick<OnnxFile, 'metadata' | 'graph'>,
  features: number | undefined,
  classes: number | undefined,
): Rejection | undefined {
  const threshold = outlierThreshold(file),
    means = file.graph.initializers.get(outlierMeans);
  const fits = means?.dtype === 'float32' && means.dims[0] === features && means.dims[1] === classes;
  return fits && threshold !== undefined ? { means, threshold } : undefined;
}
