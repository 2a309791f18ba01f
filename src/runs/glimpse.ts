import type { Batch } from '../data/loader.js';
import type { BatchSource } from '../train/runner.js';

/** A batch as it is learned from, copied: by view, with what its targets mean. */
export interface Glimpse {
  readonly parts: readonly Batch[];
  readonly classes: readonly string[];
  /** How images are varied, in words. */
  readonly augmentation: string;
}

let wishes: ((glimpse: Glimpse) => void)[] = [];

/** The next batch that a training of this thread learns from; settles never where there is none. */
export const nextBatch = (): Promise<Glimpse> => new Promise((resolve) => wishes.push(resolve));

/** The same batches; one that somebody waits for is copied before its memory is given away. */
export function watched(source: BatchSource, { classes, augmentation }: Omit<Glimpse, 'parts'>): BatchSource {
  return {
    ...source,
    async *batches(epoch, startStep) {
      for await (const batch of source.batches(epoch, startStep)) {
        if (wishes.length > 0 && batch.views !== undefined) {
          const parts = Object.values(batch.views).map((view) => ({ ...view, pixels: view.pixels.slice() }));
          for (const fulfil of wishes) fulfil({ parts, classes, augmentation });
          wishes = [];
        }
        yield batch;
      }
    },
  };
}
