import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { GraphBuilder } from '../../graph/builder.js';
import type { Graph } from '../../graph/graph.js';
import { resolveModel } from '../../models/index.js';
import { parameterGroups } from '../../models/groups.js';
import { Random } from '../../random.js';
import { float32, numbersOf, tensor, type Tensor } from '../../tensor.js';
import { withoutDnnl } from '../../testing/onednn.js';
import { supervisedFeeds } from '../../train/objective.js';
import { buildTrainingStep, type TrainingStep } from '../../train/step.js';
import type { Engine } from '../engine.js';
import { assertEndsWhileRunning } from '../../testing/ending.js';
import { createEngine } from '../index.js';
import { createOrtEngine } from '../ort/index.js';
import { createDnnlEngine } from './index.js';

const options = { skip: withoutDnnl };

/**
 * next = weights * factor + x, and the two entries change places; also returned: the mean of
 * weights.
 */
function stepGraph(size = 4): Graph {
  const builder = new GraphBuilder('step');
  const weights = builder.input('weights', 'float32', [size]);
  const [left, right] = [builder.input('left', 'float32', [2]), builder.input('right', 'float32', [2])];
  const x = builder.input('x', 'float32', [1]);
  const next = builder.op('Add', [builder.op('Mul', [weights, 2]), x], {}, { name: 'next' });
  builder.outputs({
    next,
    mean: builder.op('ReduceMean', [weights], { axes: [0], keepdims: 0 }),
    nextLeft: builder.op('Identity', [right]),
    nextRight: builder.op('Identity', [left]),
  });
  return builder.build();
}
const state = { weights: 'next', left: 'nextLeft', right: 'nextRight' };
const initial = (): Map<string, Tensor> =>
  new Map([
    ['weights', float32([4], [1, 2, 3, 4])],
    ['left', float32([2], [1, 2])],
    ['right', float32([2], [3, 4])],
    ['other', float32([1], [9])],
  ]);

test('entries are lent where they lie: what is changed there is what the engine has', options, async () => {
  const engine = await createDnnlEngine({ threads: 1 });
  try {
    const program = await engine.compile(stepGraph(), { state });
    await engine.write(initial());
    await program.run({ x: float32([1], [1]) });
    const lent = await engine.lend(['weights', 'left']);
    assert.deepEqual([...lent.get('weights')!.data], [3, 5, 7, 9]);
    assert.notEqual(lent.get('weights')!.order, lent.get('left')!.order, 'entries of other shapes are not alike');
    lent.get('weights')!.data.set([0, 1, 0, 2]);
    await program.run({ x: float32([1], [1]) });
    assert.deepEqual([...(await engine.read(['weights'])).get('weights')!.data], [1, 3, 1, 5]);
    await assert.rejects(engine.lend(['gone']), /no entry named "gone"/);
  } finally {
    await engine.close();
  }
});

test('a step replaces its state in the engine and returns the rest', options, async () => {
  const engine = await createDnnlEngine({ threads: 1 });
  try {
    const program = await engine.compile(stepGraph(), { state });
    await assert.rejects(
      program.run({ x: float32([1], [1]) }),
      /step: the engine's state has no entry named "weights"; write it first/,
    );
    await engine.write(initial());
    const first = await program.run({ x: float32([1], [1]) });
    assert.deepEqual(Object.keys(first), ['mean']);
    assert.deepEqual([...first['mean']!.data], [2.5]);
    await program.run({ x: float32([1], [0]) });
    await program.run({ x: float32([1], [0]) });
    const after = await engine.read();
    assert.deepEqual([...after.get('weights')!.data], [12, 20, 28, 36]);
    assert.deepEqual(
      [[...after.get('left')!.data], [...after.get('right')!.data], [...after.get('other')!.data]],
      [[3, 4], [1, 2], [9]],
    );
    await engine.write(new Map([['weights', float32([4], [0, 0, 0, 0])]]));
    await program.run({ x: float32([1], [1]) });
    assert.deepEqual([...(await engine.read(['weights'])).get('weights')!.data], [1, 1, 1, 1]);
    await assert.rejects(program.run({}), /step: nothing was fed for the input "x"/);
    await assert.rejects(program.run({ x: tensor('int32', [1], Int32Array.of(1)) }), /step: .*type float32, got int32/);
    await assert.rejects(program.run({ x: float32([2], [1, 1]) }), /step: .*"x" is \[1\], got \[2\]/);
    await engine.remove(['other']);
    await assert.rejects(engine.read(['other']), /no entry named "other"/);
    await program.close();
    await assert.rejects(program.run({ x: float32([1], [1]) }), /closed/);
  } finally {
    await engine.close();
  }
});

async function smallStep(): Promise<{ step: TrainingStep; batch: (i: number) => Record<string, Tensor> }> {
  const labels = ['a', 'b', 'c'],
    model = await resolveModel('resnet8', { labels, classes: 3, seed: 1, size: 16 });
  const step = buildTrainingStep(model, {
    batchSize: 4,
    groups: parameterGroups(model, { lr: 0.05, weightDecay: 1e-3 }),
    seed: 1,
    optimizer: { name: 'sgd', momentum: 0.9 },
    average: { decay: 0.9 },
  });
  const [height, width] = [16, 16];
  const batch = (i: number): Record<string, Tensor> => {
    const random = new Random(i, 'batch');
    return {
      ...supervisedFeeds({
        pixels: Uint8Array.from({ length: 4 * height * width * 3 }, () => random.integer(256)),
        height,
        width,
        count: 4,
        targets: Float32Array.from({ length: 12 }, (_, at) => (at % 3 === ((at / 3) | 0) % 3 ? 1 : 0)),
      }),
      ...step.main.feeds({ step: i, microStep: 0, learningRate: 0.05, total: 100 }),
    };
  };
  return { step, batch };
}

async function trainFor(
  engine: Engine,
  steps: number,
): Promise<{ losses: number[]; state: ReadonlyMap<string, Tensor> }> {
  const { step, batch } = await smallStep(),
    program = await engine.compile(step.main.graph, { state: step.main.state });
  await engine.write(step.initialState);
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push(Number((await program.run(batch(i)))['loss']!.data[0]));
  return { losses, state: await engine.read() };
}

test('training steps give the numbers that onnxruntime gives, and the same bits twice', options, async () => {
  const engines = [await createOrtEngine({ threads: 1 }), await createDnnlEngine({ threads: 1 })] as const;
  try {
    const [expected, actual] = [await trainFor(engines[0], 4), await trainFor(engines[1], 4)];
    actual.losses.forEach((loss, i) =>
      assert.ok(Math.abs(loss - expected.losses[i]!) < 2e-5, `step ${i}: loss ${loss}, expected ${expected.losses[i]}`),
    );
    assert.deepEqual([...actual.state.keys()].sort(), [...expected.state.keys()].sort());
    for (const [name, entry] of expected.state) {
      const [want, got] = [numbersOf(entry), numbersOf(actual.state.get(name)!)];
      const worst = want.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i]!)), 0);
      assert.ok(worst < 2e-4, `${name} differs by ${worst}`);
    }
    const again = await createDnnlEngine({ threads: 1, choices: engines[1].choices });
    try {
      const { losses, state: entries } = await trainFor(again, 4);
      assert.deepEqual(losses, actual.losses);
      for (const [name, entry] of actual.state) assert.deepEqual(entries.get(name)!.data, entry.data, name);
      assert.deepEqual(again.choices, engines[1].choices);
    } finally {
      await again.close();
    }
  } finally {
    for (const engine of engines) await engine.close();
  }
});

test('memory does not grow from step to step, nor from program to program', options, async () => {
  const engine = await createDnnlEngine({ threads: 1 });
  try {
    const { step, batch } = await smallStep();
    await engine.write(step.initialState);
    const resident = async (programs: number, steps: number): Promise<number> => {
      for (let p = 0; p < programs; p++) {
        const program = await engine.compile(step.main.graph, { state: step.main.state });
        for (let i = 0; i < steps; i++) await program.run(batch(i % 3));
        await program.close();
      }
      return process.memoryUsage.rss() / 2 ** 20;
    };
    await resident(1, 100);
    const before = await resident(3, 10),
      after = await resident(8, 20);
    assert.ok(after - before < 60, `${before} MB grew to ${after} MB`);
  } finally {
    await engine.close();
  }
});

test('a batch size named N may change from run to run', options, async () => {
  const builder = new GraphBuilder('rows');
  builder.outputs({ y: builder.op('Mul', [builder.input('x', 'float32', ['N', 2]), 3]) });
  const engine = await createDnnlEngine({ threads: 1 });
  try {
    const program = await engine.compile(builder.build(), { inference: true });
    for (const rows of [1, 3, 4, 5, 6, 1, 3]) {
      const { y } = await program.run({ x: float32([rows, 2], new Float32Array(rows * 2).fill(rows)) });
      assert.deepEqual([y!.dims, y!.data[0]], [[rows, 2], rows * 3]);
    }
  } finally {
    await engine.close();
  }
});

test('a process may end while a program runs', options, () => {
  assertEndsWhileRunning(new URL('./index.js', import.meta.url), 'createDnnlEngine', 2);
});

test('where the library is absent one line says how to get it', () => {
  const script = `
    const { createEngine } = await import(${JSON.stringify(new URL('../index.js', import.meta.url).href)});
    await createEngine('onednn').catch((error) => console.log(error.code, error.message));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: { ...process.env, PUPIL_ONEDNN: '/nowhere/libdnnl.so.2' },
  });
  assert.match(
    stdout,
    /^unsupported oneDNN cannot be used: \/nowhere\/libdnnl.so.2 does not exist; get oneDNN.*PUPIL_ONEDNN.*`engine: ort`\n$/,
    stderr,
  );
});

test('the engine by its name', options, async () => {
  const engine = await createEngine('onednn', { threads: 1 });
  assert.match(engine.description, /^oneDNN \d+\.\d+\.\d+, .*, 1 thread$/);
  await engine.close();
});
