/** Two classifiers on the same images. */
import { wilson } from './metrics.js';

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

/** Compares which of the same images two classifiers are right on. At least one image. */
export function comparePaired(first: readonly boolean[], second: readonly boolean[]): PairedComparison {
  const count = (of: (a: boolean, b: boolean) => boolean): number => first.filter((a, i) => of(a, second[i]!)).length;
  const counts = {
    both: count((a, b) => a && b),
    onlyFirst: count((a, b) => a && !b),
    onlySecond: count((a, b) => !a && b),
    neither: count((a, b) => !a && !b),
  };
  const { onlyFirst, onlySecond } = counts;
  return {
    ...counts,
    gain: (onlySecond - onlyFirst) / first.length,
    interval: gainInterval(counts),
    p: Math.min(1, 2 * fairCoin(Math.min(onlyFirst, onlySecond), onlyFirst + onlySecond)),
  };
}

type Counts = Pick<PairedComparison, 'both' | 'onlyFirst' | 'onlySecond' | 'neither'>;

/**
 * The Wilson intervals of the two shares, put together with their correlation. Unlike the interval
 * of a mean it is wide where images are few and both are right on the same ones.
 */
function gainInterval({ both: a, onlyFirst: b, onlySecond: c, neither: d }: Counts): [number, number] {
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
