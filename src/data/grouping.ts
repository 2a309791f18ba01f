import { findAlike, withGroups, type Alike } from './alike.js';
import { makeFingerprints, type PrepareOptions } from './prepare.js';
import type { Dataset, Sample, Split } from './sample.js';
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

/**
 * Samples of which those of each measured split know what looks alike within it, by pairs that were found: they stay
 * where they are, but count once (`effectiveCount`). Those that know it already keep it.
 */
export function groupMeasured(samples: readonly Sample[], pairs: readonly Alike[]): Sample[] {
  const grouped = (['val', 'test'] as const).flatMap((split: Split) => {
    const measured = samples.filter((sample) => sample.split === split);
    const within = pairs.filter(({ first, second }) => first.split === split && second.split === split);
    return within.length === 0 || measured.some(({ group }) => group !== undefined)
      ? []
      : withGroups(measured, within).map((sample): [string, Sample] => [sample.path, sample]);
  });
  const known = new Map(grouped);
  return samples.map((sample) => known.get(sample.path) ?? sample);
}
