import { createHash } from 'node:crypto';
import { PupilError } from '../errors.js';
import { dealFolds, foldCount } from './folds.js';
import { groupOf, isLabelled, type Dataset, type Sample } from './sample.js';

export interface SelectionOptions {
  /** Which labels `labelsPerClass` keeps depends on it; held-out images do not. */
  readonly seed: number;
  /** val is only reported on; selection uses training labels. */
  readonly reportOnVal?: boolean;
  /** How many training images of each class keep their labels. */
  readonly labelsPerClass?: number;
  /** Share of the training labels that is held out; default 0.2. */
  readonly holdout?: number;
  /**
   * Below this number of labels that may be measured on (`measurable`) selection is k-fold; default 200. Copies and
   * images that look alike count once.
   */
  readonly foldsBelow?: number | undefined;
  /** Folds; default 5, at most the labels of the largest class. */
  readonly folds?: number;
}

/** One way to learn from some labels and to be measured on others. */
export interface Fold {
  readonly train: readonly Sample[];
  readonly selection: readonly Sample[];
}

/** What choices (early stopping, calibration, keeping a technique) are measured on. */
export type SelectionSet =
  | { readonly kind: 'val' | 'holdout'; readonly samples: readonly Sample[] }
  | { readonly kind: 'folds'; readonly folds: readonly Fold[] }
  /** Too few labels to hold any out: one per class. */
  | { readonly kind: 'none' };

export interface SelectionSplit {
  /** All labels that may be learned from: without a held-out part, but with every fold. */
  readonly train: readonly Sample[];
  readonly unlabelled: readonly Sample[];
  readonly selection: SelectionSet;
  /** What is only reported: test, or val with `reportOnVal`. */
  readonly report: { readonly split: 'val' | 'test'; readonly samples: readonly Sample[] } | undefined;
}

/**
 * A number in [0, 1) that depends on content alone: the same wherever and beside whatever the image
 * lies.
 */
export function contentFraction(hash: string, salt: string): number {
  return createHash('sha256').update(`${salt} ${hash}`).digest().readUInt32BE(0) / 0x100000000;
}

/**
 * Labelled samples class by class; copies of one content, and images that look alike (`group`), form
 * one group that is never torn apart.
 */
function groupsByClass(
  samples: readonly Sample[],
  salt: string,
  nameOf = groupOf,
): { key: number; members: Sample[] }[][] {
  const classes = new Map<number, Map<string, Sample[]>>();
  for (const sample of samples) {
    if (!classes.has(sample.label)) classes.set(sample.label, new Map());
    const groups = classes.get(sample.label)!;
    const name = nameOf(sample);
    if (groups.has(name)) groups.get(name)!.push(sample);
    else groups.set(name, [sample]);
  }
  return [...classes]
    .sort(([a], [b]) => a - b)
    .map(([, groups]) =>
      [...groups]
        .map(([hash, members]) => ({ key: contentFraction(hash, salt), hash, members }))
        .sort((a, b) => a.key - b.key || (a.hash < b.hash ? -1 : 1)),
    );
}

/**
 * The labels that may be measured on: those that a person gave, and all of images that were drawn at random. Other
 * labels that a model suggested, and a person accepted, are of images that it was sure of, which are too easy; they are
 * among them only in a class that has fewer than two others.
 */
export function measurable(samples: readonly Sample[]): readonly Sample[] {
  if (samples.every(isFair)) return samples;
  const groups = new Map<number, Set<string>>();
  for (const sample of samples)
    if (isFair(sample)) groups.set(sample.label, (groups.get(sample.label) ?? new Set()).add(groupOf(sample)));
  return samples.filter((sample) => isFair(sample) || (groups.get(sample.label)?.size ?? 0) < 2);
}

/** Whether no model chose the image because it was sure of it. */
export const isFair = ({ accepted, drawn }: Pick<Sample, 'accepted' | 'drawn'>): boolean =>
  accepted !== true || drawn === true;

/** How many different images there are: copies and what looks alike count once. */
export const different = (samples: readonly Sample[]): number => new Set(samples.map(groupOf)).size;

/**
 * Holds out about `share` of each class: the contents whose hash falls below it, so that an image
 * stays where it is when others are added. Only where chance would leave a class with less than
 * half or more than one and a half of its share is it corrected; no class is emptied. `among`: those that may be
 * held out, default all.
 */
export function holdOut(samples: readonly Sample[], share: number, among = samples): Fold {
  const chosen = new Set<Sample>();
  for (const groups of groupsByClass(among, 'holdout')) {
    const wanted = groups.length * share;
    const least = groups.length < 2 ? 0 : Math.max(1, Math.floor(wanted * 0.5));
    const most = Math.min(groups.length - 1, Math.max(least, Math.ceil(wanted * 1.5)));
    const below = groups.filter(({ key }) => key < share).length;
    for (const { members } of groups.slice(0, Math.min(most, Math.max(least, below))))
      for (const sample of members) chosen.add(sample);
  }
  return partition(samples, chosen);
}

/** `kFolds`, but no more than the largest class has contents; none where that is one. */
export function foldsOf(samples: readonly Sample[], most: number, among = samples): Fold[] {
  const k = foldCount(groupsByClass(among, 'folds'), most);
  return k === 0 ? [] : kFolds(samples, k, among);
}

/**
 * k folds with equal shares of each class (`dealFolds`); classes with one content always stay in training. `among`:
 * those that may be held out, default all.
 */
export const kFolds = (samples: readonly Sample[], k: number, among = samples): Fold[] =>
  dealFolds(groupsByClass(among, 'folds'), k).map((part) => partition(samples, new Set(part)));

/** What is like a chosen sample, but may not be held out itself, is not learned from either. */
function partition(samples: readonly Sample[], chosen: ReadonlySet<Sample>): Fold {
  const names = new Set([...chosen].map(groupOf));
  return {
    train: samples.filter((sample) => !chosen.has(sample) && !(sample.accepted === true && names.has(groupOf(sample)))),
    selection: samples.filter((sample) => chosen.has(sample)),
  };
}

/**
 * Keeps `perClass` seeded labels of each class; the others lose theirs. Copies of a kept content
 * are left out: they have its label.
 */
export function keepLabels(
  samples: readonly Sample[],
  perClass: number,
  seed: number,
): { labelled: Sample[]; unlabelled: Sample[] } {
  if (!Number.isInteger(perClass) || perClass < 1)
    throw new PupilError('usage', `\`labelsPerClass\` ${perClass}: give a whole number, 1 or more`, {
      option: 'labelsPerClass',
    });
  const kept = new Set(
    // Those that look alike may both be kept.
    groupsByClass(samples, `labels ${seed}`, ({ hash }) => hash).flatMap((groups) =>
      groups.slice(0, perClass).map(({ members }) => members[0]!),
    ),
  );
  const contents = new Set([...kept].map(({ hash }) => hash));
  return {
    labelled: samples.filter((sample) => kept.has(sample)),
    unlabelled: samples
      .filter(({ hash }) => !contents.has(hash))
      .map((sample) => ({ ...sample, label: -1, truth: sample.label, split: 'unlabelled' as const })),
  };
}

/**
 * The training images that keep their labels, of which some are held out; none where val decides and
 * nothing is.
 */
export function heldOutOf(
  dataset: Dataset,
  { seed, labelsPerClass, reportOnVal = false }: Pick<SelectionOptions, 'seed' | 'labelsPerClass' | 'reportOnVal'>,
): readonly Sample[] {
  if (!reportOnVal && dataset.samples.some(({ split }) => split === 'val')) return [];
  const labelled = dataset.samples.filter(isLabelled);
  return labelsPerClass === undefined ? labelled : keepLabels(labelled, labelsPerClass, seed).labelled;
}

/** Classes that are learned from and of which no label is held out, where labels of others are. */
export function neverHeldOut({ train, selection }: SelectionSplit): number[] {
  if (selection.kind === 'none' || selection.kind === 'val') return [];
  const held = selection.kind === 'folds' ? selection.folds.flatMap((fold) => fold.selection) : selection.samples;
  const measured = new Set(held.map(({ label }) => label));
  return [...new Set(train.map(({ label }) => label))].filter((label) => !measured.has(label)).sort((a, b) => a - b);
}

/**
 * What is learned from, selected on and reported. val/ is for selection and test/ for reporting;
 * without val/, or with `reportOnVal`, selection uses labelled training images only, of those that are `measurable`:
 * k folds below 200 different ones, otherwise a stratified 20%.
 */
export function selectionSplit(dataset: Dataset, options: SelectionOptions): SelectionSplit {
  const { seed, reportOnVal = false, labelsPerClass, holdout = 0.2, foldsBelow = 200, folds = 5 } = options;
  const of = (split: Sample['split']): Sample[] => dataset.samples.filter((sample) => sample.split === split);
  let train = of('train').filter(({ label }) => label >= 0);
  const val = of('val'),
    test = of('test');
  let unlabelled = of('unlabelled');
  if (reportOnVal && val.length === 0)
    throw new PupilError('usage', `${dataset.path}: \`reportOn: val\`, but there is no val split`, {
      option: 'reportOn',
    });
  if (labelsPerClass !== undefined) {
    const split = keepLabels(train, labelsPerClass, seed);
    train = split.labelled;
    unlabelled = [...split.unlabelled, ...unlabelled];
  }
  const report = reportOnVal
    ? ({ split: 'val', samples: val } as const)
    : test.length > 0
      ? ({ split: 'test', samples: test } as const)
      : undefined;
  const rest = { unlabelled, report };
  if (val.length > 0 && !reportOnVal) return { train, selection: { kind: 'val', samples: val }, ...rest };
  const among = measurable(train);
  if (different(among) >= foldsBelow) {
    const { train: kept, selection } = holdOut(train, holdout, among);
    if (selection.length === 0) return { train, selection: { kind: 'none' }, ...rest };
    const held = new Set(selection.map(({ hash }) => hash));
    return {
      train: kept,
      selection: { kind: 'holdout', samples: selection },
      unlabelled: unlabelled.filter(({ hash }) => !held.has(hash)),
      report,
    };
  }
  const parts = foldsOf(train, folds, among);
  return { train, selection: parts.length === 0 ? { kind: 'none' } : { kind: 'folds', folds: parts }, ...rest };
}
