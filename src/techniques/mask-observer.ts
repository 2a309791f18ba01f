import { float32 } from '../tensor.js';
import type { Observer } from '../train/runner.js';
import type { ObserverContext } from './technique.js';

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

/**
 * Counts, for the metrics, what became of the predictions on the view `weak`: `predicted` (the
 * class) and `weight`, each [count].
 */
export function maskObserver({ classes, samples }: Pick<ObserverContext, 'classes' | 'samples'>): Observer {
  const count = classes.length;
  // predicted and kept by class; then images, kept, weight, known, right
  const sums = new Float32Array(2 * count + 5);
  const [images, kept, weights, known, right] = [0, 1, 2, 3, 4].map((i) => 2 * count + i) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    observe({ predicted, weight }, { views }) {
      views!['weak']!.allIndexes.forEach((index, i) => {
        const label = Number(predicted!.data[i]),
          w = Number(weight!.data[i]),
          { truth, label: given } = samples[index]!;
        // The view holds the labelled images too.
        if (given >= 0) return;
        sums[images]!++;
        sums[label]!++;
        sums[weights]! += w;
        if (w < 0.5) return;
        sums[kept]!++;
        sums[count + label]!++;
        if (truth !== undefined) sums[known]!++;
        if (truth === label) sums[right]!++;
      });
    },
    summary() {
      const seen = Math.max(sums[images]!, 1);
      const statistics: MaskStatistics = {
        kept: sums[kept]! / seen,
        weight: sums[weights]! / seen,
        known: sums[known]!,
        right: sums[known]! > 0 ? sums[right]! / sums[known]! : null,
        perClass: Object.fromEntries(
          classes.map((name, c) => [
            name,
            { predicted: sums[c]! / seen, kept: sums[c]! === 0 ? 0 : sums[count + c]! / sums[c]! },
          ]),
        ),
      };
      sums.fill(0);
      return { unlabelled: statistics };
    },
    save: () => new Map([['observer:sums', float32([sums.length], sums.slice())]]),
    restore(tensors) {
      sums.set((tensors.get('observer:sums')?.data ?? []) as Float32Array);
    },
  };
}
