import type { Ranks } from '../parallel/ranks.js';
import type { Tensor } from '../tensor.js';
import type { FitPosition } from './events.js';
import type { TrainingStep } from './step.js';
import { accumulatedSlot } from './transforms.js';

/** What steps gave: sums over them. */
export interface Sums {
  readonly loss: number;
  /** Images that were classified rightly. */
  readonly correct: number;
}

/**
 * How processes train one network that exchange nothing while each makes some steps by itself, and then put the mean
 * of their states in the place of their own: local SGD (Stich 2019), without a momentum of the averages, which DiLoCo
 * (Douillard et al. 2023) adds and whose rate would have to be found.
 */
export interface Averaging {
  /**
   * The steps that this process makes next, in the epoch under way (`position.epoch`) or in a later one, the same until
   * they are averaged; undefined: none are left.
   */
  next(position: FitPosition, stepsPerEpoch: number): Promise<Stretch | undefined>;
  /**
   * Replaces the tensors, float32, by their means over all processes. `own`: of the steps since the last average;
   * returns what they gave in all: the loss as a mean over processes that made the same steps, images as a sum.
   */
  average(state: ReadonlyMap<string, Tensor>, own: Sums & { readonly steps: number }): Promise<Sums>;
}

/** Steps of an epoch, both counted from 0: from `from` to before `to`. */
export interface Stretch {
  readonly epoch: number;
  readonly from: number;
  readonly to: number;
}

/** Ranks that average after every `every` steps of an epoch, and at its end. */
export const averagingOverRanks = (ranks: Ranks, every: number): Averaging => ({
  next: ({ epoch, stepInEpoch: from }, stepsPerEpoch) =>
    Promise.resolve({ epoch, from, to: Math.min(stepsPerEpoch, from - (from % every) + every) }),
  async average(state, sums) {
    const own = [...state.values()].map(({ data }) => data as Float32Array);
    const scalars = Float32Array.of(sums.loss, sums.correct);
    await ranks.sum([...own, scalars]);
    for (const values of own) for (let i = 0; i < values.length; i++) values[i] = values[i]! / ranks.size;
    const [loss, correct] = scalars as unknown as [number, number];
    return { loss: loss / ranks.size, correct };
  },
});

/**
 * The entries of the store that a step changes: weights and statistics, and what the optimizer and averages of the
 * weights remember. All of it is averaged, so that every process holds the same state afterwards: a checkpoint of one
 * is that of all, and SGD with momentum that averages after every step is SGD on the mean of the gradients.
 */
export function changedBy({ main, apply }: TrainingStep): string[] {
  const changed = [main, apply].flatMap((program) =>
    Object.entries(program?.state ?? {}).flatMap(([name, next]) => (next === null ? [] : [name])),
  );
  return [...new Set(changed)].filter((name) => !name.endsWith(`@${accumulatedSlot}`));
}
