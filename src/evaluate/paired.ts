/** Two classifiers on the same images. */
import { effectiveCount, wilson } from './metrics.js';

export interface PairedComparison {
  /** Images on which both are right, only the first, only the second, none. */
  readonly both: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
  readonly neither: number;
  /**
   * Accuracy of the second above that of the first, and its 95% interval (Newcombe 1998, method
   * 10).
   */
  readonly gain: number;
  readonly interval: readonly [low: number, high: number];
  /**
   * How likely at least such a difference is between classifiers that are equally good: the exact,
   * two-sided test of McNemar (1947).
   */
  readonly p: number;
}

/**
 * Compares which of the same images two classifiers are right on. At least one image. `groups`: what copies among them
 * share, by place; the interval and the test are those of as many independent images as they count for.
 */
export function comparePaired(
  first: readonly boolean[],
  second: readonly boolean[],
  groups: readonly (string | undefined)[] = first.map(() => undefined),
): PairedComparison {
  const count = (of: (a: boolean, b: boolean) => boolean): number => first.filter((a, i) => of(a, second[i]!)).length;
  const counts = {
    both: count((a, b) => a && b),
    onlyFirst: count((a, b) => a && !b),
    onlySecond: count((a, b) => !a && b),
    neither: count((a, b) => !a && !b),
  };
  const { onlyFirst, onlySecond } = counts;
  const worth = effectiveCount(groups) / first.length;
  const differing = onlyFirst + onlySecond,
    tosses = effectiveCount(groups.filter((_, i) => first[i] !== second[i])),
    heads = differing === 0 ? 0 : Math.min(onlyFirst, onlySecond) * (tosses / differing);
  return {
    ...counts,
    gain: (onlySecond - onlyFirst) / first.length,
    interval: gainInterval(counts, worth),
    p: Math.min(1, 2 * fairCoin(Math.round(heads), Math.round(tosses))),
  };
}

type Counts = Pick<PairedComparison, 'both' | 'onlyFirst' | 'onlySecond' | 'neither'>;

/**
 * The Wilson intervals of the two shares, put together with their correlation. Unlike the interval
 * of a mean it is wide where images are few and both are right on the same ones. `worth`: as how many independent ones
 * each image counts.
 */
function gainInterval({ both, onlyFirst, onlySecond, neither }: Counts, worth: number): [number, number] {
  const [a, b, c, d] = [worth * both, worth * onlyFirst, worth * onlySecond, worth * neither] as const;
  const n = a + b + c + d;
  const [p1, p2] = [(a + b) / n, (a + c) / n];
  const [low1, high1] = wilson(p1, n),
    [low2, high2] = wilson(p2, n);
  const margins = (a + b) * (c + d) * (a + c) * (b + d);
  const covariance = a * d > b * c ? Math.max(a * d - b * c - n / 2, 0) : a * d - b * c;
  const correlation = margins === 0 ? 0 : covariance / Math.sqrt(margins);
  const joined = (x: number, y: number): number => Math.sqrt(x * x - 2 * correlation * x * y + y * y);
  return [p2 - p1 - joined(p2 - low2, high1 - p1), p2 - p1 + joined(high2 - p2, p1 - low1)];
}

/** How likely at most `heads` of `tosses` are. */
function fairCoin(heads: number, tosses: number): number {
  let logarithm = -tosses * Math.LN2,
    sum = Math.exp(logarithm);
  for (let k = 1; k <= heads; k++) sum += Math.exp((logarithm += Math.log((tosses - k + 1) / k)));
  return sum;
}
