import { assertSkippable } from '../data/skipping.js';
import { resolve } from 'node:path';
import { findAlike, type Alike } from '../data/alike.js';
import { alikeProblems, isAcross } from '../data/alike-problems.js';
import { assertTrainable, checkDataset, unreadableProblem, type Check } from '../data/check.js';
import { list, openDataset, withUnlabelled } from '../data/dataset.js';
import type { Pool } from '../data/pool.js';
import { prepareTogether, wantSizes, type PreparedImages, type WantedSizes } from '../data/prepare.js';
import type { Preprocessing } from '../data/preprocessing.js';
import { isDistant } from '../data/bring.js';
import { isReadByPieces } from '../data/shard-order.js';
import { counted } from '../data/words.js';
import { pathOf, type Dataset, type Sample, type Unreadable } from '../data/sample.js';
import { pseudoTarget, type PseudoLabels } from '../data/pseudo-labels.js';
import { groupAlike, groupMeasured } from '../data/grouping.js';
import { neverHeldOut, selectionSplit, type SelectionSplit } from '../data/split.js';
import { evaluationTarget, workingTarget } from '../data/target.js';
import { PupilError } from '../errors.js';
import { isFrozen } from '../options/option.js';
import type { RunEvent } from './events.js';
import { reporting } from './relay.js';
import type { Settings } from './resolve.js';

/** The images of a run: checked, split and decoded. */
export interface RunImages {
  readonly dataset: Dataset;
  readonly split: SelectionSplit;
  /** Images to learn from that look like some to measure on. */
  readonly alike: readonly Alike[];
  /** Every labelled image as evaluation sees it. */
  readonly evaluation: PreparedImages;
  /** Images to learn from at working resolution; undefined when nothing is augmented. */
  readonly training: PreparedImages | undefined;
  /** Images without labels that are learned from: indexes into `training ?? evaluation`. */
  readonly unlabelled: readonly number[];
  /**
   * Pseudo-labelled images, as often as each is to be seen, and what they are taught as [classes];
   * the same indexes.
   */
  readonly pseudo?:
    { readonly indexes: readonly number[]; readonly targets: ReadonlyMap<number, Float32Array> } | undefined;
  /**
   * The size at which batches are made where it is not the model's own: that of a teacher which
   * sees more.
   */
  readonly view?: Preprocessing | undefined;
}

/** Images before they are decoded, as they were opened and as a check leaves them. */
export interface CheckedData {
  readonly dataset: Dataset;
  readonly check: Check;
}

export interface ImagesOptions {
  readonly unlabelled?: readonly string[] | undefined;
  readonly reportOn?: 'val' | 'test' | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Of what cannot be read (`SkipOptions`). */
  readonly skip?: number | undefined;
  /** False: there may be none with labels. */
  readonly labels?: boolean | undefined;
  /** The images by the names that a run has for them. */
  readonly rename?: ((dataset: Dataset) => Dataset) | undefined;
}

/** Opens and checks the data, before anything is decoded. Throws what makes training impossible. */
export async function openImages(
  data: string | Dataset,
  { unlabelled = [], reportOn, labels = true, signal, skip, rename = (found) => found }: ImagesOptions = {},
): Promise<CheckedData> {
  const dataset = rename(
    typeof data === 'string'
      ? await openDataset(data, { unlabelled, signal, skip })
      : await withUnlabelled(data, unlabelled, { signal, skip }),
  );
  const check = checkDataset(dataset);
  if (labels) assertTrainable(check);
  if (reportOn !== undefined && !dataset.samples.some(({ split }) => split === reportOn)) {
    throw new PupilError('usage', `\`reportOn: ${reportOn}\`: ${dataset.path} has no ${reportOn}`, {
      option: 'reportOn',
    });
  }
  return { dataset, check };
}

export interface ImagesWanted {
  /** Of the model. */
  readonly input: Preprocessing;
  /** Training images are varied: they are kept at working resolution too. */
  readonly augmented: boolean;
  /** Images without labels are learned from; optional: if there are any. */
  readonly unlabelled?: boolean | 'optional';
  /** False: there may be no labels to learn from. */
  readonly labels?: boolean;
  /** Where batches are made larger than the model takes them. */
  readonly view?: Preprocessing | undefined;
  readonly pseudoLabels?: PseudoLabels | undefined;
  /** Of other networks that look at the images: at those without labels where nothing is augmented. */
  readonly asked?: readonly Preprocessing[] | undefined;
}

/**
 * Splits, and decodes what is needed: labels to learn from, to select on and to report on, and what
 * else is wanted. Yields progress and a warning for everything odd; throws `bad-data` when too
 * little can be decoded.
 */
export async function* prepareRunImages(
  { dataset, check }: CheckedData,
  settings: Pick<Settings, 'mode' | 'seed' | 'labelsPerClass' | 'reportOn' | 'folds' | 'skip' | 'shuffle'>,
  wanted: ImagesWanted,
  { pool, signal }: { readonly pool: Pool; readonly signal: AbortSignal | undefined },
): AsyncGenerator<RunEvent, RunImages, undefined> {
  const { input, augmented, unlabelled = false, labels = true, view = input, pseudoLabels } = wanted;
  const { mode, seed, reportOn, folds, labelsPerClass } = settings;
  const kept = { seed, reportOnVal: reportOn === 'val', labelsPerClass };
  const held = { folds, foldsBelow: foldsBelowFor(mode, folds) };
  if (pool.wanted.size === 0) wantSizes(pool, sizesWanted(selectionSplit(check.dataset, { ...kept, ...held }), wanted));
  const grouped = yield* reporting('comparing', 'images', (onProgress) =>
    groupAlike(check.dataset, kept, { pool, onProgress, signal }),
  );
  const split = selectionSplit(grouped, { ...kept, ...held });
  const { selection, report } = split;
  const learned = [...split.train, ...(unlabelled !== false ? split.unlabelled : [])];
  if (unlabelled === true && split.unlabelled.length === 0) throw withoutUnlabelled(dataset);
  const needed = [
    ...(augmented ? split.train : learned),
    ...('samples' in selection ? selection.samples : []),
    ...(report?.samples ?? []),
  ];
  const [evaluation, training] = yield* reporting('decoding', 'images', (onProgress) =>
    prepareTogether(
      [
        { samples: needed, target: evaluationTarget(input) },
        ...(augmented ? [{ samples: learned, target: workingTarget(view) }] : []),
      ],
      { pool, onProgress, signal, share: true },
    ),
  );
  const corrupt = distinct([...evaluation!.unreadable, ...(training?.unreadable ?? [])]);
  assertSkippable([...dataset.unreadable, ...corrupt], settings);
  const decoded = corrupt.length === 0 ? check : checkDataset(dataset, corrupt);
  for (const { kind, message } of decoded.warnings) if (kind !== 'unreadable') yield { type: 'warning', message };
  const fresh = decoded.dataset.unreadable.filter(({ path }) => !pool.told.has(path));
  for (const { path } of fresh) pool.told.add(path);
  for (const { message } of unreadableProblem(fresh)) yield { type: 'warning', message };
  if (labels) assertTrainable(decoded);
  const pairs = await labelledAlike([...needed, ...learned], pool),
    alike = pairs.filter(isAcross);
  for (const { message } of alikeProblems(alike, dataset.classes)) yield { type: 'warning', message };
  const readable = readableSplit(split, new Set(corrupt.map(({ path }) => path)));
  const unmeasured = neverHeldOut(readable);
  if (unmeasured.length > 0) yield { type: 'warning', message: oneLabelOf(unmeasured, dataset.classes) };
  const all = training ?? evaluation!;
  yield* shuffleNotes(all, settings);
  return {
    dataset: decoded.dataset,
    split: readable,
    alike,
    evaluation: { ...evaluation!, samples: groupMeasured(evaluation!.samples, pairs) },
    training,
    unlabelled: unlabelled !== false ? indexesOf(all, readable.unlabelled) : [],
    view: view !== input && training ? view : undefined,
    pseudo: pseudoLabels && pseudoLabelled(all, pseudoLabels, new Set(readable.unlabelled.map(({ path }) => path))),
  };
}

/** How an epoch is shuffled, where images lie in archives or tables that do not fit the caches. */
function* shuffleNotes(
  { samples, locations, target }: PreparedImages,
  { mode, shuffle }: Pick<Settings, 'mode' | 'shuffle'>,
): Generator<RunEvent, void, undefined> {
  if (isFrozen(mode) || shuffle !== undefined) return;
  const again = locations.filter((location) => location.kind === 'source' && isDistant(location.item.source));
  if (isReadByPieces(samples, target))
    yield {
      type: 'note',
      message:
        'the images take more room than the cache has: each epoch reads archives and tables in pieces, through a ' +
        'shuffle buffer (`shuffle: all` mixes all images, and reads them one by one)',
    };
  else if (again.length > 0)
    yield {
      type: 'note',
      message:
        `${counted(again.length, 'image')} found no room in the caches and are read again in every epoch; ` +
        '`shuffle: shards` reads them piece by piece instead of one by one',
    };
}

/**
 * In closed form a fold costs next to nothing: no label is spared from learning. Without folds a network that held
 * labels out in its training is looked at on the same ones.
 */
const foldsBelowFor = (mode: Settings['mode'], folds: Settings['folds']): number | undefined =>
  isFrozen(mode) && folds !== 0 ? Infinity : undefined;

/** The sizes at which a training wants its images, by what they are for. */
function sizesWanted(
  { train, unlabelled, selection, report }: SelectionSplit,
  { input, view = input, augmented, unlabelled: isLearned = false, asked = [] }: ImagesWanted,
): WantedSizes[] {
  const looked = evaluationTarget(input),
    shown = augmented ? workingTarget(view) : looked,
    others = asked.map(evaluationTarget);
  const measured = [...('samples' in selection ? selection.samples : []), ...(report?.samples ?? [])];
  return [
    { samples: isLearned === false ? [] : unlabelled, targets: [shown, ...(augmented ? [] : others)] },
    { samples: measured, targets: [looked] },
    { samples: train, targets: [looked, shown, ...others] },
  ];
}

const oneLabelOf = (labels: readonly number[], classes: readonly string[]): string =>
  `${list(labels.map((label) => classes[label]!))}: one label, which is never held out: accuracy is that of the ` +
  'other classes alone, and confidences are lowered; give two labels or more of each class';

/** Labelled images that look alike, as far as fingerprints are known. */
const labelledAlike = (samples: readonly Sample[], { fingerprints }: Pool): Promise<Alike[]> =>
  findAlike(
    samples.filter(({ split }) => split !== 'unlabelled'),
    (hash) => fingerprints.get(hash),
    fingerprints.neighbours,
  );

/** Each file once. */
const distinct = (files: readonly Unreadable[]): Unreadable[] => [
  ...new Map(files.map((file) => [file.path, file])).values(),
];

/** `usage`: nothing without a label is left to learn from. */
export function withoutUnlabelled({ path, samples, notes }: Dataset): PupilError {
  const given = samples.filter(({ split }) => split === 'unlabelled').length;
  const all = given > 0 ? [`all ${given} are left out, for their content is also in train, val or test`] : [];
  const why = [...all, ...notes];
  return new PupilError(
    'usage',
    `${path}: no images without labels to learn from${why.length > 0 ? ` (${why.join('; ')})` : ''}; ` +
      'give some with `unlabelled`, or keep few labels with `labelsPerClass`',
    { option: 'unlabelled' },
  );
}

/** The split without files that cannot be decoded. */
function readableSplit(split: SelectionSplit, unreadable: ReadonlySet<string>): SelectionSplit {
  const keep = (samples: readonly Sample[]): Sample[] => samples.filter(({ path }) => !unreadable.has(path));
  const { selection, report } = split;
  return {
    train: keep(split.train),
    unlabelled: keep(split.unlabelled),
    selection:
      selection.kind === 'folds'
        ? {
            kind: 'folds',
            folds: selection.folds.map((fold) => ({ train: keep(fold.train), selection: keep(fold.selection) })),
          }
        : selection.kind === 'none'
          ? selection
          : { kind: selection.kind, samples: keep(selection.samples) },
    report: report && { split: report.split, samples: keep(report.samples) },
  };
}

/**
 * The accepted rows of a file of pseudo-labels among the images without labels, found by path or,
 * where they have moved, by content.
 */
function pseudoLabelled(
  images: PreparedImages,
  labels: PseudoLabels,
  allowed: ReadonlySet<string>,
): NonNullable<RunImages['pseudo']> {
  const byPath = new Map<string, number>(),
    byHash = new Map<string, number>();
  images.samples.forEach((sample, index) => {
    if (!allowed.has(sample.path)) return;
    byPath.set(resolve(pathOf(sample)), index);
    byHash.set(sample.hash, index);
  });
  const indexes: number[] = [],
    targets = new Map<number, Float32Array>();
  for (const row of labels.rows) {
    const { path, hash, copies } = row;
    const index = byPath.get(resolve(path)) ?? byHash.get(hash);
    if (copies === 0 || index === undefined || targets.has(index)) continue;
    targets.set(index, pseudoTarget(labels, row));
    for (let i = 0; i < copies; i++) indexes.push(index);
  }
  if (indexes.length === 0) {
    throw new PupilError(
      'bad-data',
      `\`pseudoLabels\`: none of its ${labels.rows.filter(({ copies }) => copies > 0).length} accepted rows is an ` +
        'image without a label of this data; give the images with `unlabelled`, as they were when the file was written',
      { option: 'pseudoLabels' },
    );
  }
  return { indexes, targets };
}

/** Indexes of `samples` in prepared images. */
export function indexesOf(images: PreparedImages, samples: readonly Sample[]): number[] {
  const index = new Map(images.samples.map(({ path }, i) => [path, i]));
  return samples.flatMap(({ path }) => index.get(path) ?? []);
}

/** Images to learn from, of those for evaluation: where each stands among `training ?? evaluation`. */
export const inTraining = ({ training, evaluation }: RunImages, indexes: readonly number[]): number[] =>
  training === undefined
    ? [...indexes]
    : indexesOf(
        training,
        indexes.map((index) => evaluation.samples[index]!),
      );
