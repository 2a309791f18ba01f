import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differentiate } from '../../graph/autodiff.js';
import { GraphBuilder } from '../../graph/builder.js';
import type { Graph } from '../../graph/graph.js';
import { prune } from '../../graph/passes.js';
import { parameterGroups } from '../../models/groups.js';
import { resolveModel } from '../../models/index.js';
import type { Tensor } from '../../tensor.js';
import { gradientRows } from '../../testing/gradient-rows.js';
import { buildRow, rowName } from '../../testing/row-graph.js';
import { nodeRows } from '../../testing/node-rows.js';
import { withoutDnnl } from '../../testing/onednn.js';
import { buildTrainingStep } from '../../train/step.js';
import { createChoices } from './choices/choices.js';
import { compileProgram } from './compile.js';
import { createHeap } from './memory/heap.js';
import { loadDnnl } from './library/load.js';
import { createStore } from './memory/store.js';
import { lackOf, slowNodes } from './support.js';

function* rows(): Generator<{
  readonly name: string;
  readonly graph: Graph;
  readonly feeds: Readonly<Record<string, Tensor>>;
}> {
  for (const row of gradientRows) {
    const { builder, wrt, loss, outputs, feeds } = buildRow(row),
      gradients = differentiate(builder, loss, wrt).map((value) => value!);
    builder.outputs(
      [...new Map([...outputs, ...gradients].map((value) => [value.name, value])).values()].filter(
        ({ name }) => !(name in feeds),
      ),
    );
    yield { name: rowName(row), graph: builder.build(), feeds };
  }
  for (const { name, build } of nodeRows) {
    const builder = new GraphBuilder(name),
      { outputs, feeds } = build(builder);
    builder.outputs(outputs);
    yield { name, graph: builder.build(), feeds };
  }
}

test(
  'what is said to run in plain loops does, and nothing else, for every op of the tables',
  { skip: withoutDnnl },
  () => {
    const { dnnl } = loadDnnl(),
      heap = createHeap((buffer) => dnnl.address(buffer)),
      store = createStore(dnnl, heap);
    const choices = createChoices({}, dnnl, heap, {
      get: () => undefined,
      set: () => undefined,
      save: () => undefined,
    });
    let count = 0;
    for (const { name, graph, feeds } of rows()) {
      if (name === 'NonZero') continue; // its sizes depend on values
      const program = compileProgram(
        graph,
        { dnnl, heap, store, choices },
        { state: {}, profile: true, isHalved: false },
      );
      program.run(feeds);
      const slow = new Set(
        program.profile().flatMap(({ kind }) => (kind.endsWith(' by the reference') ? [kind.split(' ')[0]!] : [])),
      );
      program.release();
      // a program leaves out what nothing reads
      const said = new Set(slowNodes(prune(graph)).map(({ node }) => node.op));
      for (const op of slow) assert.ok(said.has(op), `${name}: ${op} is slow`);
      for (const op of said) assert.ok(slow.has(op), `${name}: ${op} is not slow`);
      count += 1;
    }
    dnnl.close();
    assert.ok(count > 100, `${count} rows`);
  },
);

test('the steps of built-in networks lack nothing', async () => {
  for (const name of ['resnet8', 'convnet-small', 'wrn-16-1', 'resnet18']) {
    const model = await resolveModel(name, { labels: ['a', 'b'], classes: 2, seed: 1, size: 32 });
    const step = buildTrainingStep(model, {
      batchSize: 8,
      groups: parameterGroups(model, { lr: 0.1, weightDecay: 0 }),
      seed: 1,
      optimizer: { name: 'adamw' },
      average: { decay: 0.9 },
      accumulate: 2,
    });
    for (const program of [step.main, step.apply!])
      assert.equal(lackOf(program.graph)?.message, undefined, `${name}: ${program.graph.name}`);
  }
});

test('transposed convolutions with a bias and responses of neighbouring channels lack nothing', () => {
  const builder = new GraphBuilder('g'),
    input = (name: string, ...shape: (number | string)[]) => builder.input(name, 'float32', shape);
  const y = builder.op('ConvTranspose', [input('x', 'N', 64, 32, 32), input('w', 64, 32, 2, 2), input('b', 32)], {
    strides: [2, 2],
  });
  builder.outputs([builder.op('LRN', [y], { size: 5 })]);
  assert.equal(lackOf(builder.build()), undefined);
});

test('small tensors may be slow, large ones not', () => {
  const sum = (size: number): Graph => {
    const builder = new GraphBuilder('sum'),
      x = builder.input('x', 'float32', [size]);
    builder.outputs({ y: builder.op('ReduceLogSumExp', [x], {}, { name: 'gate' }) });
    return builder.build();
  };
  assert.equal(lackOf(sum(1000)), undefined);
  assert.equal(lackOf(sum(1_000_000))?.message, 'gate: the oneDNN engine has no fast ReduceLogSumExp for [1000000]');
});
