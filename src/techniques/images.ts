import { assertTrainable, checkDataset } from '../data/check.js';
import { openDataset } from '../data/dataset.js';
import type { Pool } from '../data/pool.js';
import { prepareTogether, type PreparedImages } from '../data/prepare.js';
import type { Preprocessing } from '../data/preprocessing.js';
import type { Dataset, Sample } from '../data/sample.js';
import { selectionSplit, type SelectionSplit } from '../data/split.js';
import { evaluationTarget, workingTarget } from '../data/target.js';
import { PupilError } from '../errors.js';
import { reporting, type RunEvent } from './events.js';
import type { Settings } from './settings.js';

/** The images of a run: checked, split and decoded. */
export interface RunImages {
  readonly dataset: Dataset;
  readonly split: SelectionSplit;
  /** Every labelled image as evaluation sees it. */
  readonly evaluation: PreparedImages;
  /** Images to learn from at working resolution; undefined when nothing is augmented. */
  readonly training: PreparedImages | undefined;
}

/** Opens and checks the data, before anything is decoded. Throws what makes training impossible. */
export async function openImages(data: string | Dataset, settings: Pick<Settings, 'unlabelled' | 'reportOn'>): Promise<Dataset> {
  const dataset = typeof data === 'string' ? await openDataset(data, { unlabelled: settings.unlabelled }) : data;
  assertTrainable(checkDataset(dataset));
  const { reportOn } = settings;
  if (reportOn !== undefined && !dataset.samples.some(({ split }) => split === reportOn)) {
    throw new PupilError('usage', `--report-on ${reportOn}: ${dataset.path} has no ${reportOn}`);
  }
  return dataset;
}

/**
 * Splits, and decodes what is needed: labels to learn from, to select on and to report on. `augmented`: training images are kept at working
 * resolution too. Yields progress and a warning for everything odd; throws `bad-data` when too little can be decoded.
 */
export async function* prepareRunImages(
  dataset: Dataset, settings: Pick<Settings, 'seed' | 'labelsPerClass' | 'reportOn'>,
  input: Preprocessing, pool: Pool, augmented: boolean, signal: AbortSignal | undefined,
): AsyncGenerator<RunEvent, RunImages, undefined> {
  const split = selectionSplit(checkDataset(dataset).dataset, {
    seed: settings.seed,
    reportOnVal: settings.reportOn === 'val',
    ...(settings.labelsPerClass !== undefined && { labelsPerClass: settings.labelsPerClass }),
  });
  const { selection, report } = split;
  const needed = [...split.train, ...('samples' in selection ? selection.samples : []), ...(report?.samples ?? [])];
  const [evaluation, training] = yield* reporting('decoding', 'images', (onProgress) => prepareTogether([
    { samples: needed, target: evaluationTarget(input) },
    ...(augmented ? [{ samples: split.train, target: workingTarget(input) }] : []),
  ], { pool, onProgress, ...(signal && { signal }) }));
  const check = checkDataset(dataset, evaluation!.unreadable);
  for (const { message } of check.warnings) yield { type: 'warning', message };
  assertTrainable(check);
  const readable = readableSplit(split, new Set(evaluation!.unreadable.map(({ path }) => path)));
  return { dataset: check.dataset, split: readable, evaluation: evaluation!, training };
}

/** The split without files that cannot be decoded. */
function readableSplit(split: SelectionSplit, unreadable: ReadonlySet<string>): SelectionSplit {
  const keep = (samples: readonly Sample[]): Sample[] => samples.filter(({ path }) => !unreadable.has(path));
  const { selection, report } = split;
  return {
    train: keep(split.train), unlabelled: keep(split.unlabelled),
    selection: selection.kind === 'folds'
      ? { kind: 'folds', folds: selection.folds.map((fold) => ({ train: keep(fold.train), selection: keep(fold.selection) })) }
      : selection.kind === 'none' ? selection : { kind: selection.kind, samples: keep(selection.samples) },
    report: report && { split: report.split, samples: keep(report.samples) },
  };
}

/** Indexes of `samples` in prepared images. */
export function indexesOf(images: PreparedImages, samples: readonly Sample[]): number[] {
  const index = new Map(images.samples.map(({ path }, i) => [path, i]));
  return samples.flatMap(({ path }) => index.get(path) ?? []);
}
