import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import type { Engine } from '../engine/engine.js';
import { createOrtEngine } from '../engine/ort/index.js';
import { createReferenceEngine } from '../engine/reference/index.js';
import type { Model } from '../models/model.js';
import { float32, type Tensor } from '../tensor.js';
import { tinyBatch, tinyGroups, tinyModel, tinySize } from '../testing/tiny-model.js';
import { refused } from '../testing/kit.js';
import { buildEvaluation, buildFeatures } from './evaluation.js';
import { drawMask } from './noise.js';
import { labelLoss, supervised, type Objective } from './objective.js';
import { residuals } from './residual.js';
import { buildTrainingStep, type TrainingStep, type TrainingStepOptions } from './step.js';

interface Fixture {
  readonly step: {
    readonly initial: Record<string, number[]>;
    readonly batches: { pixels: number[]; targets: number[] }[];
    readonly steps: { loss: number; state: Record<string, number[]> }[];
  };
}
const fixture = (
  JSON.parse(readFileSync(new URL('../../fixtures/train/torch.json', import.meta.url), 'utf8')) as Fixture
).step;

let ort: Engine | undefined;
const ortEngine = async (): Promise<Engine> => (ort ??= await createOrtEngine({ threads: 1 }));
after(() => ort?.close());

const withParameters = (model: Model, values: Record<string, number[]>): Model => ({
  ...model,
  parameters: new Map([...model.parameters].map(([name, { dims }]) => [name, float32(dims, values[name]!)])),
});

/** Runs steps and returns their outputs; the store keeps the state. */
async function train(
  engine: Engine,
  step: TrainingStep,
  batches: readonly Record<string, Tensor>[],
  options: { rate?: (step: number) => number; from?: number; keepState?: boolean } = {},
): Promise<Record<string, number>[]> {
  if (!options.keepState) await engine.write(step.initialState);
  const main = await engine.compile(step.main.graph, { state: step.main.state });
  const apply = step.apply && (await engine.compile(step.apply.graph, { state: step.apply.state }));
  const results: Record<string, number>[] = [];
  for (const [i, batch] of batches.entries()) {
    const at = {
      step: (options.from ?? 0) + Math.floor(i / step.accumulate),
      microStep: i % step.accumulate,
      learningRate: 0.1,
      total: 100,
    };
    at.learningRate = options.rate?.(at.step) ?? 0.1;
    const outputs = await main.run({ ...step.main.feeds(at), ...batch });
    results.push(Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, Number(data[0])])));
    if (apply && step.apply && at.microStep === step.accumulate - 1) await apply.run(step.apply.feeds(at));
  }
  await main.close();
  await apply?.close();
  return results;
}

const stepOf = (model: Model, options: Partial<TrainingStepOptions> = {}): TrainingStep =>
  buildTrainingStep(model, {
    batchSize: 6,
    groups: tinyGroups(model),
    optimizer: { name: 'sgd' },
    seed: 5,
    ...options,
  });

const batchesOf = (count: number, size = 6): Record<string, Tensor>[] =>
  Array.from({ length: count }, (_, b) => tinyBatch(Array.from({ length: size }, (_, i) => b * size + i)));

const distance = (a: Tensor, b: Tensor): number =>
  Math.max(...Array.from(a.data as Float32Array, (x, i) => Math.abs(x - (b.data[i] as number))));

for (const [name, tolerance, open] of [
  ['the reference in double precision', 1e-8, () => createReferenceEngine({ float64: true })],
  ['onnxruntime', 2e-5, ortEngine],
] as const) {
  test(`step: three steps of a network equal PyTorch's, on ${name}`, async () => {
    const model = withParameters(tinyModel(), fixture.initial);
    const step = stepOf(model, {
      groups: tinyGroups(model, { weightDecay: 0.01 }),
      optimizer: { name: 'sgd', clip: 0.5 },
      objective: supervised({ labelSmoothing: 0.1 }),
    });
    const engine = await open();
    const batches = fixture.batches.map(({ pixels, targets }) => ({
      pixels: { dtype: 'uint8', dims: [6, tinySize, tinySize, 3], data: Uint8Array.from(pixels) } as const,
      targets: float32([6, 3], targets),
    }));
    for (const [i, batch] of batches.entries()) {
      const [outputs] = await train(engine, step, [batch], { from: i, rate: (s) => 0.1 / (s + 1), keepState: i > 0 });
      const { loss, state } = fixture.steps[i]!;
      assert.ok(
        Math.abs(outputs!['loss']! - loss) < Math.max(tolerance, 1e-7),
        `loss of step ${i}: ${outputs!['loss']}, PyTorch ${loss}`,
      );
      for (const [key, tensor] of await engine.read(Object.keys(state))) {
        // Weights of the fixture are float32 from the start.
        const error = distance(tensor, float32(tensor.dims, state[key]!));
        assert.ok(error < Math.max(tolerance, 2e-7), `${key} after step ${i}: off by ${error}`);
      }
    }
  });
}

test('step: frozen parameters and their normalisation stay, and no gradient is built for them', async () => {
  const engine = await ortEngine();
  const model = tinyModel();
  const all = stepOf(model);
  const step = stepOf(model, { groups: tinyGroups(model, { frozen: (name) => !name.startsWith('fc') }) });
  assert.deepEqual([...step.trainable].sort(), ['fc.bias', 'fc.weight']);
  assert.ok(step.main.graph.nodes.length < all.main.graph.nodes.length / 2);
  assert.ok(
    !step.main.graph.nodes.some(
      ({ op }) => op === 'ConvGradWeight' || op === 'ConvGradInput' || op === 'BatchNormalizationGrad',
    ),
  );
  assert.ok(!step.initialState.has('conv1.weight@momentum'));
  await train(engine, step, batchesOf(3));
  for (const [name, tensor] of await engine.read([...model.parameters.keys()])) {
    assert.equal(distance(tensor, model.parameters.get(name)!) === 0, !name.startsWith('fc'), name);
  }
  // batchNormalization: 'frozen' trains its scale with fixed statistics.
  await train(engine, stepOf(model, { batchNormalization: 'frozen' }), batchesOf(2));
  const state = await engine.read();
  assert.equal(distance(state.get('bn1.running_mean')!, model.parameters.get('bn1.running_mean')!), 0);
  assert.ok(distance(state.get('bn1.weight')!, model.parameters.get('bn1.weight')!) > 0);
});

test('step: accumulated micro-batches equal one large batch', async () => {
  const engine = await ortEngine();
  const model = tinyModel();
  const options = {
    batchNormalization: 'frozen',
    optimizer: { name: 'adamw', clip: 1 },
    average: { decay: 0.9 },
  } as const;
  const accumulated = stepOf(model, { ...options, batchSize: 4, accumulate: 3 });
  assert.ok(accumulated.apply);
  await train(engine, accumulated, batchesOf(6, 4), { rate: () => 0.01 });
  const small = await engine.read([...accumulated.initialState.keys()]);
  await engine.remove([...small.keys()]);
  const large = stepOf(model, { ...options, batchSize: 12 });
  assert.equal(large.apply, undefined);
  await train(engine, large, batchesOf(2, 12), { rate: () => 0.01 });
  for (const [name, tensor] of await engine.read([...large.initialState.keys()])) {
    assert.ok(distance(tensor, small.get(name)!) < 2e-5, `${name}: off by ${distance(tensor, small.get(name)!)}`);
  }
});

test('step: the average follows the weights, and evaluation can read it', async () => {
  const engine = await ortEngine();
  const model = tinyModel();
  const step = stepOf(model, { average: { decay: 0.5, warmUp: false } });
  assert.ok(step.averaged.has('bn1.running_var') && step.averaged.has('fc.weight'));
  const expected = new Map<string, number[]>();
  for (let i = 0; i < 3; i++) {
    await train(engine, step, batchesOf(1), { from: i, keepState: i > 0 });
    const decay = i === 0 ? 0 : 0.5;
    for (const [name, { data }] of await engine.read([...step.averaged])) {
      expected.set(
        name,
        Array.from(
          data as Float32Array,
          (x, j) => (1 - decay) * x + (decay === 0 ? 0 : decay * expected.get(name)![j]!),
        ),
      );
    }
  }
  const state = await engine.read();
  for (const [name, values] of expected) {
    assert.ok(distance(state.get(`${name}@ema`)!, float32([values.length], values)) < 1e-6, name);
  }
  const logitsOf = async (averaged?: ReadonlySet<string>): Promise<Tensor> => {
    const { graph, state: reads } = buildEvaluation(model, averaged ? { averaged } : {});
    const program = await engine.compile(graph, { state: reads });
    const { logits, probabilities } = await program.run({ pixels: tinyBatch([1, 2]).pixels });
    await program.close();
    assert.deepEqual(logits!.dims, [2, 3]);
    const sum = (probabilities!.data as Float32Array).reduce((a, b) => a + b, 0);
    assert.ok(Math.abs(sum - 2) < 1e-5);
    return logits!;
  };
  const [plain, averaged] = [await logitsOf(), await logitsOf(step.averaged)];
  assert.ok(distance(plain, averaged) > 1e-4);
  await engine.write(new Map([...step.averaged].map((name) => [name, state.get(`${name}@ema`)!])));
  assert.ok(distance(await logitsOf(), averaged) < 1e-6);
});

test('step: features are the input of the head', async () => {
  const engine = await ortEngine();
  const model = tinyModel({ dropout: 0.5 });
  await engine.write(model.parameters);
  const features = buildFeatures(model),
    logits = buildEvaluation(model, { batchSize: 4 });
  assert.ok(!('fc.weight' in features.state));
  const feeds = { pixels: tinyBatch([0, 1, 2, 3]).pixels };
  const { features: x } = await (await engine.compile(features.graph, { state: features.state })).run(feeds);
  const { logits: y } = await (await engine.compile(logits.graph, { state: logits.state })).run(feeds);
  const weight = model.parameters.get('fc.weight')!.data as Float32Array;
  const expected = Array.from({ length: 12 }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < 4; k++) sum += (x!.data[Math.floor(i / 3) * 4 + k] as number) * weight[(i % 3) * 4 + k]!;
    return sum;
  });
  assert.deepEqual(x!.dims, [4, 4]);
  assert.ok(distance(y!, float32([4, 3], expected)) < 1e-5);
});

test('step: groups have their own learning rate, changed without a new graph', async () => {
  const engine = await ortEngine();
  const model = tinyModel();
  const groups = tinyGroups(model).map((group) => ({ ...group, lrScale: group.name === 'vectors' ? 0.5 : 1 }));
  const plain = { optimizer: { name: 'sgd', momentum: 0 } } as const;
  const moved = async (step: TrainingStep): Promise<Record<'weights' | 'vectors', number>> => {
    await train(engine, step, batchesOf(1));
    const state = await engine.read(['fc.weight', 'fc.bias']);
    return {
      weights: distance(state.get('fc.weight')!, model.parameters.get('fc.weight')!),
      vectors: distance(state.get('fc.bias')!, model.parameters.get('fc.bias')!),
    };
  };
  const one = await moved(stepOf(model, plain));
  const step = stepOf(model, { ...plain, groups });
  const half = await moved(step);
  assert.ok(Math.abs(half.vectors / one.vectors - 0.5) < 1e-4 && Math.abs(half.weights / one.weights - 1) < 1e-4);
  step.setScale('vectors', 2);
  assert.ok(Math.abs((await moved(step)).vectors / one.vectors - 2) < 1e-4);
});

test('step: dropout masks depend on seed, step and layer alone, and keep the mean', () => {
  const spec = { input: 'mask:drop', dims: [100, 50], rate: 0.2 };
  const at = { step: 3, microStep: 0 };
  const mask = drawMask(spec, 1, at).data as Float32Array;
  for (const other of [
    drawMask(spec, 2, at),
    drawMask(spec, 1, { ...at, step: 4 }),
    drawMask(spec, 1, { ...at, microStep: 1 }),
    drawMask({ ...spec, input: 'mask:other' }, 1, at),
  ])
    assert.notDeepEqual(other.data, mask);
  assert.deepEqual(new Set(mask), new Set([0, 1.25]));
  const mean = mask.reduce((a, b) => a + b, 0) / mask.length;
  assert.ok(Math.abs(mean - 1) < 0.03, `${mean}`);
});

test('step: dropout nodes, dropout before the head, and stochastic depth become mask inputs', async () => {
  const engine = await ortEngine();
  const inputs = (step: TrainingStep): (string | number)[][] =>
    step.main.masks.map(({ input, dims, rate }) => [input, dims.join('x'), Number(rate.toFixed(6))]);
  assert.deepEqual(inputs(stepOf(tinyModel({ dropout: 0.25 }))), [['mask:drop', '6x4', 0.25]]);
  assert.deepEqual(inputs(stepOf(tinyModel({ dropout: 0.25 }), { dropout: 0 })), []);
  assert.deepEqual(inputs(stepOf(tinyModel(), { dropout: 0.5 })), [['mask:fc', '6x4', 0.5]]);
  const model = tinyModel();
  assert.deepEqual(residuals(model.graph, 'input'), [{ node: 'block.add', branch: 0 }]);
  const deep = stepOf(model, { stochasticDepth: 0.3 });
  assert.deepEqual(inputs(deep), [['mask:block.add', '6x1x1x1', 0.3]]);
  // With the branch dropped for every sample, its filters get no gradient.
  await engine.write(deep.initialState);
  const program = await engine.compile(deep.main.graph, { state: deep.main.state });
  const feeds = deep.main.feeds({ step: 0, microStep: 0, learningRate: 0.1, total: 1 });
  await program.run({ ...feeds, ...batchesOf(1)[0]!, 'mask:block.add': float32([6, 1, 1, 1], new Float32Array(6)) });
  await program.close();
  const state = await engine.read();
  assert.equal(distance(state.get('block.conv.weight')!, model.parameters.get('block.conv.weight')!), 0);
  assert.ok(distance(state.get('conv1.weight')!, model.parameters.get('conv1.weight')!) > 0);
});

test('step: an objective may run the model more than once and add inputs, scalars and metrics', async () => {
  const engine = await ortEngine();
  const model = tinyModel({ dropout: 0.5 });
  const step = stepOf(model, {
    objective: ({ math: m, batchSize, classes, size, input, scalar, forward }) => {
      const first = forward(input('pixels', 'uint8', [batchSize, ...size, 3]));
      const second = forward(input('other', 'uint8', [2, ...size, 3]));
      const targets = input('targets', 'float32', [batchSize, classes]);
      const weight = scalar('ramp', ({ step: at }) => at * 10);
      const extra = m.meanBatch(m.sumClasses(m.square(second)));
      const loss = labelLoss(m, first, targets, {});
      return {
        loss: m.add(loss, m.mul(extra, weight)),
        metrics: { extra, supervised: loss },
      };
    },
  });
  assert.deepEqual(
    step.main.inputs.map(({ name }) => name),
    ['pixels', 'other', 'targets'],
  );
  assert.deepEqual(
    step.main.masks.map(({ input, dims }) => [input, dims]),
    [
      ['mask:drop', [6, 4]],
      ['mask:drop:2', [2, 4]],
    ],
  );
  const batch = { ...batchesOf(1)[0]!, other: tinyBatch([50, 51]).pixels };
  const results = await train(engine, step, [batch, batch]);
  results.forEach(({ loss, supervised: plain, extra }, i) =>
    assert.ok(Math.abs(loss! - plain! - 10 * i * extra!) < 1e-4 * loss!),
  );
  // The second pass moves the running statistics too.
  const means: Tensor[] = [];
  for (const other of [
    [50, 51],
    [1, 2],
  ]) {
    await train(engine, step, [{ ...batch, other: tinyBatch(other).pixels }]);
    means.push((await engine.read(['bn1.running_mean'])).get('bn1.running_mean')!);
  }
  assert.ok(distance(means[0]!, means[1]!) > 1e-4);
});

test('step: an objective may run the average of the weights, through which no gradient goes', async () => {
  const engine = await ortEngine();
  const model = tinyModel();
  const objective: Objective = ({ math: m, batchSize, classes, size, input, forward }) => {
    const pixels = input('pixels', 'uint8', [batchSize, ...size, 3]);
    const loss = labelLoss(m, forward(pixels), input('targets', 'float32', [batchSize, classes]), {});
    const difference = m.meanBatch(m.sumClasses(m.square(forward(pixels, { weights: 'averaged' }))));
    return { loss, metrics: { teacher: difference }, observed: {} };
  };
  for (const accumulate of [1, 2]) {
    const average = { decay: 0.5, warmUp: false };
    const step = stepOf(model, { objective, average, accumulate });
    const plain = stepOf(model, { average, accumulate });
    const batches = batchesOf(4 * accumulate);
    const results = await train(engine, step, batches);
    const state = await engine.read([...step.initialState.keys()]);
    await engine.remove([...step.initialState.keys()]);
    assert.deepEqual([...plain.initialState.keys()].sort(), [...step.initialState.keys()].sort());
    const expected = await train(engine, plain, batches);
    results.forEach(({ loss }, i) => assert.equal(loss, expected[i]!['loss']));
    // Weights, averages and running statistics are those of a training without the second pass.
    for (const [name, tensor] of await engine.read([...plain.initialState.keys()]))
      assert.equal(distance(tensor, state.get(name)!), 0, name);
    // The last loss was computed with the averages before the step, in training form.
    const before = await averageBefore(engine, plain, batches, accumulate);
    const last = (
      await train(engine, stepOf({ ...model, parameters: before }, { objective, average }), [batches.at(-1)!])
    )[0]!;
    assert.ok(Math.abs(last['teacher']! - results.at(-1)!['teacher']!) < 1e-5 * last['teacher']!);
    await engine.remove([...(await engine.read()).keys()]);
  }
  assert.throws(() => stepOf(model, { objective }), /needs averaged weights; set `ema`/);
});

/** A model's parameters replaced by their averages as they stand before the last step. */
async function averageBefore(
  engine: Engine,
  step: TrainingStep,
  batches: readonly Record<string, Tensor>[],
  accumulate: number,
): Promise<Map<string, Tensor>> {
  await train(engine, step, batches.slice(0, -accumulate));
  const state = await engine.read();
  return new Map([...tinyModel().parameters].map(([name, value]) => [name, state.get(`${name}@ema`) ?? value]));
}

test('step: what an objective draws depends on seed, step and name alone', async () => {
  const model = tinyModel();
  const objective: Objective = ({ math: m, batchSize, classes, size, input, forward, uniform }) => {
    const logits = forward(input('pixels', 'uint8', [batchSize, ...size, 3]));
    const drawn = m.mul(logits, uniform('interpolation', [batchSize, classes]));
    return { loss: labelLoss(m, drawn, input('targets', 'float32', [batchSize, classes]), {}) };
  };
  const at = { step: 3, microStep: 0, learningRate: 0.1, total: 10 };
  const drawn = (position = at, seed = 5): ArrayLike<number | bigint> =>
    stepOf(model, { objective, seed }).main.feeds(position)['interpolation']!.data;
  assert.deepEqual(drawn(), drawn({ ...at, learningRate: 9, total: 2 }));
  for (const other of [drawn({ ...at, step: 4 }), drawn({ ...at, microStep: 1 }), drawn(at, 6)])
    assert.notDeepEqual(other, drawn());
  assert.ok(Array.from(drawn(), Number).every((x) => x >= 0 && x < 1));
});

test('step: impossible options are refused', () => {
  const model = tinyModel();
  const refuses = (options: Partial<TrainingStepOptions>, pattern: RegExp): void =>
    assert.throws(() => stepOf(model, options), refused('usage', pattern));
  refuses({ batchSize: 0 }, /batch size 0/);
  refuses({ accumulate: 1.5 }, /accumulation 1.5/);
  refuses({ dropout: 1 }, /dropout 1/);
  refuses({ stochasticDepth: -1 }, /stochastic depth -1/);
  refuses({ average: { decay: 1 } }, /decay 1/);
  refuses({ groups: tinyGroups(model, { frozen: () => true }) }, /nothing to train/);
});
