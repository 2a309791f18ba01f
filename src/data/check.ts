import { PupilError } from '../errors.js';
import { counted, list } from './dataset.js';
import type { Dataset, Sample, Split, Unreadable } from './sample.js';

export type ProblemKind =
  | 'too-few-classes'
  | 'empty-class'
  | 'label-not-in-train' // errors
  | 'unreadable'
  | 'leak'
  | 'conflicting-labels'
  | 'repeated'
  | 'alike'
  | 'class-without-val'
  | 'rare-class'
  | 'blank'
  | 'tiny'
  | 'note'; // warnings

/**
 * Something wrong with a data set: one line that names what is concerned, and all paths concerned.
 */
export interface Problem {
  readonly kind: ProblemKind;
  readonly message: string;
  readonly paths: readonly string[];
}

export interface Check {
  /** What makes training impossible. */
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
  /**
   * The data set without unreadable files, without what is also in a split of higher priority, and
   * with a note of that.
   */
  readonly dataset: Dataset;
}

/**
 * The split that keeps a content which is in several: what is reported on must not be trained or
 * selected on, and the label of an image that is held out must not come back by an unlabelled copy.
 */
const priority: readonly Split[] = ['test', 'val', 'train', 'unlabelled'];
const labelled = (split: Split): boolean => split !== 'unlabelled';

/**
 * Looks for what makes training impossible (fewer than two classes, an empty class, a label in val
 * or test that train lacks) and for what should be known before it starts: files that cannot be
 * read, the same content in two splits (which stays only in one, the one that is measured on or where
 * its label is) or under two labels, in whichever splits. `corrupt` are the files that decoding found unreadable.
 */
export function checkDataset(dataset: Dataset, corrupt: readonly Unreadable[] = []): Check {
  const errors: Problem[] = [],
    warnings: Problem[] = [];
  for (const note of dataset.notes) warnings.push({ kind: 'note', message: note, paths: [] });

  const unreadable = [...dataset.unreadable, ...corrupt];
  warnings.push(...unreadableProblem(unreadable));
  const broken = new Set(corrupt.map(({ path }) => path));
  const { kept, problems } = withoutLeaks(
    dataset.samples.filter(({ path }) => !broken.has(path)),
    dataset.classes,
  );
  warnings.push(...problems);

  const found = classProblems(dataset, kept, unreadable);
  errors.push(...found.errors);
  warnings.push(...found.warnings);
  // Trainings of a chain are given what is left: they tell what is not.
  const notes = [...dataset.notes, ...problems.flatMap(({ kind, message }) => (kind === 'leak' ? [message] : []))];
  return { errors, warnings, dataset: { ...dataset, samples: kept, unreadable, notes } };
}

/** Files that cannot be read, as one warning; none where all can. */
export const unreadableProblem = (files: readonly Unreadable[]): Problem[] =>
  files.length === 0
    ? []
    : [
        {
          kind: 'unreadable',
          paths: files.map(({ path }) => path),
          message:
            `${counted(files.length, 'file')} cannot be read and ${plural(files.length, 'is', 'are')} skipped: ` +
            list(files.map(({ path, reason }) => `${path} (${reason})`)),
        },
      ];

/** What is wrong with the classes, given the samples that are left. */
function classProblems(
  dataset: Dataset,
  kept: readonly Sample[],
  unreadable: readonly Unreadable[],
): { errors: Problem[]; warnings: Problem[] } {
  const errors: Problem[] = [],
    warnings: Problem[] = [];
  const { classes } = dataset;
  if (classes.length < 2) {
    const found = classes.length === 0 ? 'no class' : `only the class '${classes[0]!}'`;
    const remarks =
      classes.length > 0
        ? []
        : kept.length > 0
          ? [`none of its ${counted(kept.length, 'image')} has a label yet`, ...dataset.notes]
          : dataset.notes;
    errors.push({
      kind: 'too-few-classes',
      paths: [],
      message:
        `${dataset.path}: ${found} found; at least two are needed, each a folder (or a label of the manifest)` +
        remarks.map((remark) => `; ${remark}`).join(''),
    });
  }
  const counts = (split: Split): number[] => {
    const result = classes.map(() => 0);
    for (const sample of kept) if (sample.split === split && sample.label >= 0) result[sample.label]!++;
    return result;
  };
  const train = counts('train'),
    val = counts('val'),
    test = counts('test');
  const named = (labels: readonly number[]): string =>
    `${plural(labels.length, 'class', 'classes')} ${list(labels.map((label) => classes[label]!))}`;
  const missing = classes.map((_, label) => label).filter((label) => train[label] === 0);
  const isHeldOut = (label: number): boolean => val[label]! > 0 || test[label]! > 0;
  const untrained = missing.filter(isHeldOut);
  if (untrained.length > 0) {
    const paths = kept.filter(({ label }) => train[label] === 0).map(({ path }) => path);
    const split = untrained.some((label) => val[label]! > 0) ? 'val' : 'test';
    errors.push({
      kind: 'label-not-in-train',
      paths,
      message:
        `${dataset.path}: ${named(untrained)} in ${split} but without a training image (such as ${paths[0]!}); ` +
        'add training images or remove the class',
    });
  }
  const empty = missing.filter((label) => !isHeldOut(label));
  if (kept.length === 0 && unreadable.length > 0) {
    errors.push({
      kind: 'unreadable',
      paths: unreadable.map(({ path }) => path),
      message:
        `${dataset.path}: none of its ${counted(unreadable.length, 'file')} can be read: ` +
        list(unreadable.map(({ path, reason }) => `${path} (${reason})`)),
    });
  } else if (empty.length > 0) {
    errors.push({
      kind: 'empty-class',
      paths: [],
      message: `${dataset.path}: ${named(empty)} without a readable training image; add images or remove the class`,
    });
  }
  if (val.some((n) => n > 0)) {
    const without = classes.filter((_, label) => val[label] === 0 && train[label]! > 0);
    if (without.length > 0)
      warnings.push({ kind: 'class-without-val', paths: [], message: `val has no image of ${list(without)}` });
  }
  warnings.push(...rareClasses(classes, train));
  return { errors, warnings };
}

/** A class is rare that has fewer labels than `few`, and of which another class has `times` as many or more. */
const rare = { few: 10, times: 10 };

/** Classes that a model will miss, and whose images hardly count in its accuracy. `counts`: labels of each. */
function rareClasses(classes: readonly string[], counts: readonly number[]): Problem[] {
  const most = counts.reduce((a, b) => Math.max(a, b), 0);
  const found = classes.flatMap((name, label) => {
    const count = counts[label]!;
    return count > 0 && count < rare.few && most >= rare.times * count ? [name] : [];
  });
  if (found.length === 0) return [];
  const message =
    `few labels of ${list(found)} beside those of ${classes[counts.indexOf(most)]!}: images of ` +
    `${plural(found.length, 'that class', 'those classes')} will be missed, and hardly count in the accuracy; label ` +
    'more of them, and look at the balanced accuracy';
  return [{ kind: 'rare-class', paths: [], message }];
}

/** Throws `bad-data` with the first error (and how many more) if training is impossible. */
export function assertTrainable({ errors }: Pick<Check, 'errors'>): void {
  const [first] = errors;
  if (first === undefined) return;
  throw new PupilError(
    'bad-data',
    errors.length === 1
      ? first.message
      : `${first.message} (and ${counted(errors.length - 1, 'more problem')}: ${errors
          .slice(1)
          .map(({ message }) => message)
          .join('; ')})`,
  );
}

/**
 * Finds contents that occur more than once; those in several splits stay only in the one of highest
 * priority.
 */
function withoutLeaks(samples: readonly Sample[], classes: readonly string[]): { kept: Sample[]; problems: Problem[] } {
  const byHash = new Map<string, Sample[]>();
  for (const sample of samples) {
    const same = byHash.get(sample.hash);
    if (same === undefined) byHash.set(sample.hash, [sample]);
    else same.push(sample);
  }
  const dropped = new Set<Sample>();
  const leaks: Sample[][] = [],
    hidden: Sample[][] = [],
    known: Sample[][] = [],
    conflicts: Sample[][] = [],
    repeats: Sample[][] = [];
  for (const group of byHash.values()) {
    if (group.length < 2) continue;
    const highest = priority.find((split) => group.some((sample) => sample.split === split))!;
    const lower = group.filter(({ split }) => split !== highest);
    for (const sample of lower) dropped.add(sample);
    if (lower.some(({ split }) => labelled(split))) leaks.push(group);
    else if (lower.length > 0) (highest === 'train' ? known : hidden).push(group);
    const rest = group.filter((sample) => sample.split === highest && labelled(sample.split));
    const named = group.filter(({ label, split }) => labelled(split) && label >= 0);
    if (new Set(named.map(({ label }) => label)).size > 1) conflicts.push(named);
    else if (rest.length > 1) repeats.push(rest);
  }
  const pairs = (groups: readonly Sample[][]): string =>
    list(groups.map((group) => group.map(({ path }) => path).join(' = ')));
  const paths = (groups: readonly Sample[][]): string[] => groups.flat().map(({ path }) => path);
  const problems: Problem[] = [];
  if (leaks.length > 0) {
    problems.push({
      kind: 'leak',
      paths: paths(leaks),
      message:
        `${counted(leaks.length, 'image')} in more than one of train, val and test ` +
        `(kept only in the last of these): ${pairs(leaks)}`,
    });
  }
  if (hidden.length > 0) {
    problems.push({
      kind: 'leak',
      paths: paths(hidden),
      message: `${counted(hidden.length, 'unlabelled image')} also in val or test (skipped): ${pairs(hidden)}`,
    });
  }
  if (known.length > 0) {
    const copies = known.flat().filter(({ split }) => !labelled(split)).length;
    problems.push({
      kind: 'leak',
      paths: paths(known),
      message: `${counted(copies, 'unlabelled image')} with the content of a labelled one (skipped): ${pairs(known)}`,
    });
  }
  if (conflicts.length > 0) {
    problems.push({
      kind: 'conflicting-labels',
      paths: paths(conflicts),
      message:
        `${counted(conflicts.length, 'image')} under two labels: ` +
        list(conflicts.map((group) => group.map(({ path, label }) => `${path} (${classes[label]!})`).join(' = '))) +
        '; keep the one that is right',
    });
  }
  if (repeats.length > 0) {
    problems.push({
      kind: 'repeated',
      paths: paths(repeats),
      message: `${counted(repeats.length, 'image')} more than once in the same split: ${pairs(repeats)}`,
    });
  }
  return { kept: samples.filter((sample) => !dropped.has(sample)), problems };
}

const plural = (n: number, one: string, many: string): string => (n === 1 ? one : many);
