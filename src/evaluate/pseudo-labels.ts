/** What can be wrong with a teacher's pseudo-labels, found before a student learns from them. */
import { list } from '../data/dataset.js';
import {
  describePseudoLabels,
  type PseudoLabel,
  type PseudoLabelDescription,
  type PseudoLabels,
} from '../data/pseudo-labels.js';
import { PupilError } from '../errors.js';
import { distancesTo, referenceOf } from './distribution.js';
import { unitRows } from './unit-rows.js';

const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;

/** Throws `bad-data` when nothing was accepted: there is nothing to learn from. */
export function assertAccepted({ classes, rows, threshold }: PseudoLabels): void {
  if (rows.some(({ accepted }) => accepted)) return;
  const best = rows.reduce(
    (most, row) => (most === undefined || row.confidence > most.confidence ? row : most),
    rows[0],
  );
  throw noneAccepted(rows.length, best && { ...best, name: classes[best.label]! }, threshold);
}

/** The error where of so many labels none is accepted, not even the most confident. */
export function noneAccepted(
  count: number,
  best: { readonly path: string; readonly confidence: number; readonly name: string } | undefined,
  threshold: number | undefined,
): PupilError {
  if (best === undefined) return new PupilError('bad-data', 'no image was labelled; check the path');
  const seen =
    `of ${count} pseudo-labels none is accepted: ` +
    `the most confident one is ${percent(best.confidence)} ` +
    `(${best.name}, ${best.path})`;
  return new PupilError(
    'bad-data',
    threshold === undefined
      ? `${seen}; accept some, or lower the threshold`
      : best.confidence < threshold
        ? `${seen}, below \`threshold: ${threshold}\`; lower it, or train a better teacher`
        : `${seen}, and those above the threshold are unlike the labelled images; ` +
          'give images of the same kind as these',
  );
}

/** One class with more than this share of the accepted labels is said to swallow the others. */
const swallowing = 0.9;

/**
 * What is odd about accepted pseudo-labels, one line each: a class that swallows the others though
 * it does not among the labels (`labelled`: how many each class has; default equally many), and
 * classes that are never predicted or never accepted. `isAside`: which images look like none of them.
 */
export function pseudoLabelWarnings(
  labels: PseudoLabels,
  labelled?: readonly number[],
  isAside?: (row: PseudoLabel) => boolean,
): string[] {
  return warningsOf(labels.classes, describePseudoLabels(labels, undefined, isAside), labelled);
}

/** The same, of what was counted already. */
export function warningsOf(
  classes: readonly string[],
  { accepted, perClass }: PseudoLabelDescription,
  labelled?: readonly number[],
): string[] {
  const counts = classes.map((name) => perClass[name]!);
  const warnings: string[] = [];
  const all = labelled?.reduce((a, b) => a + b, 0) ?? 0;
  counts.forEach((count, c) => {
    const share = accepted === 0 ? 0 : count.accepted / accepted,
      usual = all === 0 ? 1 / classes.length : labelled![c]! / all;
    if (share > swallowing && usual <= swallowing) {
      warnings.push(
        `${percent(share)} of the accepted pseudo-labels are '${classes[c]!}', of the labels ${percent(usual)}; ` +
          'a student would learn to answer it always: ' +
          'balance the classes with `perClass`, or train a better teacher',
      );
    }
  });
  const never = classes.filter((_, c) => counts[c]!.predicted === 0),
    rejected = classes.filter((_, c) => counts[c]!.predicted > 0 && counts[c]!.accepted === 0);
  if (never.length > 0)
    warnings.push(
      `the model predicted no image as ${list(never)}; ` +
        `pseudo-labels cannot help with ${never.length === 1 ? 'it' : 'them'}`,
    );
  if (rejected.length > 0)
    warnings.push(`no pseudo-label is accepted of ${list(rejected)}; a lower \`threshold\` would accept some`);
  return warnings;
}

/** Share of the largest possible entropy, log(classes), from which an answer says nothing. */
const undecided = 0.9;

/**
 * Indexes of images about which the teacher does not know anything: the entropy of its answer is
 * nearly the largest possible. Such images are often of no class at all (after Hendrycks and Gimpel
 * 2017); a confident answer is no proof of the contrary.
 */
export const undecidedImages = ({ rows }: PseudoLabels): number[] =>
  rows.flatMap(({ probabilities }, i) => (isUndecided(probabilities) ? [i] : []));

/** Whether the entropy of an answer is nearly the largest possible. */
export function isUndecided(probabilities: Float32Array): boolean {
  const entropy = probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
  return entropy > undecided * Math.log(probabilities.length);
}

export interface OutlierOptions {
  /** The k whose nearest labelled image counts; default 5. */
  readonly neighbours?: number;
  /**
   * At most about this share of images like the labelled ones is taken for unlike; default 0.01.
   */
  readonly share?: number;
}

/** Tells images that are unlike any labelled one. */
export interface OutlierDetector {
  /**
   * Of each image [count, size], the distance to its k-th nearest labelled image over the largest
   * distance that labelled images have among themselves (but for the `share`): above 1 it is unlike
   * them.
   */
  score(features: Float32Array): Promise<Float64Array>;
}

/** Fewer labelled images than this do not show how different images of their kind can be. */
export const leastForOutliers = 20;

/**
 * Learns from the features of labelled images [count, size] how near images of their kind are to
 * each other: deep nearest neighbours (Sun et al. 2022) on features of unit length, with the limit
 * set by the labelled images' leave-one-out distances. With n of them at most max(share, 1 / (n +
 * 1)) of images from the same distribution lie beyond it (conformal prediction). Throws `bad-data`
 * for fewer than 20 images.
 */
export async function createOutlierDetector(
  labelled: Float32Array,
  size: number,
  { neighbours = 5, share = 0.01 }: OutlierOptions = {},
): Promise<OutlierDetector> {
  const count = labelled.length / size;
  if (count < leastForOutliers) {
    throw new PupilError(
      'bad-data',
      `${count} labelled images are too few to tell which others are unlike them; ` +
        `at least ${leastForOutliers} are needed`,
    );
  }
  const reference = await referenceOf(unitRows(labelled, size), size, Math.min(neighbours, count - 1));
  const own = reference.squaredRadii.map(Math.sqrt).sort();
  const limit = own[Math.min(count, Math.ceil((1 - share) * (count + 1))) - 1]!;
  // Equal images have no distance; rounding must not make others of them.
  return {
    score: async (features) =>
      (await distancesTo(reference, unitRows(features, size))).map((distance) => distance / Math.max(limit, 1e-3)),
  };
}

/**
 * The line that reports images which may be of no class, with the first paths; undefined when there
 * are none. `count`: how many there are, where `paths` are the first of them.
 */
export function reportOutliers(
  paths: readonly string[],
  total: number,
  rejected: boolean,
  count = paths.length,
): string | undefined {
  if (count === 0) return undefined;
  const few = `${count} of ${total} images`;
  const named = list(paths, 5, count);
  return rejected
    ? `${few} ${count === 1 ? 'looks' : 'look'} unlike your labelled images and ` +
        `${count === 1 ? 'was' : 'were'} not accepted: ${named}`
    : `the model is undecided on ${few}, perhaps because they show none of the classes: ${named}`;
}
