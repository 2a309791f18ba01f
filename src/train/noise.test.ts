import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Engine } from '../engine/engine.js';
import { createOrtEngine } from '../engine/ort/index.js';
import { GraphBuilder } from '../graph/builder.js';
import { buildModel } from '../models/index.js';
import { parameterGroups } from '../models/groups.js';
import { Random } from '../random.js';
import { float32, type Tensor } from '../tensor.js';
import { drawMask, drawUniform } from './noise.js';
import { residuals } from './residual.js';
import { supervisedFeeds } from './objective.js';
import { buildTrainingStep } from './step.js';

/**
 * Dropout and stochastic depth, as Noisy Student wants them, in every family that students grow in.
 */

let ort: Engine | undefined;
after(() => ort?.close());

const classes = 3;
const batch = 4;

/** The residual blocks of stages whose first block changes the shape. */
const afterFirst = (stages: readonly number[]): string[] =>
  stages.flatMap((blocks, stage) => Array.from({ length: blocks - 1 }, (_, i) => `blocks.${stage}.${i + 1}.add`));
const families: readonly (readonly [name: string, size: number, blocks: readonly string[]])[] = [
  ['mobilenetv2_050', 32, afterFirst([1, 2, 3, 4, 3, 3, 1])],
  // At half the width the first block of stage 3 keeps its 24 channels.
  [
    'mobilenetv3_small_050',
    32,
    ['blocks.1.1', 'blocks.2.1', 'blocks.2.2', 'blocks.3.0', 'blocks.3.1', 'blocks.4.1', 'blocks.4.2'].map(
      (name) => `${name}.add`,
    ),
  ],
  ['efficientnet_b0', 32, afterFirst([1, 2, 2, 3, 3, 4, 1])],
  ['vit_tiny_patch4_32', 8, Array.from({ length: 12 }, (_, i) => [`blocks.${i}.add1`, `blocks.${i}.add2`]).flat()],
];

for (const [name, size, blocks] of families) {
  test(`${name}: its residual branches are found, and a step with all noise on trains every parameter`, async () => {
    const model = buildModel(name, { classes, seed: 1, inputSize: size });
    assert.deepEqual(
      residuals(model.graph, 'input').map(({ node }) => node),
      blocks,
    );
    const branchOf = (node: string): string => {
      const { branch } = residuals(model.graph, 'input').find((block) => block.node === node)!;
      return model.graph.nodes.find((candidate) => candidate.name === node)!.inputs[branch]!;
    };
    for (const block of blocks)
      assert.match(branchOf(block), name.startsWith('vit') ? /\.(proj|fc2)\.tokens$/ : /\.bn[23]$/);

    const step = buildTrainingStep(model, {
      batchSize: batch,
      groups: parameterGroups(model, { lr: 0.1 }),
      optimizer: { name: 'sgd', momentum: 0.9 },
      seed: 5,
      dropout: 0.5,
      stochasticDepth: 0.2,
      size: [size, size],
    });
    const masks = step.main.masks.map(({ input, dims, rate }) => ({ input, dims, rate }));
    const { head } = model;
    assert.deepEqual(masks.at(-1), { input: `mask:${head!.node}`, dims: [batch, head!.featureCount], rate: 0.5 });
    const rank = name.startsWith('vit') ? 3 : 4;
    masks.slice(0, -1).forEach(({ input, dims, rate }, i) => {
      assert.equal(input, `mask:${blocks[i]}`);
      assert.deepEqual(dims, [batch, ...new Array<number>(rank - 1).fill(1)]);
      assert.ok(Math.abs(rate - (0.2 * (i + 1)) / blocks.length) < 1e-12);
    });
    assert.equal(masks.length, blocks.length + 1);

    const engine = (ort ??= await createOrtEngine({ threads: 1 }));
    await engine.write(step.initialState);
    const program = await engine.compile(step.main.graph, { state: step.main.state });
    const random = new Random(2, name);
    const pixels = Uint8Array.from({ length: batch * size * size * 3 }, () => random.integer(256));
    const targets = Float32Array.from({ length: batch * classes }, (_, i) =>
      i % classes === Math.floor(i / classes) % classes ? 1 : 0,
    );
    const feeds = step.main.feeds({ step: 0, microStep: 0, learningRate: 0.1, total: 1 });
    // One image of four loses every branch, so that no branch is lost for all.
    const kept: Record<string, Tensor> = Object.fromEntries(
      step.main.masks.slice(0, -1).map(({ input, dims, rate }) => [
        input,
        float32(
          dims,
          Float32Array.of(0, 1, 1, 1).map((value) => value / (1 - rate)),
        ),
      ]),
    );
    const outputs = await program.run({
      ...feeds,
      ...supervisedFeeds({ pixels, targets, count: batch, height: size, width: size }),
      ...kept,
    });
    await program.close();
    const loss = Number(outputs['loss']!.data[0]);
    assert.ok(loss > 0.1 && loss < 30, `loss ${loss}`);
    assert.deepEqual(
      [...step.trainable].sort(),
      [...model.parameters.keys()].filter((parameter) => !model.statistics.has(parameter)).sort(),
    );
    // After one step the momentum is the gradient.
    for (const [slot, gradient] of await engine.read(step.trainable.map((parameter) => `${parameter}@momentum`))) {
      const values = gradient.data as Float32Array;
      assert.ok(values.every(Number.isFinite), `${slot} is finite`);
      assert.ok(
        values.some((value) => value !== 0),
        `${slot} is not zero`,
      );
    }
  });
}

test('stochastic depth leaves expectations as they are: kept branches are scaled up', () => {
  const mask = { input: 'mask:x', dims: [20_000, 1, 1], rate: 0.2 };
  const values = drawMask(mask, 1, { step: 0, microStep: 0 }).data as Float32Array;
  assert.deepEqual(
    [...new Set(values)].sort((a, b) => a - b),
    [0, Math.fround(1.25)],
  );
  assert.ok(Math.abs(values.reduce((sum, value) => sum + value, 0) / values.length - 1) < 0.02);
});

test('an activation that adds something to its input is no residual block', () => {
  const builder = new GraphBuilder('gelu by Tanh');
  const x = builder.input('input', 'float32', ['N', 4, 8]);
  const weight = builder.input('fc.weight', 'float32', [8, 8]);
  const y = builder.op('MatMul', [x, builder.op('Transpose', [weight], { perm: [1, 0] })]);
  const cube = builder.op('Mul', [builder.op('Mul', [builder.op('Mul', [y, y]), y]), 0.044715]);
  const inner = builder.op('Tanh', [
    builder.op('Mul', [builder.op('Add', [y, cube], {}, { name: 'inner' }), Math.sqrt(2 / Math.PI)]),
  ]);
  const gelu = builder.op('Mul', [builder.op('Mul', [y, 0.5]), builder.op('Add', [inner, 1])]);
  builder.outputs({ y: builder.op('Add', [x, gelu], {}, { name: 'block' }) });
  assert.deepEqual(residuals(builder.build(), 'input'), [{ node: 'block', branch: 1 }]);
});

test('ranks draw the rows of what one process draws, part by part', () => {
  const at = { step: 3, microStep: 1 };
  const rowsOf = (data: Float32Array, from: number, to: number): number[] => [...data.subarray(from * 5, to * 5)];
  // Two parts of 4 and 8 images, 5 numbers each.
  const whole = drawUniform({ input: 'x', dims: [12, 5], blocks: [4, 8] }, 9, at).data;
  for (const size of [2, 4])
    for (let rank = 0; rank < size; rank++) {
      const [first, second] = [4 / size, 8 / size];
      const spec = { input: 'x', dims: [first + second, 5], blocks: [first, second] };
      const part = drawUniform(spec, 9, at, { rank, size }).data;
      assert.deepEqual(rowsOf(part, 0, first), rowsOf(whole, rank * first, (rank + 1) * first));
      const from = 4 + rank * second;
      assert.deepEqual(rowsOf(part, first, first + second), rowsOf(whole, from, from + second));
      const mask = drawMask({ ...spec, rate: 0.5 }, 9, at, { rank, size });
      assert.equal(mask.data.length, part.length);
    }
});
