import type { PolicyGap } from '../../artifact/gap-formats.js';
import {
  compareWith,
  jackknifeInterval,
  referenceOf,
  type Comparison,
  type Reference,
} from '../../evaluate/distribution.js';
import { Random } from '../../random.js';

/** The numbers of two halves of the same images. */
export type Halves = Omit<PolicyGap, 'augment' | 'closes' | 'closesInterval'>;

/**
 * The means of a comparison over several draws of augmentation. Each draw has every training image
 * once, so that all sets are equally large.
 */
export type MeanComparison = Omit<Comparison, 'nearest'>;

/** Item by item, the mean over draws. */
function meanRows(rows: readonly Float64Array[]): Float64Array {
  return Float64Array.from(rows[0]!, (_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);
}

export function meanOf(draws: readonly Comparison[]): MeanComparison {
  const mean = (value: (draw: Comparison) => number): number =>
    draws.reduce((sum, draw) => sum + value(draw), 0) / draws.length;
  return {
    coverage: mean(({ coverage }) => coverage),
    density: mean(({ density }) => density),
    mmd: mean(({ mmd }) => mmd),
    withoutEach: meanRows(draws.map(({ withoutEach }) => withoutEach)),
    withoutReference: meanRows(draws.map(({ withoutReference }) => withoutReference)),
  };
}

const intervalOf = ({
  withoutEach,
  withoutReference,
}: Pick<MeanComparison, 'withoutEach' | 'withoutReference'>): number =>
  jackknifeInterval(withoutEach, withoutReference);

/**
 * The numbers of a policy. It closes 1 - MMD^2(policy) / MMD^2(none) of the gap, at most all of it;
 * the interval comes from leaving out one image at a time of both at once, so that what they share
 * does not count as noise.
 */
export function policyGap(augment: string, policy: MeanComparison, none: MeanComparison): PolicyGap {
  const { coverage, density, mmd } = policy;
  const measured = { augment, coverage, density, mmd, interval: intervalOf(policy) };
  if (none.mmd <= intervalOf(none)) return { ...measured, closes: null, closesInterval: null };
  const closed = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => 1 - value / b[i]!);
  return {
    ...measured,
    closes: Math.min(1, 1 - mmd / none.mmd),
    closesInterval: jackknifeInterval(
      closed(policy.withoutEach, none.withoutEach),
      closed(policy.withoutReference, none.withoutReference),
    ),
  };
}

/**
 * One random half of the training images compared with the other: what it looks like where there is
 * no gap. Undefined for too few images.
 */
export async function compareHalves(
  features: Float32Array,
  size: number,
  neighbours: number,
  seed: number,
): Promise<Halves | undefined> {
  const count = features.length / size,
    half = Math.floor(count / 2);
  if (half < Math.max(3, neighbours + 1)) return undefined;
  const order = new Random(seed, 'gap', 'halves').shuffle(Array.from({ length: count }, (_, i) => i));
  const comparison = await compareWith(
    await referenceOf(rowsOf(features, size, order.slice(0, half)), size, neighbours),
    rowsOf(features, size, order.slice(half)),
  );
  const { coverage, density, mmd } = comparison;
  return { coverage, density, mmd, interval: intervalOf(comparison) };
}

/** Some rows of a matrix. */
export function rowsOf(features: Float32Array, size: number, rows: readonly number[]): Float32Array {
  const result = new Float32Array(rows.length * size);
  rows.forEach((row, i) => result.set(features.subarray(row * size, (row + 1) * size), i * size));
  return result;
}

/**
 * How badly each real image is covered: the distance to the nearest training image over that to its
 * k-th nearest real neighbour (above 1: not covered). Where the latter is 0, for images that are
 * there several times, the median one is taken.
 */
export function coverScores(
  { squaredRadii }: Pick<Reference, 'squaredRadii'>,
  { nearest }: Pick<Comparison, 'nearest'>,
): Float64Array {
  const positive = squaredRadii.filter((value) => value > 0).sort();
  const usual = positive.length === 0 ? 1 : Math.sqrt(positive[positive.length >> 1]!);
  return nearest.map((distance, i) => distance / (squaredRadii[i]! > 0 ? Math.sqrt(squaredRadii[i]!) : usual));
}
