import { findAlike, withGroups } from './alike.js';
import { makeFingerprints, type PrepareOptions } from './prepare.js';
import type { Dataset } from './sample.js';
import { heldOutOf, type SelectionOptions } from './split.js';

/**
 * The data set in which labels of which some are held out know what looks alike (`group`): they are
 * compared first, whatever was known of them, so that the same are held out on every machine.
 */
export async function groupAlike(
  dataset: Dataset,
  kept: Pick<SelectionOptions, 'seed' | 'labelsPerClass' | 'reportOnVal'>,
  options: Omit<PrepareOptions, 'share'>,
): Promise<Dataset> {
  const labels = heldOutOf(dataset, kept).filter(({ source }) => source.kind !== 'pixels');
  if (labels.length === 0 || labels.some(({ group }) => group !== undefined)) return dataset;
  await makeFingerprints(labels, options);
  const { fingerprints } = options.pool;
  const pairs = await findAlike(labels, (hash) => fingerprints.get(hash), fingerprints.neighbours);
  if (pairs.length === 0) return dataset;
  const grouped = new Map(withGroups(labels, pairs).map((sample) => [sample.path, sample]));
  return { ...dataset, samples: dataset.samples.map((sample) => grouped.get(sample.path) ?? sample) };
}
