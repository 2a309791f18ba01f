import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { GraphBuilder } from '../../graph/builder.js';
import { differentiate } from '../../graph/autodiff.js';
import { evaluateGraph, evaluateNode } from '../../graph/evaluate.js';
import type { Graph, Value } from '../../graph/graph.js';
import { resolveModel } from '../../models/index.js';
import { parameterGroups } from '../../models/groups.js';
import { Random } from '../../random.js';
import { float32, numbersOf, sizeOf, type Tensor } from '../../tensor.js';
import { testNetworks } from '../../testing/networks.js';
import { testRows } from '../../testing/engine-rows.js';
import { gradientRows } from '../../testing/gradient-rows.js';
import { buildRow, rowName } from '../../testing/row-graph.js';
import { allBfloat16, relativeError, withoutBfloat16 } from '../../testing/onednn.js';
import { supervisedFeeds } from '../../train/objective.js';
import { buildTrainingStep } from '../../train/step.js';
import type { Engine } from '../engine.js';
import { createDnnlEngine } from './index.js';
import { exactValues } from './precision.js';
import { inFloat32, toBfloat16 } from './loops/bfloat16.js';

test('the next state, the loss and what they are computed from element by element stay in float32', () => {
  const builder = new GraphBuilder('step'),
    x = builder.input('x', 'float32', [4, 6]),
    w = builder.input('w', 'float32', [6, 5]);
  const v = builder.input('v', 'float32', [6, 5]),
    second = builder.input('second', 'float32', [5, 3]);
  const hidden = builder.op('Relu', [builder.op('MatMul', [x, w], {}, { name: 'product' })], {}, { name: 'hidden' });
  const logits = builder.op('MatMul', [hidden, second], {}, { name: 'logits' });
  const loss = builder.op('Neg', [
    builder.op('ReduceMean', [builder.op('LogSoftmax', [logits], {}, { name: 'logarithms' })], { keepdims: 0 }),
  ]);
  const [gradient] = differentiate(builder, loss, [w]);
  const momentum = builder.op('Add', [builder.op('Mul', [v, 0.9]), gradient!], {}, { name: 'momentum' });
  builder.outputs({ loss, v2: momentum, w2: builder.op('Sub', [w, builder.op('Mul', [momentum, 0.1])]) });
  const graph = builder.build(),
    exact = exactValues(graph),
    made = (name: string): string => graph.nodes.find((node) => node.name === name)!.outputs[0]!;
  for (const name of [
    'loss',
    'v2',
    'w2',
    made('momentum'),
    made('logits'),
    made('logarithms'),
    'w',
    'v',
    gradient!.name,
  ])
    assert.ok(exact.has(name), `${name} is exact`);
  for (const name of [made('product'), made('hidden')]) assert.ok(!exact.has(name), `${name} may be bfloat16`);
});

/** Sums of a few dozen products of numbers up to 3, each of 8 bits. */
testRows(() => createDnnlEngine({ threads: 1, precision: 'bf16', choices: allBfloat16 }), {
  elsewhere: new Set(['NonZero']),
  tolerance: 0.05,
  skip: withoutBfloat16,
});

/**
 * A product with the identity, which changes no number but makes it bfloat16, for images in the
 * library's layout.
 */
function identity(builder: GraphBuilder, value: Value): Value {
  const dims = value.shape as number[],
    count = dims.length === 4 ? dims[1]! : sizeOf(dims),
    ones = new Float32Array(count * count);
  for (let i = 0; i < count; i++) ones[i * (count + 1)] = 1;
  if (dims.length === 4)
    return builder.op('Conv', [value, builder.constant(float32([count, count, 1, 1], ones))], { kernel_shape: [1, 1] });
  return builder.op('Reshape', [
    builder.op('MatMul', [
      builder.op('Reshape', [value, builder.ints([1, count])]),
      builder.constant(float32([count, count], ones)),
    ]),
    builder.ints(dims),
  ]);
}

let everywhere: Engine | undefined;
after(() => everywhere?.close());
for (const row of gradientRows) {
  test(`${rowName(row)} and its gradient, from and to bfloat16`, { skip: withoutBfloat16 }, async () => {
    const { builder, wrt, loss, outputs, feeds: exact } = buildRow(row, identity);
    const results = (row.seen ?? [0])
      .map((i) => outputs[i]!)
      .filter(({ dtype, shape }) => dtype === 'float32' && sizeOf(shape as number[]) > 1)
      .map((value) => identity(builder, value));
    builder.outputs(
      [...results, ...differentiate(builder, loss, wrt).map((value) => value!)].filter(({ name }) => !(name in exact)),
    );
    const graph = builder.build(),
      feeds = Object.fromEntries(
        Object.entries(exact).map(([name, tensor]) => [name, float32(tensor.dims, inFloat32(toBfloat16(tensor.data)))]),
      );
    everywhere ??= await createDnnlEngine({ threads: 1, precision: 'bf16', choices: allBfloat16 });
    const expected = evaluateGraph(graph, feeds, { float64: true }),
      program = await everywhere.compile(graph),
      actual = await program.run(feeds);
    await program.close();
    for (const name of graph.outputs) {
      const error = relativeError(actual[name]!, expected[name]!);
      // most are below 2^-8; sums that cancel, as of a bias, are not
      assert.ok(error < 2 ** -5, `${name} off by ${error}`);
    }
  });
}

const products = new Set(['Conv', 'ConvGradInput', 'ConvGradWeight', 'MatMul', 'Gemm']);
const round = (tensor: Tensor): Tensor => ({
  ...tensor,
  data: Float64Array.from(inFloat32(toBfloat16(Float32Array.from(numbersOf(tensor))))),
});

/**
 * A graph in doubles, but what may be bfloat16 is rounded to it: what training in bfloat16 cannot
 * avoid.
 */
function rounded(graph: Graph, feeds: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const exact = exactValues(graph),
    known = new Map<string, Tensor>(
      [...graph.constants, ...Object.entries(feeds)].map(([name, tensor]) => [
        name,
        tensor.dtype === 'float32'
          ? { ...tensor, dtype: 'float64', data: Float64Array.from(numbersOf(tensor)) }
          : tensor,
      ]),
    );
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => (name === '' ? undefined : known.get(name)!));
    const outputs = evaluateNode(
      node,
      products.has(node.op)
        ? inputs.map((tensor) => (tensor && tensor.dims.length > 1 ? round(tensor) : tensor))
        : inputs,
      { float64: true },
    );
    outputs.forEach((tensor, i) => {
      const name = node.outputs[i]!,
        isHalved = tensor.dtype === 'float64' && tensor.dims.length > 1 && !exact.has(name);
      known.set(name, isHalved ? round(tensor) : tensor);
    });
  }
  return Object.fromEntries(graph.outputs.map((name) => [name, known.get(name)!]));
}

// Everything in bfloat16, and what the engine would choose for a batch that is worth it. Rounding
// puts some activations on the other side of a kink.
const inBfloat16 = { tolerance: 2 ** -8, rounded, skip: withoutBfloat16 };
testNetworks(
  ' in bfloat16',
  [() => createDnnlEngine({ threads: 1, precision: 'bf16', choices: allBfloat16 })],
  inBfloat16,
);
testNetworks(
  ' in bfloat16, 16 images',
  [1, 2].map((threads) => () => createDnnlEngine({ threads, precision: 'bf16' })),
  { ...inBfloat16, batch: 16 },
);

const size = 16,
  count = 16,
  classes = 3;

async function train(
  engine: Engine,
  from: number,
  to: number,
  state?: ReadonlyMap<string, Tensor>,
): Promise<{ losses: number[]; state: Map<string, Tensor> }> {
  const model = await resolveModel('resnet8', { labels: ['a', 'b', 'c'], classes, seed: 1, size });
  const step = buildTrainingStep(model, {
    batchSize: count,
    groups: parameterGroups(model, { lr: 0.02, weightDecay: 1e-3 }),
    seed: 1,
    optimizer: { name: 'sgd', momentum: 0.9 },
    average: { decay: 0.9 },
  });
  const program = await engine.compile(step.main.graph, { state: step.main.state });
  await engine.write(state ?? step.initialState);
  const losses: number[] = [];
  for (let i = from; i < to; i++) {
    const random = new Random(i, 'batch');
    const outputs = await program.run({
      ...supervisedFeeds({
        pixels: Uint8Array.from(
          { length: count * size * size * 3 },
          (_, at) => (((at / (size * size * 3)) | 0) % classes) * 60 + random.integer(100),
        ),
        height: size,
        width: size,
        count,
        targets: Float32Array.from({ length: count * classes }, (_, at) =>
          at % classes === ((at / classes) | 0) % classes ? 1 : 0,
        ),
      }),
      ...step.main.feeds({ step: i, microStep: 0, learningRate: 0.02, total: 100 }),
    });
    losses.push(Number(outputs['loss']!.data[0]));
  }
  return { losses, state: await engine.read() };
}

test(
  'training in bfloat16: resumed midway, by another engine with its choices, the same bits',
  { skip: withoutBfloat16 },
  async () => {
    const whole = await createDnnlEngine({ threads: 2, precision: 'bf16' });
    const resumed = async (
      choices: Engine['choices'],
      state: ReadonlyMap<string, Tensor>,
    ): Promise<{ losses: number[]; state: Map<string, Tensor> }> => {
      const engine = await createDnnlEngine({
        threads: 2,
        precision: 'bf16',
        choices: JSON.parse(JSON.stringify(choices)) as Engine['choices'],
      });
      try {
        return await train(engine, 5, 12, state);
      } finally {
        await engine.close();
      }
    };
    try {
      const expected = await train(whole, 0, 12);
      assert.ok(expected.losses.at(-1)! < 0.7 * expected.losses[0]!, `the loss falls: ${expected.losses.join(', ')}`);
      assert.match(whole.description, /bfloat16/);
      const half = await train(whole, 0, 5),
        rest = await resumed(whole.choices, half.state);
      assert.deepEqual([...half.losses, ...rest.losses], expected.losses);
      for (const [name, entry] of expected.state) assert.deepEqual(rest.state.get(name)!.data, entry.data, name);
    } finally {
      await whole.close();
    }
  },
);

test(
  'training in bfloat16 follows float32, and its weights have more than 8 bits',
  { skip: withoutBfloat16 },
  async () => {
    const losses: number[][] = [];
    let state: Map<string, Tensor> | undefined;
    for (const precision of ['f32', 'bf16'] as const) {
      const engine = await createDnnlEngine({
        threads: 1,
        precision,
        ...(precision === 'bf16' ? { choices: allBfloat16 } : {}),
      });
      try {
        const found = await train(engine, 0, 12);
        losses.push(found.losses);
        state = found.state;
      } finally {
        await engine.close();
      }
    }
    losses[0]!.forEach((loss, i) =>
      assert.ok(
        Math.abs(loss - losses[1]![i]!) < 0.05 + 0.05 * loss,
        `step ${i}: ${losses[1]![i]}, in float32 ${loss}`,
      ),
    );
    assert.notDeepEqual(losses[1], losses[0]);
    const fine = [...state!.values()]
      .filter(({ dtype }) => dtype === 'float32')
      .flatMap((entry) => numbersOf(entry).map((value) => new Uint32Array(Float32Array.of(value).buffer)[0]! & 0xffff));
    assert.ok(
      fine.filter((bits) => bits !== 0).length > 0.9 * fine.length,
      'master weights, momentum and averages use all bits of float32',
    );
  },
);
