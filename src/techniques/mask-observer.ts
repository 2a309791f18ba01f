import type { Sample } from '../data/sample.js';
import { float32, type Tensor } from '../tensor.js';
import type { Observer } from '../train/runner.js';

/** What became of the unlabelled images of an epoch: JSON, in the metrics beside the loss. */
export interface MaskStatistics {
  /**
   * Share of the predictions that counted (a weight of at least one half), and their mean weight.
   */
  readonly kept: number;
  readonly weight: number;
  /**
   * Where truth is known: how many of those that counted have it, and which share of them is right.
   */
  readonly known: number;
  readonly right: number | null;
  /** By class name: share of the predictions that are of it, and share of those that counted. */
  readonly perClass: Readonly<Record<string, { readonly predicted: number; readonly kept: number }>>;
  /** FlexMatch's thresholds at the end of the epoch. */
  readonly thresholds?: Readonly<Record<string, number>>;
}

export interface MaskObserverOptions {
  readonly classes: readonly string[];
  /** The images to learn from, and which of them are shown without their labels. */
  readonly samples: readonly Sample[];
  readonly subset: readonly number[];
  /** FlexMatch: the threshold that a class gets when it is learned best. */
  readonly flexible?: number;
}

/**
 * Follows the predictions on unlabelled images: counts them for the metrics, and with `flexible`
 * makes FlexMatch's thresholds of them.
 */
export function createMaskObserver({ classes, samples, subset, flexible }: MaskObserverOptions): Observer {
  const count = classes.length;
  const place = new Map(subset.map((index, i) => [index, i]));
  /** The class that each image was last predicted as with confidence; -1: not yet. */
  const learned = new Float32Array(flexible === undefined ? 0 : subset.length).fill(-1);
  // predicted and kept by class; then images, kept, weight, known, right
  const sums = new Float32Array(2 * count + 5);
  const [images, kept, weights, known, right] = [0, 1, 2, 3, 4].map((i) => 2 * count + i) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const named = <T>(valueOf: (c: number) => T): Record<string, T> =>
    Object.fromEntries(classes.map((name, c) => [name, valueOf(c)]));
  // As the loss has it: a confidence of exactly the threshold is enough.
  const confident = Math.fround(flexible ?? 1);
  const thresholds = (): Float32Array => flexibleThresholds(learned, count, flexible!);
  return {
    ...(flexible !== undefined && { feeds: () => ({ thresholds: float32([count], thresholds()) }) }),
    observe({ confidence, predicted, weight }, { parts }) {
      const { indexes } = parts![1]!;
      indexes.forEach((index, i) => {
        const label = Number(predicted!.data[i]),
          w = Number(weight!.data[i]),
          { truth, label: given } = samples[index]!;
        const actual = given >= 0 ? given : truth;
        sums[images]!++;
        sums[label]!++;
        sums[weights]! += w;
        if (w >= 0.5) {
          sums[kept]!++;
          sums[count + label]!++;
          if (actual !== undefined) sums[known]!++;
          if (actual === label) sums[right]!++;
        }
        if (flexible !== undefined && Number(confidence!.data[i]) >= confident) learned[place.get(index)!] = label;
      });
    },
    summary() {
      const seen = Math.max(sums[images]!, 1),
        limits = flexible === undefined ? undefined : thresholds();
      const statistics: MaskStatistics = {
        kept: sums[kept]! / seen,
        weight: sums[weights]! / seen,
        known: sums[known]!,
        right: sums[known]! > 0 ? sums[right]! / sums[known]! : null,
        perClass: named((c) => ({
          predicted: sums[c]! / seen,
          kept: sums[c]! === 0 ? 0 : sums[count + c]! / sums[c]!,
        })),
        ...(limits && { thresholds: named((c) => limits[c]!) }),
      };
      sums.fill(0);
      return { unlabelled: statistics };
    },
    save: () =>
      new Map<string, Tensor>([
        ['observer:sums', float32([sums.length], sums.slice())],
        ...(flexible === undefined ? [] : [['observer:learned', float32([learned.length], learned.slice())] as const]),
      ]),
    restore(tensors) {
      sums.set((tensors.get('observer:sums')?.data ?? []) as Float32Array);
      learned.set((tensors.get('observer:learned')?.data ?? []) as Float32Array);
    },
  };
}

/**
 * FlexMatch's thresholds: threshold * x / (2 - x) with x = count of the class / the largest count,
 * images not yet learned counting as a class.
 */
export function flexibleThresholds(learned: ArrayLike<number>, classes: number, threshold: number): Float32Array {
  const counts = new Float64Array(classes);
  let unlearned = 0;
  for (let i = 0; i < learned.length; i++) {
    if (learned[i]! < 0) unlearned++;
    else counts[learned[i]!]!++;
  }
  const most = Math.max(unlearned, ...counts, 1);
  return Float32Array.from(counts, (n) => {
    const x = n / most;
    return (threshold * x) / (2 - x);
  });
}
