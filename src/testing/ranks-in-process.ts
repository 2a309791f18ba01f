import assert from 'node:assert/strict';
import { createLoader } from '../data/loader.js';
import { workingTarget } from '../data/target.js';
import { createEngine, type EngineName } from '../engine/index.js';
import type { Model } from '../models/model.js';
import { ranksInMemory } from '../parallel/memory.js';
import { createRanks, type Ranks } from '../parallel/ranks.js';
import { trainPipeline } from '../augment/presets.js';
import { Random } from '../random.js';
import type { Tensor } from '../tensor.js';
import type { FitEvent } from '../train/events.js';
import { fit, type FitOptions } from '../train/fit.js';
import { supervisedFeeds } from '../train/objective.js';
import { createSchedule } from '../train/schedules.js';
import { buildTrainingStep, type TrainingStepOptions } from '../train/step.js';
import { imagesAt } from '../web/images.js';
import { tinyGroups, tinySize } from './tiny-model.js';

/** A training of the tiny network by several ranks, each with an engine of its own in this process. */

/** Of all ranks together. */
export const batchSize = 8;
const stepsPerEpoch = 5;

/** Noise of which each class has a brightest channel, a little larger than the network's input. */
const photos = Array.from({ length: batchSize * stepsPerEpoch }, (_, index) => {
  const random = new Random(7, 'photo', index);
  const [width, height, label] = [tinySize + 3, tinySize + 2, index % 3];
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => random.integer(160) + (i % 3 === label ? 70 : 0),
  );
  return { image: { width, height, data }, label };
});

export interface Outcome {
  readonly state: ReadonlyMap<string, Tensor>;
  readonly events: readonly FitEvent[];
}

/** Trains one epoch as one of `ranks`, with crops, CutMix or MixUp, and dropout. */
export async function trainAs(
  ranks: Ranks,
  model: Model,
  {
    fit: fitting = {},
    step: stepping = {},
    engineName = 'reference',
  }: { fit?: Partial<FitOptions>; step?: Partial<TrainingStepOptions>; engineName?: EngineName } = {},
): Promise<Outcome> {
  const engine = await createEngine(engineName, { threads: 1 });
  const accumulate = stepping.accumulate ?? 1;
  const loader = createLoader({
    images: imagesAt(photos, workingTarget(model.preprocessing)),
    classes: 3,
    pipeline: trainPipeline('basic', model.preprocessing),
    mixing: { cutmix: 1, mixup: 0.4 },
    size: [tinySize, tinySize],
    batchSize: batchSize / accumulate,
    slice: ranks,
    seed: 5,
    dropLast: true,
  });
  const step = buildTrainingStep(model, {
    batchSize: batchSize / accumulate / ranks.size,
    slice: ranks,
    groups: tinyGroups(model, { weightDecay: 1e-3 }),
    optimizer: { name: 'sgd', clip: 1 },
    average: { decay: 0.9 },
    seed: 5,
    ...stepping,
  });
  const events: FitEvent[] = [];
  const training = fit({
    engine,
    ranks,
    step,
    epochs: 1,
    learningRate: 0.05,
    schedule: createSchedule('cosine', { warmUpSteps: 2 }),
    source: {
      stepsPerEpoch: loader.stepsPerEpoch,
      async *batches(epoch, start) {
        for await (const batch of loader.batches(epoch, start))
          yield { feeds: supervisedFeeds(batch), files: batch.paths };
      },
    },
    ...fitting,
  });
  for await (const event of training) events.push(event);
  await ranks.end();
  const names = [...step.initialState.keys()].filter((name) => !name.endsWith('@accumulated'));
  const state = await engine.read(names);
  await engine.close();
  return { state, events };
}

export const trainTogether = (size: number, work: (ranks: Ranks) => Promise<Outcome>): Promise<Outcome[]> =>
  Promise.all(ranksInMemory(size).map((communicator) => work(createRanks(communicator))));

/** The largest difference of any number of two states. */
export function difference(a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>): number {
  assert.deepEqual([...a.keys()].sort(), [...b.keys()].sort());
  let most = 0;
  for (const [name, { data }] of a) {
    const other = b.get(name)!.data;
    data.forEach((value, i) => (most = Math.max(most, Math.abs(Number(value) - Number(other[i])))));
  }
  return most;
}

export const losses = ({ events }: Outcome): number[] =>
  events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
