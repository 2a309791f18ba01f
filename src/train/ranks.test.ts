import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLoader } from '../data/loader.js';
import { workingTarget } from '../data/target.js';
import { createEngine, type EngineName } from '../engine/index.js';
import type { Model } from '../models/model.js';
import { ranksInMemory } from '../parallel/memory.js';
import { alone, createRanks, type Ranks } from '../parallel/ranks.js';
import { trainPipeline } from '../augment/presets.js';
import { Random } from '../random.js';
import type { Tensor } from '../tensor.js';
import { withoutDnnl } from '../testing/onednn.js';
import { tinyGroups, tinyModel, tinySize } from '../testing/tiny-model.js';
import { imagesAt } from '../web/images.js';
import type { FitEvent } from './events.js';
import { fit, type FitOptions } from './fit.js';
import { supervisedFeeds } from './objective.js';
import { createSchedule } from './schedules.js';
import { buildTrainingStep, type TrainingStepOptions } from './step.js';

/**
 * Several ranks, each with an engine of its own in this process, against one that has the whole
 * batch.
 */

const batchSize = 8;
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

interface Outcome {
  readonly state: ReadonlyMap<string, Tensor>;
  readonly events: readonly FitEvent[];
}

/** Trains one epoch as one of `ranks`, with crops, CutMix or MixUp, and dropout. */
async function trainAs(
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

const trainTogether = (size: number, work: (ranks: Ranks) => Promise<Outcome>): Promise<Outcome[]> =>
  Promise.all(ranksInMemory(size).map((communicator) => work(createRanks(communicator))));

/** The largest difference of any number of two states. */
function difference(a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>): number {
  assert.deepEqual([...a.keys()].sort(), [...b.keys()].sort());
  let most = 0;
  for (const [name, { data }] of a) {
    const other = b.get(name)!.data;
    data.forEach((value, i) => (most = Math.max(most, Math.abs(Number(value) - Number(other[i])))));
  }
  return most;
}

const losses = ({ events }: Outcome): number[] =>
  events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));

for (const size of [2, 4])
  for (const accumulate of [1, 2]) {
    if (batchSize / accumulate / size < 1) continue;
    test(`${size} ranks train as one process does, ${accumulate} micro-batches a step`, async () => {
      const model = tinyModel({ dropout: 0.3, batchNormalization: false });
      const step = { accumulate };
      const one = await trainAs(alone, model, { step });
      const several = await trainTogether(size, (ranks) => trainAs(ranks, model, { step }));
      const start = await trainAs(alone, model, { fit: { learningRate: 1e-9 } });
      assert.ok(difference(one.state, start.state) > 1e-2, 'something was learned');
      for (const { state } of several)
        assert.ok(difference(state, one.state) < 1e-5, String(difference(state, one.state)));
      for (const { state } of several.slice(1)) assert.equal(difference(state, several[0]!.state), 0);
      losses(one).forEach((loss, i) => {
        for (const outcome of several) assert.ok(Math.abs(losses(outcome)[i]! - loss) < 1e-5);
      });
      const epochOf = ({ events }: Outcome): number | undefined =>
        events.flatMap((event) => (event.type === 'epoch' ? [event.accuracy] : []))[0];
      for (const outcome of several) assert.equal(epochOf(outcome), epochOf(one));
    });
  }

const engines: readonly (readonly [EngineName, skip: string | false])[] = [
  ['reference', false],
  ['ort', false],
  ['onednn', withoutDnnl],
];
for (const [engineName, skip] of engines)
  for (const size of [2, 4])
    test(
      `${size} ranks with BatchNormalization over all train as one process does, ${engineName}`,
      { skip },
      async () => {
        const model = tinyModel({ dropout: 0.3 });
        const options = { engineName, step: { syncBatchNormalization: true } };
        const one = await trainAs(alone, model, options);
        const several = await trainTogether(size, (ranks) => trainAs(ranks, model, options));
        for (const { state } of several)
          assert.ok(difference(state, one.state) < 1e-5, String(difference(state, one.state)));
        const apart = await trainTogether(size, (ranks) => trainAs(ranks, model, { engineName }));
        assert.ok(difference(apart[0]!.state, one.state) > 1e-3, 'each by its own statistics is something else');
      },
    );

test('ranks with BatchNormalization and an evaluation of the first hold the same state', async () => {
  const model = tinyModel({ dropout: 0.1 });
  let evaluated = 0;
  const several = await trainTogether(2, (ranks) =>
    trainAs(ranks, model, {
      fit: {
        minutes: 5,
        evaluate: () => {
          evaluated++;
          assert.ok(ranks.leads);
          return Promise.resolve({ score: 0.5, metrics: { top1: 0.5 } });
        },
      },
    }),
  );
  assert.equal(evaluated, 1);
  assert.equal(difference(several[0]!.state, several[1]!.state), 0);
  for (const { events } of several) {
    const last = events.at(-1)!;
    assert.ok(last.type === 'done' && last.best?.score === 0.5);
  }
});

test('ranks save together, once, and diverge together', async () => {
  const saved: number[] = [];
  const model = tinyModel({ batchNormalization: false });
  const save = (): Promise<string> => (saved.push(1), Promise.resolve('checkpoint'));
  await trainTogether(2, (ranks) => trainAs(ranks, model, { fit: ranks.leads ? { save } : {} }));
  assert.equal(saved.length, 1);
  const settled = await Promise.allSettled(
    ranksInMemory(2)
      .map((communicator) => createRanks(communicator))
      .map((ranks) => trainAs(ranks, model, { fit: { learningRate: 1e30 } }).catch((error) => ranks.fail(error))),
  );
  for (const one of settled) {
    assert.equal(one.status, 'rejected');
    assert.match(String(one.reason), /the loss is (NaN|-?Infinity)/);
  }
});
