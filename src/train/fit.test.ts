import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Engine } from '../engine/engine.js';
import { createOrtEngine } from '../engine/ort/index.js';
import { PupilError } from '../errors.js';
import { Random } from '../random.js';
import { zeros, type Tensor } from '../tensor.js';
import { tinyBatch, tinyGroups, tinyModel } from '../testing/tiny-model.js';
import { chooseBatchSize, peakMemory } from './batch-size.js';
import { buildEvaluation } from './evaluation.js';
import type { FitEvent } from './events.js';
import { fit, type FitOptions, type FitSnapshot } from './fit.js';
import { findLearningRate } from './learning-rate.js';
import { labelLoss, type Objective } from './objective.js';
import type { BatchSource } from './runner.js';
import { createSchedule } from './schedules.js';
import { buildTrainingStep, type TrainingStep, type TrainingStepOptions } from './step.js';

let engine: Engine;
before(async () => {
  engine = await createOrtEngine({ threads: 1 });
});
after(() => engine.close());

const images = 48;
const batchSize = 8;

/** Shuffled batches of the tiny images; `spoil` may change the feeds of a (epoch, step). */
const sourceOf = (
  spoil?: (feeds: Record<string, Tensor>, epoch: number, step: number) => void,
  log: string[] = [],
): BatchSource => ({
  stepsPerEpoch: images / batchSize,
  async *batches(epoch, startStep) {
    const order = new Random(3, 'order', epoch).shuffle(Array.from({ length: images }, (_, i) => i));
    for (let step = startStep; step < images / batchSize; step++) {
      log.push(`batch ${epoch}.${step}`);
      const chosen = order.slice(step * batchSize, (step + 1) * batchSize);
      const feeds = tinyBatch(chosen);
      spoil?.(feeds, epoch, step);
      yield { feeds, files: chosen.map((i) => `image-${i}.png`) };
    }
  },
});

const stepOf = (options: Partial<TrainingStepOptions> = {}): TrainingStep => {
  const model = tinyModel({ dropout: 0.1 });
  return buildTrainingStep(model, {
    batchSize,
    groups: tinyGroups(model, { weightDecay: 1e-3 }),
    optimizer: { name: 'sgd' },
    seed: 5,
    ...options,
  });
};

const optionsOf = (step: TrainingStep, options: Partial<FitOptions> = {}): FitOptions => ({
  engine,
  step,
  source: sourceOf(),
  epochs: 4,
  learningRate: 0.05,
  schedule: createSchedule('cosine', { warmUpSteps: 2 }),
  ...options,
});

async function collect(options: FitOptions): Promise<FitEvent[]> {
  const events: FitEvent[] = [];
  for await (const event of fit(options)) events.push(event);
  return events;
}

/** An event without what depends on the clock. */
const timeless = (event: FitEvent): Record<string, unknown> =>
  Object.fromEntries(Object.entries(event).filter(([name]) => !['seconds', 'imagesPerSecond', 'path'].includes(name)));

test('fit: learns, and tells what happens in order', async () => {
  const step = stepOf();
  const events = await collect(optionsOf(step, { epochs: 6 }));
  assert.deepEqual(
    events.slice(0, 2).map(({ type }) => type),
    ['start', 'step'],
  );
  assert.deepEqual(timeless(events.at(-1)!), { type: 'done', epoch: 6, step: 36, best: null, reason: 'epochs' });
  assert.equal(events.filter(({ type }) => type === 'step').length, 36);
  const epochs = events.filter((event) => event.type === 'epoch');
  assert.deepEqual(
    epochs.map(({ epoch }) => epoch),
    [1, 2, 3, 4, 5, 6],
  );
  assert.ok(
    epochs[5]!.loss < 0.6 * epochs[0]!.loss && epochs[5]!.accuracy! > 0.8,
    JSON.stringify(epochs.map(({ loss, accuracy }) => [loss, accuracy])),
  );
});

/** Evaluates on fixed images. */
async function evaluator(): Promise<NonNullable<FitOptions['evaluate']>> {
  const { graph, state } = buildEvaluation(tinyModel({ dropout: 0.1 }));
  const program = await engine.compile(graph, { state });
  return async () => {
    const { pixels, targets } = tinyBatch(Array.from({ length: 20 }, (_, i) => 100 + i));
    const { probabilities } = await program.run({ pixels });
    let loss = 0;
    targets.data.forEach((t, i) => {
      if (t) loss -= Math.log(probabilities!.data[i] as number) / 20;
    });
    return { score: -loss, metrics: { loss } };
  };
}

/** A loss with all that an objective may ask for: the average of the weights, a ramp, draws. */
const demanding: Objective = ({ math: m, batchSize, classes, size, input, forward, scalar, uniform }) => {
  const pixels = input('pixels', 'uint8', [batchSize, ...size, 3]);
  const logits = forward(pixels),
    teacher = forward(pixels, { weights: 'averaged' });
  const ramp = m.mul(
    scalar('ramp', ({ step, total }) => step / total),
    uniform('draws', [batchSize]),
  );
  const consistent = m.meanBatch(m.mul(ramp, m.sumClasses(m.square(m.sub(m.softmax(logits), m.softmax(teacher))))));
  return { loss: m.add(labelLoss(m, logits, input('targets', 'float32', [batchSize, classes]), {}), consistent) };
};

for (const [name, step] of [
  [
    'with averages that the loss runs, a ramp and draws',
    () => stepOf({ average: { decay: 0.9 }, objective: demanding }),
  ],
  ['with averages and dropout', () => stepOf({ average: { decay: 0.9 } })],
  ['with accumulation, AdamW and clipping', () => stepOf({ accumulate: 2, optimizer: { name: 'adamw', clip: 1 } })],
] as const) {
  test(`fit: a run resumed from any checkpoint ends in the same bits, ${name}`, async () => {
    const evaluate = await evaluator();
    const snapshots: FitSnapshot[] = [];
    const saved = new Map<number, number>();
    const events: FitEvent[] = [];
    const save = async (snapshot: FitSnapshot): Promise<string> => {
      saved.set(snapshots.push(structuredClone(snapshot)) - 1, events.length);
      return `checkpoint ${snapshots.length}`;
    };
    const options = optionsOf(step(), { evaluate, patience: 9, epochs: 3 });
    for await (const event of fit({ ...options, save, checkpointSeconds: 0 })) events.push(event);
    const final = await engine.read();
    const stepsPerEpoch = options.step.accumulate === 2 ? 3 : 6;
    assert.equal(snapshots.length, 3 * stepsPerEpoch);
    const rest = (list: FitEvent[]): Record<string, unknown>[] =>
      list.filter(({ type }) => type !== 'start' && type !== 'checkpoint').map(timeless);
    for (const index of [
      0,
      stepsPerEpoch - 2,
      stepsPerEpoch - 1,
      stepsPerEpoch,
      2 * stepsPerEpoch - 1,
      3 * stepsPerEpoch - 1,
    ]) {
      const { tensors, position } = snapshots[index]!;
      await engine.write(new Map([...final].map(([key, { dims }]) => [key, zeros('float32', dims)])));
      const resumed = await collect({
        ...options,
        step: step(),
        state: tensors,
        resume: JSON.parse(JSON.stringify(position)) as typeof position,
      });
      assert.deepEqual(rest(resumed), rest(events.slice(saved.get(index))), `events after snapshot ${index}`);
      for (const [key, tensor] of await engine.read())
        assert.deepEqual(tensor.data, final.get(key)!.data, `${key} after snapshot ${index}`);
    }
    await engine.remove([...final.keys()]);
  });
}

test('fit: an abort saves and says so; going on ends as if nothing had happened', async () => {
  const step = stepOf();
  const whole = (await collect(optionsOf(step))).filter(({ type }) => type === 'step').map(timeless);
  const controller = new AbortController();
  let snapshot: FitSnapshot | undefined;
  const seen: Record<string, unknown>[] = [];
  const run = async (): Promise<void> => {
    const save = async (s: FitSnapshot): Promise<string> => {
      snapshot = s;
      return 'run/000001.json';
    };
    for await (const event of fit(optionsOf(step, { signal: controller.signal, save, checkpointSeconds: 1e9 }))) {
      if (event.type === 'step') seen.push(timeless(event));
      if (seen.length === 9) controller.abort();
    }
  };
  await assert.rejects(
    run(),
    (error) =>
      error instanceof PupilError &&
      error.code === 'interrupted' &&
      /after step 9; saved as run\/000001.json/.test(error.message),
  );
  assert.ok(snapshot);
  const rest = await collect(optionsOf(step, { state: snapshot.tensors, resume: snapshot.position }));
  assert.deepEqual([...seen, ...rest.filter(({ type }) => type === 'step').map(timeless)], whole);
});

test('fit: a loss that is not a number stops with step, files and the last good checkpoint', async () => {
  const spoil = (feeds: Record<string, Tensor>, epoch: number, step: number): void => {
    if (epoch === 1 && step === 2) (feeds['targets']!.data as Float32Array).fill(NaN);
  };
  const saved: FitSnapshot[] = [];
  const save = async (snapshot: FitSnapshot): Promise<string> => `run/${saved.push(snapshot)}.json`;
  await assert.rejects(
    collect(optionsOf(stepOf(), { source: sourceOf(spoil), save, checkpointSeconds: 0 })),
    (error) => {
      assert.ok(error instanceof PupilError && error.code === 'diverged');
      assert.match(
        error.message,
        /the loss is NaN at step 9 \(epoch 2\); its batch: image-\d+\.png, .*last good checkpoint is run\/8\.json; lower `lr`/,
      );
      return true;
    },
  );
  assert.equal(saved.length, 8);
});

test('fit: weights that are not finite never become a checkpoint', async () => {
  const saved: FitSnapshot[] = [];
  const save = async (snapshot: FitSnapshot): Promise<string> => `run/${saved.push(snapshot)}.json`;
  await assert.rejects(
    collect(
      optionsOf(stepOf(), { learningRate: 1e38, save, checkpointSeconds: 0, schedule: createSchedule('constant') }),
    ),
    (error) =>
      error instanceof PupilError &&
      error.code === 'diverged' &&
      /(not finite after step|the loss is (NaN|-?Infinity) at step)/.test(error.message),
  );
  for (const { tensors } of saved)
    for (const [name, { data }] of tensors) assert.ok((data as Float32Array).every(Number.isFinite), name);
});

test('fit: stops when evaluations get no better, and keeps the best', async () => {
  const scores = [0.1, 0.5, 0.4, 0.3, 0.45, 0.9];
  const kept: [number, boolean][] = [];
  const events = await collect(
    optionsOf(stepOf(), {
      epochs: 6,
      patience: 3,
      evaluate: async ({ epoch }) => ({ score: scores[epoch - 1]!, metrics: { top1: scores[epoch - 1] } }),
      save: async ({ position, isBest }) => {
        kept.push([position.step, isBest]);
        return 'x';
      },
      checkpointSeconds: 1e9,
    }),
  );
  assert.deepEqual(events.filter(({ type }) => type === 'early-stop').map(timeless), [
    { type: 'early-stop', epoch: 5, step: 30, allSteps: 36, reason: 'patience' },
  ]);
  assert.deepEqual(timeless(events.at(-1)!), {
    type: 'done',
    epoch: 5,
    step: 30,
    best: { epoch: 2, step: 12, score: 0.5, metrics: { top1: 0.5 } },
    reason: 'patience',
  });
  assert.deepEqual(kept, [
    [6, true],
    [12, true],
    [30, false],
  ]);
});

test('fit: a time budget shortens the schedule', async () => {
  const started = performance.now();
  const events = await collect(optionsOf(stepOf(), { epochs: 1_000_000, minutes: 1.5 / 60 }));
  assert.ok(performance.now() - started < 6000);
  const steps = events.filter((event) => event.type === 'step');
  const last = steps.at(-1)!;
  assert.ok(last.step > 8 && last.step <= last.totalSteps && last.totalSteps < 1_000_000);
  const done = events.at(-1)!;
  assert.ok(done.type === 'done' && done.reason === 'minutes');
});

test('fit: the event loop stays free and the next batch is made while a step runs', async () => {
  const log: string[] = [];
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const started = performance.now();
  for await (const event of fit(optionsOf(stepOf(), { source: sourceOf(undefined, log), epochs: 20 }))) {
    if (event.type === 'step') log.push(`step ${event.epoch}.${event.step - 6 * (event.epoch - 1)}`);
  }
  clearInterval(timer);
  assert.ok(ticks > (0.2 * (performance.now() - started)) / 10, `${ticks} ticks in ${performance.now() - started} ms`);
  assert.ok(log.indexOf('batch 0.3') < log.indexOf('step 1.3'));
});

test('fit: leaving the loop early and impossible values', async () => {
  const log: string[] = [];
  for await (const event of fit(optionsOf(stepOf(), { source: sourceOf(undefined, log) })))
    if (event.type === 'step') break;
  assert.ok(log.length <= 3);
  for (const wrong of [{ epochs: 0 }, { learningRate: NaN }, { patience: 0 }, { minutes: -1 }]) {
    await assert.rejects(
      collect(optionsOf(stepOf(), wrong)),
      (error) => error instanceof PupilError && error.code === 'usage',
    );
  }
  await assert.rejects(collect(optionsOf(stepOf({ accumulate: 7 }))), /`accumulate: 7`: an epoch has only 6 batches/);
});

test('range test: suggests a rate that trains, restores the state and repeats itself', async () => {
  const step = stepOf();
  const test = await findLearningRate({ engine, step, source: sourceOf(), steps: 60 });
  for (const [name, tensor] of await engine.read([...step.initialState.keys()]))
    assert.deepEqual(tensor.data, step.initialState.get(name)!.data, name);
  assert.deepEqual(await findLearningRate({ engine, step, source: sourceOf(), steps: 60 }), test);
  assert.ok(test.learningRate >= 1e-3 && test.learningRate <= 1, `${test.learningRate}`);
  const events = await collect(optionsOf(step, { learningRate: test.learningRate, epochs: 6 }));
  const epochs = events.filter((event) => event.type === 'epoch');
  assert.ok(epochs.at(-1)!.loss < 0.7 * epochs[0]!.loss);
});

test('batch size: fits the memory and the number of images', () => {
  const model = tinyModel();
  const build = (size: number): TrainingStep =>
    buildTrainingStep(model, { batchSize: size, groups: tinyGroups(model), optimizer: { name: 'sgd' }, seed: 1 });
  const [small, large] = [peakMemory(build(8).main.graph), peakMemory(build(64).main.graph)];
  assert.ok(large > 6 * small && large < 8 * small, `${small} and ${large}`);
  assert.equal(chooseBatchSize({ build, images: 10_000, memory: 1e9 }).batchSize, 64);
  assert.equal(chooseBatchSize({ build, images: 244, memory: 1e9 }).batchSize, 16);
  assert.equal(chooseBatchSize({ build, images: 20, memory: 1e9 }).batchSize, 8);
  const { bytes } = chooseBatchSize({ build, images: 10_000, memory: 1e9 });
  assert.ok(bytes > large);
  const tight = chooseBatchSize({ build, images: 10_000, memory: bytes - 1 });
  assert.ok(tight.batchSize === 32 && tight.bytes < bytes);
  assert.throws(
    () => chooseBatchSize({ build, images: 100, memory: 1000 }),
    (error) => error instanceof PupilError && /a step of 2 images needs/.test(error.message),
  );
  assert.ok(chooseBatchSize({ build, images: 640 }).batchSize === 64);
});

test('fit: memory stays flat over 1,000 steps', async () => {
  let before = 0,
    steps = 0;
  for await (const event of fit(optionsOf(stepOf({ average: { decay: 0.9 } }), { epochs: 220 }))) {
    if (event.type === 'step' && ++steps === 320) before = process.memoryUsage.rss();
  }
  assert.equal(steps, 1320);
  const growth = (process.memoryUsage.rss() - before) / 2 ** 20;
  assert.ok(growth < 32, `grew by ${growth.toFixed(1)} MiB`);
});
