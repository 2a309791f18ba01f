import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { GraphBuilder } from '../../../../graph/builder.js';
import { float32, int64, numbersOf, sizeOf, type Tensor } from '../../../../tensor.js';
import { assertEndsWhileRunning } from '../../../../testing/ending.js';
import { temporaryFolder } from '../../../../testing/image-files.js';
import { tinyBatch, tinyGroups, tinyModel } from '../../../../testing/tiny-model.js';
import { withoutWebgpu } from '../../../../testing/webgpu.js';
import { buildTrainingStep } from '../../../../train/step.js';
import type { Engine } from '../../../engine.js';
import { createReferenceEngine } from '../../../reference/index.js';
import { createWebgpuEngine } from './index.js';

const options = { skip: withoutWebgpu };

test(
  'the state lies on the device: entries are written, replaced by a step, exchanged, read and removed',
  options,
  async () => {
    const builder = new GraphBuilder('step');
    const weights = builder.input('weights', 'float32', [2, 2]),
      left = builder.input('left', 'float32', []),
      right = builder.input('right', 'float32', []);
    const frozen = builder.input('frozen', 'float32', [2]);
    const next = builder.op('Add', [builder.op('Mul', [weights, 2]), builder.input('x', 'float32', [1])]);
    builder.outputs({
      next,
      nextLeft: builder.op('Identity', [right]),
      nextRight: builder.op('Identity', [left]),
      mean: builder.op('ReduceMean', [weights], { keepdims: 0 }),
      sum: builder.op('ReduceSum', [builder.op('Mul', [frozen, 1])], { keepdims: 0 }),
    });
    const engine = await createWebgpuEngine();
    try {
      const program = await engine.compile(builder.build(), {
        state: { weights: 'next', left: 'nextLeft', right: 'nextRight', frozen: null },
      });
      await assert.rejects(
        program.run({ x: float32([1], [1]) }),
        /step: the engine's state has no entry named "weights"; write it first/,
      );
      await engine.write(
        new Map<string, Tensor>([
          ['weights', float32([2, 2], [1, 2, 3, 4])],
          ['left', float32([], [5])],
          ['right', float32([], [6])],
          ['frozen', float32([2], [7, 8])],
          ['counter', int64([1], [9])],
          ['empty', float32([0, 3], [])],
        ]),
      );
      const first = await program.run({ x: float32([1], [1]) });
      assert.deepEqual(Object.keys(first).sort(), ['mean', 'sum']);
      assert.deepEqual([first['mean']!.data[0], first['sum']!.data[0]], [2.5, 15]);
      await program.run({ x: float32([1], [0]) });
      await program.run({ x: float32([1], [0]) });
      const state = await engine.read();
      assert.deepEqual(
        [state.get('weights')!.dims, [...state.get('weights')!.data]],
        [
          [2, 2],
          [12, 20, 28, 36],
        ],
      );
      assert.deepEqual([state.get('left')!.dims, state.get('left')!.data[0], state.get('right')!.data[0]], [[], 6, 5]);
      assert.deepEqual(
        [[...state.get('frozen')!.data], state.get('counter')!.data[0], state.get('empty')!.dims],
        [[7, 8], 9n, [0, 3]],
      );
      await program.close();
      assert.deepEqual(
        [...(await engine.read(['weights'])).get('weights')!.data],
        [12, 20, 28, 36],
        'the state outlives the program',
      );
      await engine.remove(['counter']);
      await assert.rejects(engine.read(['counter']), /no entry named "counter"/);
    } finally {
      await engine.close();
    }
    await assert.rejects(engine.read(), /the engine was closed/);
  },
);

/** What the test reads of onnxruntime's profiles. */
interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly args?: { readonly provider?: string };
}

const step = (() => {
  const model = tinyModel({ dropout: 0.2 });
  return buildTrainingStep(model, {
    batchSize: 6,
    groups: tinyGroups(model, { weightDecay: 0.01 }),
    optimizer: { name: 'adamw' },
    seed: 2,
    average: { decay: 0.9 },
  });
})();

/** Steps `from` to `to` of a training that began with `state`: losses, and the state afterwards. */
async function trainTiny(
  engine: Engine,
  from: number,
  to: number,
  state: ReadonlyMap<string, Tensor>,
): Promise<{ losses: number[]; state: Map<string, Tensor> }> {
  const program = await engine.compile(step.main.graph, { state: step.main.state });
  await engine.write(state);
  const losses: number[] = [];
  for (let i = from; i < to; i++) {
    const feeds = {
      ...tinyBatch(Array.from({ length: 6 }, (_, k) => i * 6 + k)),
      ...step.main.feeds({ step: i, microStep: 0, learningRate: 0.01, total: 100 }),
    };
    losses.push(Number((await program.run(feeds))['loss']!.data[0]));
  }
  return { losses, state: await engine.read() };
}

test(
  "training steps give the reference's numbers, all on the device; a resumed run gives the bits of an unbroken one",
  options,
  async (t) => {
    const reference = createReferenceEngine(),
      engine = await createWebgpuEngine();
    try {
      const expected = await trainTiny(reference, 0, 4, step.initialState),
        actual = await trainTiny(engine, 0, 4, step.initialState);
      actual.losses.forEach((loss, i) =>
        assert.ok(
          Math.abs(loss - expected.losses[i]!) < 2e-5,
          `step ${i}: loss ${loss}, expected ${expected.losses[i]}`,
        ),
      );
      assert.deepEqual([...actual.state.keys()].sort(), [...expected.state.keys()].sort());
      for (const [name, entry] of expected.state) {
        const got = numbersOf(actual.state.get(name)!);
        const worst = numbersOf(entry).reduce((most, value, i) => Math.max(most, Math.abs(value - got[i]!)), 0);
        assert.ok(worst < 2e-4, `${name} differs by ${worst}`);
      }
      const half = await trainTiny(engine, 0, 2, step.initialState);
      const folder = await temporaryFolder(t);
      const other = await createWebgpuEngine({ choices: engine.choices, profile: join(folder, 'profile') });
      try {
        const rest = await trainTiny(other, 2, 4, half.state);
        assert.deepEqual([...half.losses, ...rest.losses], actual.losses);
        for (const [name, entry] of actual.state) assert.deepEqual(rest.state.get(name)!.data, entry.data, name);
      } finally {
        await other.close();
      }
      const profiles = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')));
      const nodes = profiles
        .flatMap((text) => JSON.parse(text) as ProfileEvent[])
        .filter(({ cat, args }) => cat === 'Node' && args?.provider !== undefined);
      assert.ok(nodes.length > 100, `${nodes.length} nodes were profiled`);
      assert.deepEqual(
        nodes.filter(({ args }) => args!.provider !== 'WebGpuExecutionProvider').map(({ name }) => name),
        [],
        'nodes on the CPU',
      );
    } finally {
      await engine.close();
      await reference.close();
    }
  },
);

test('memory does not grow from step to step', options, async () => {
  const size = [256, 1024],
    builder = new GraphBuilder('large');
  builder.outputs({ next: builder.op('Add', [builder.input('weights', 'float32', size), 1]) });
  const engine = await createWebgpuEngine();
  try {
    const program = await engine.compile(builder.build(), { state: { weights: 'next' } });
    await engine.write(new Map([['weights', float32(size, new Float32Array(sizeOf(size)))]]));
    const resident = async (steps: number): Promise<number> => {
      for (let i = 0; i < steps; i++) await program.run({});
      return process.memoryUsage.rss() / 2 ** 20;
    };
    const before = await resident(50),
      after = await resident(200);
    assert.ok(after - before < 100, `${before} MB grew to ${after} MB, while 200 states take 200 MB`);
    assert.equal((await engine.read()).get('weights')!.data[0], 250);
  } finally {
    await engine.close();
  }
});

test('a batch size named N may change from run to run', options, async () => {
  const builder = new GraphBuilder('rows');
  builder.outputs({ y: builder.op('Sign', [builder.op('Mul', [builder.input('x', 'float32', ['N', 2]), -3])]) });
  const engine = await createWebgpuEngine();
  try {
    for (const inference of [true, false]) {
      const program = await engine.compile(builder.build(), { inference });
      for (const rows of [1, 3, 1]) {
        const { y } = await program.run({ x: float32([rows, 2], new Float32Array(rows * 2).fill(rows)) });
        assert.deepEqual([y!.dims, y!.data[0]], [[rows, 2], -1]);
      }
    }
  } finally {
    await engine.close();
  }
});

test('a process may end while a program runs', options, () => {
  assertEndsWhileRunning(new URL('./index.js', import.meta.url), 'createWebgpuEngine', 1, 160);
});

test(
  'without an adapter one line says what it takes',
  {
    // the loader of Vulkan finds no driver in an empty list; elsewhere drivers cannot be hidden
    skip: process.platform === 'linux' ? false : 'hardware: drivers of the system are always found',
  },
  () => {
    const script = `
    const { createEngine } = await import(${JSON.stringify(new URL('../../../index.js', import.meta.url).href)});
    for (const _ of [1, 2]) await createEngine('webgpu').catch((error) => console.log(error.code, error.message));
    const engine = await createEngine('ort', { threads: 1 });
    console.log(engine.name);
    await engine.close();`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: { ...process.env, VK_ICD_FILENAMES: '/dev/null', VK_DRIVER_FILES: '/dev/null' },
      timeout: 60_000,
    });
    const line =
      'unsupported onnxruntime found no WebGPU adapter \\(.+\\); ' +
      'it takes a GPU with a driver for Vulkan .*`engine: auto`.*\\n';
    assert.match(stdout, new RegExp(`^${line}${line}ort\\n$`), stderr);
    assert.equal(status, 0);
  },
);
