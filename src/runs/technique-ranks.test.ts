import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine } from '../engine/index.js';
import { ranksInMemory } from '../parallel/memory.js';
import { alone, createRanks, type Ranks } from '../parallel/ranks.js';
import type { Tensor } from '../tensor.js';
import { noiseContext } from '../testing/noise-context.js';
import { fit, type FitOptions, type FitSnapshot } from '../train/fit.js';
import { createSchedule } from '../train/schedules.js';
import { batchesOf, type BatchContext } from './batches.js';
import { buildPhaseStep, planPhases } from './phases.js';
import type { TrainOptions } from './resolve.js';

/** Techniques that remember what they saw in earlier batches: several ranks, each with a part of them, against one. */

const trainings: readonly TrainOptions[] = [
  { technique: 'fixmatch', threshold: 'relative', alignment: 'half', runningDecay: 'auto' },
  { technique: 'flexmatch', threshold: 0.36, weakPass: 'averaged', ema: 0.9 },
  { technique: 'flexmatch', threshold: 'relative', accumulate: 2 },
  { technique: 'softmatch', alignment: 'uniform', dropout: 0.2 },
  { technique: 'freematch', fairnessWeight: 0.5 },
  { technique: 'adamatch', threshold: 0.9, alignment: 'labelled' },
  { technique: 'debiasmatch', threshold: 0.36 },
];

interface Outcome {
  readonly state: ReadonlyMap<string, Tensor>;
  /** What each epoch saw. */
  readonly observed: readonly unknown[];
  readonly losses: readonly number[];
}

async function trainAs(ranks: Ranks, context: BatchContext, more: Partial<FitOptions> = {}): Promise<Outcome> {
  const engine = await createEngine('reference');
  const { model, settings, batchSize } = context;
  const step = buildPhaseStep(model, settings, planPhases(model, settings).at(-1)!, batchSize, ranks);
  const source = batchesOf({ ...context, slice: ranks });
  const observed: unknown[] = [],
    losses: number[] = [];
  const events = fit({
    engine,
    ranks,
    step,
    source,
    epochs: 3,
    learningRate: 0.02,
    schedule: createSchedule('constant'),
    ...more,
  });
  try {
    for await (const event of events)
      if (event.type === 'epoch') observed.push(event.observed);
      else if (event.type === 'step') losses.push(event.loss);
    await ranks.end();
  } catch (error) {
    return await ranks.fail(error);
  }
  const names = [...step.initialState.keys()].filter((name) => !name.endsWith('@accumulated'));
  return { state: new Map([...(await engine.read(names)), ...source.observer!.save()]), observed, losses };
}

const trainTogether = (size: number, work: (ranks: Ranks) => Promise<Outcome>): Promise<Outcome[]> =>
  Promise.all(ranksInMemory(size).map((communicator) => work(createRanks(communicator))));

function assertEqual(several: readonly Outcome[], one: Outcome): void {
  for (const { state, observed, losses } of several) {
    assert.deepEqual([...state.keys()].sort(), [...one.state.keys()].sort());
    for (const [name, { data }] of state)
      data.forEach((value, i) => {
        const difference = Math.abs(Number(value) - Number(one.state.get(name)!.data[i]));
        assert.ok(difference < 1e-5, `${name}[${i}] differs by ${difference}`);
      });
    losses.forEach((loss, i) => assert.ok(Math.abs(loss - one.losses[i]!) < 1e-5));
    assert.deepEqual(rounded(observed), rounded(one.observed));
  }
}

/** Numbers to 5 digits. */
const rounded = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (_, item: unknown) => (typeof item === 'number' ? item.toFixed(5) : item));

const few = { unlabelledRatio: 2, batchSize: 4, syncBn: true, optimizer: 'sgd', seed: 2 } as const;

for (const options of trainings) {
  const { technique, accumulate = 1 } = options;
  test(`${technique}, ${accumulate} micro-batches a step: 2 and 4 ranks train as one process does`, async (t) => {
    const context = await noiseContext(t, { ...few, ...options });
    const one = await trainAs(alone, context);
    assert.ok(one.losses.length >= 3);
    const kept = one.observed.map((seen) => (seen as { unlabelled: { weight: number } }).unlabelled.weight);
    assert.ok(
      kept.some((weight) => weight > 0),
      `something was learned from images without labels: ${kept.join(' ')}`,
    );
    for (const size of [2, 4]) assertEqual(await trainTogether(size, (ranks) => trainAs(ranks, context)), one);
  });
}

test('a training goes on with more ranks, of which only the first has what was saved', async (t) => {
  const context = await noiseContext(t, { ...few, technique: 'flexmatch', threshold: 0.36 });
  const snapshots: FitSnapshot[] = [];
  const one = await trainAs(alone, context, {
    checkpointSeconds: 0,
    save: (snapshot) => (snapshots.push(snapshot), Promise.resolve('checkpoint')),
  });
  const { tensors, position } = snapshots[0]!;
  assert.ok(
    tensors.get('observer:learned')!.data.some((label) => Number(label) >= 0),
    'something was learned',
  );
  const several = await trainTogether(2, (ranks) =>
    trainAs(ranks, context, { resume: position, state: ranks.leads ? tensors : new Map() }),
  );
  assertEqual(
    several.map((outcome) => ({ ...outcome, observed: [], losses: [] })),
    { ...one, observed: [], losses: [] },
  );
});
