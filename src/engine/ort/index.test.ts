import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PupilError } from '../../errors.js';
import { GraphBuilder } from '../../graph/builder.js';
import type { Graph } from '../../graph/graph.js';
import { float32, tensor } from '../../tensor.js';
import { assertEndsWhileRunning } from '../../testing/ending.js';
import { createEngine } from '../index.js';
import { createOrtEngine } from './index.js';

/** next = weights * factor + x summed over the batch; also returned: the mean of weights. */
function stepGraph(size = 4): Graph {
  const builder = new GraphBuilder('step');
  const weights = builder.input('weights', 'float32', [size]);
  const x = builder.input('x', 'float32', [1]);
  const next = builder.op('Add', [builder.op('Mul', [weights, 2]), x], {}, { name: 'next' });
  const mean = builder.op('ReduceMean', [weights], { axes: [0], keepdims: 0 });
  builder.outputs({ next, mean });
  return builder.build();
}

test('a step replaces its state in the engine and returns the rest', async () => {
  const engine = await createOrtEngine({ threads: 1 });
  try {
    const program = await engine.compile(stepGraph(), { state: { weights: 'next' } });
    await engine.write(
      new Map([
        ['weights', float32([4], [1, 2, 3, 4])],
        ['other', float32([1], [9])],
      ]),
    );
    const first = await program.run({ x: float32([1], [1]) });
    assert.deepEqual(Object.keys(first), ['mean']);
    assert.deepEqual([...first['mean']!.data], [2.5]);
    await program.run({ x: float32([1], [0]) });
    const state = await engine.read();
    assert.deepEqual([...state.get('weights')!.data], [6, 10, 14, 18]);
    assert.deepEqual([...state.get('other')!.data], [9]);
    // another program reads the same state and leaves it
    const reader = await engine.compile(stepGraph(), { state: { weights: null }, inference: true });
    const seen = await reader.run({ x: float32([1], [5]) });
    assert.deepEqual([...seen['next']!.data], [17, 25, 33, 41]);
    assert.deepEqual([...(await engine.read(['weights'])).get('weights')!.data], [6, 10, 14, 18]);
    await engine.remove(['other']);
    await assert.rejects(engine.read(['other']), /no entry named "other"/);
    await reader.close();
    await assert.rejects(reader.run({ x: float32([1], [5]) }), /closed/);
  } finally {
    await engine.close();
  }
});

test('feeds are copied unless they are handed over', async () => {
  const engine = await createOrtEngine({ threads: 1 });
  try {
    const program = await engine.compile(stepGraph());
    const weights = float32([4], [1, 2, 3, 4]);
    const part = float32([1], new Float32Array([7, 8]).subarray(1));
    await program.run({ weights, x: part });
    assert.equal(weights.data.length, 4);
    const outputs = await program.run({ weights, x: part }, { transfer: true });
    assert.deepEqual([...outputs['next']!.data], [10, 12, 14, 16]);
    assert.equal(weights.data.length, 0, 'a whole buffer is handed over');
    assert.equal(part.data.length, 1, 'a part of a buffer is copied');
  } finally {
    await engine.close();
  }
});

test('mistakes become errors that name the graph, and the engine goes on', async () => {
  const engine = await createOrtEngine({ threads: 1 });
  try {
    const program = await engine.compile(stepGraph(), { state: { weights: 'next' } });
    await assert.rejects(
      program.run({ x: float32([1], [1]) }),
      /step: the engine's state has no entry named "weights"/,
    );
    await engine.write(new Map([['weights', float32([4], [0, 0, 0, 0])]]));
    await assert.rejects(program.run({}), /step: nothing was fed for the input "x"/);
    await assert.rejects(program.run({ x: tensor('int32', [1], Int32Array.of(1)) }), /step: .*type/i);
    await program.run({ x: float32([1], [1]) });
    await assert.rejects(engine.compile(stepGraph(), { state: { x: 'next', weights: 'next' } }), /replace two entries/);
    await assert.rejects(engine.compile(stepGraph(), { state: { y: null } }), /no input of the graph/);
  } finally {
    await engine.close();
  }
});

test('the event loop stays free while a program runs', async () => {
  const builder = new GraphBuilder('long');
  const x = builder.input('x', 'float32', [1000, 1000]);
  let y = x;
  for (let i = 0; i < 12; i++) y = builder.op('Mul', [builder.op('MatMul', [y, x]), 1e-3]);
  builder.outputs({ y: builder.op('ReduceMean', [y], { axes: [0, 1], keepdims: 0 }) });
  const engine = await createOrtEngine({ threads: 1 });
  try {
    const program = await engine.compile(builder.build());
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    await program.run({ x: float32([1000, 1000], new Float32Array(1e6).fill(0.5)) });
    clearInterval(timer);
    assert.ok(ticks >= 5, `${ticks} ticks`);
  } finally {
    await engine.close();
  }
});

test('closing answers what was asked before, and refuses what comes after', async () => {
  const engine = await createOrtEngine({ threads: 1 });
  const program = await engine.compile(stepGraph());
  const running = program.run({ weights: float32([4], [1, 2, 3, 4]), x: float32([1], [1]) });
  await Promise.all([engine.close(), engine.close()]);
  assert.deepEqual([...(await running)['next']!.data], [3, 5, 7, 9]);
  await assert.rejects(engine.read(), /the engine was closed/);
});

test('a batch size named N may change from run to run', async () => {
  const builder = new GraphBuilder('rows');
  const x = builder.input('x', 'float32', ['N', 2]);
  builder.outputs({ y: builder.op('Mul', [x, 3]) });
  const engine = await createOrtEngine({ threads: 1 });
  try {
    for (const inference of [true, false]) {
      const program = await engine.compile(builder.build(), { inference });
      for (const rows of [1, 3, 4, 5, 6, 1, 3]) {
        const { y } = await program.run({ x: float32([rows, 2], new Float32Array(rows * 2).fill(rows)) });
        assert.deepEqual(y!.dims, [rows, 2]);
        assert.equal(y!.data[0], rows * 3);
      }
      await program.close();
      await assert.rejects(program.run({ x: float32([1, 2], [1, 2]) }), /closed/);
    }
  } finally {
    await engine.close();
  }
});

test('a process may end while a program runs', () => {
  assertEndsWhileRunning(new URL('./index.js', import.meta.url), 'createOrtEngine', 1);
});

test('choices of a run are taken over, and refused where the machine differs', async () => {
  const first = await createOrtEngine({ threads: 1 });
  const { block } = first.choices as { block: number };
  await first.close();
  assert.ok([0, 8, 16].includes(block));
  const second = await createOrtEngine({ threads: 1, choices: { ...first.choices } });
  assert.deepEqual(second.choices, first.choices);
  await second.close();
  const other = block === 16 ? 8 : 16;
  await assert.rejects(
    createOrtEngine({ threads: 1, choices: { block: other } }),
    (error) => error instanceof PupilError && error.code === 'unsupported',
  );
});

test('engines by name', async () => {
  await assert.rejects(createEngine('cuda'), (error) => error instanceof PupilError && error.code === 'usage');
  await assert.rejects(
    createEngine('ort', { precision: 'bf16' }),
    (error) =>
      error instanceof PupilError &&
      error.code === 'usage' &&
      /bfloat16 needs the oneDNN engine.*avx512_bf16 or AMX/.test(error.message),
  );
  await assert.rejects(createEngine('gpu'), (error) => error instanceof PupilError && error.code === 'usage');
  const engine = await createEngine('ort', { threads: 1 });
  assert.match(engine.description, /^onnxruntime \d.*, 1 thread$/);
  await engine.close();
});
