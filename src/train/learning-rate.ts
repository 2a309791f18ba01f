import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { compileStep, openFeed, type BatchFeed, type BatchSource } from './runner.js';
import type { TrainingStep } from './step.js';

export interface RangeTestOptions {
  readonly engine: Engine;
  readonly step: TrainingStep;
  readonly source: BatchSource;
  /** Tensors to begin with in place of the step's initial ones. */
  readonly state?: ReadonlyMap<string, Tensor>;
  /** Smallest rate tried. Default 1e-5. */
  readonly from?: number;
  /** Largest rate tried. Default 3. */
  readonly to?: number;
  /** Steps at most. Default 80. */
  readonly steps?: number;
  readonly signal?: AbortSignal;
}

export interface RangeTest {
  readonly learningRate: number;
  /** Rate and smoothed loss of every step. */
  readonly curve: readonly { readonly learningRate: number; readonly loss: number }[];
}

/**
 * The range test (Smith 2017): trains with a rate that grows from step to step until the loss blows
 * up, then suggests the rate at which the smoothed loss fell fastest, at most a third of the one at
 * its minimum. The store holds the initial state again after it. Depends on seed and data alone.
 * Throws `diverged` when the loss never fell.
 */
export async function findLearningRate(options: RangeTestOptions): Promise<RangeTest> {
  const { engine, step, source, from = 1e-5, to = 3, steps = 80, signal } = options;
  const initial = new Map([...step.initialState].map(([name, tensor]) => [name, options.state?.get(name) ?? tensor]));
  await engine.write(initial);
  const runner = await compileStep(engine, step);
  const curve: { learningRate: number; loss: number }[] = [];
  let feed: BatchFeed | undefined;
  try {
    const stepsPerEpoch = runner.stepsPerEpoch(source);
    const smoothing = 0.9;
    let average = 0,
      lowest = Infinity;
    for (let i = 0; i < steps; i++) {
      if (signal?.aborted)
        throw new PupilError(
          'interrupted',
          'interrupted during the range test of `lr: auto`; continue with `resume`, which begins it again',
        );
      if (i % stepsPerEpoch === 0) {
        await feed?.close();
        feed = openFeed(source, i / stepsPerEpoch, 0);
      }
      const learningRate = from * (to / from) ** (i / (steps - 1));
      const { loss } = await runner.run({ step: i, total: steps, learningRate }, feed!, source.observer);
      if (!Number.isFinite(loss)) break;
      average = smoothing * average + (1 - smoothing) * loss;
      const smoothed = average / (1 - smoothing ** (i + 1));
      curve.push({ learningRate, loss: smoothed });
      lowest = Math.min(lowest, smoothed);
      if (i > 10 && smoothed > 2 * lowest) break;
    }
  } finally {
    await feed?.close();
    await runner.close();
    await engine.write(initial);
  }
  return { learningRate: suggest(curve), curve };
}

/** The rate of steepest descent before the minimum. */
function suggest(curve: RangeTest['curve']): number {
  let minimum = 0;
  curve.forEach(({ loss }, i) => {
    if (loss < curve[minimum]!.loss) minimum = i;
  });
  // The slope over a few steps, since single steps are noisy; the rates are evenly spaced in their
  // logarithm.
  const reach = 3;
  let steepest = -1,
    slope = 0;
  for (let i = reach; i + reach <= minimum; i++) {
    const change = curve[i + reach]!.loss - curve[i - reach]!.loss;
    if (change < slope) [steepest, slope] = [i, change];
  }
  if (minimum < 2 * reach) {
    throw new PupilError(
      'diverged',
      '`lr: auto`: the loss did not fall at any rate; give a rate, such as `lr: 0.001`, and check the labels',
      { option: 'lr' },
    );
  }
  const limit = curve[minimum]!.learningRate / 3;
  const rate = steepest < 0 ? limit : Math.min(curve[steepest]!.learningRate, limit);
  return Number(rate.toPrecision(2));
}
