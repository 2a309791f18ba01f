// The pieces of work that serve.js measures. Each `prepare` gives what to say at the start, one
// step, and the end.
import { readFileSync } from 'node:fs';
import { quantizeModel } from '../../dist/evaluate/quantize.js';
import { createEngine } from '../../dist/engine/index.js';
import { GraphBuilder } from '../../dist/graph/builder.js';
import { bindInputs, foldConstants, prune } from '../../dist/graph/passes.js';
import { parameterGroups } from '../../dist/models/groups.js';
import { resolveModel } from '../../dist/models/index.js';
import { float32 } from '../../dist/tensor.js';
import { buildEvaluation } from '../../dist/train/evaluation.js';
import { buildTrainingStep } from '../../dist/train/step.js';
import { testPixels, testTargets } from './data.js';

/** The engine, or an error when it does not compute in the precision asked for. */
async function open({ engine, precision = 'f32', threads }) {
  const opened = await createEngine(engine, { threads, precision });
  if (precision === 'bf16' && !opened.description.includes('bfloat16')) {
    await opened.close();
    throw new Error('not available: this engine does not compute in bfloat16 here');
  }
  return opened;
}

/** Exported files keep the classifier they have; built-in networks are drawn. */
const load = ({ model, size, classes }) =>
  resolveModel(model, {
    ...(size ? { size } : {}),
    ...(model.endsWith('.onnx') ? { normalize: 'imagenet' } : { classes, seed: 1 }),
  });

const versions = () => ({
  pupil: JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version,
  node: process.version,
});

const pixelsOf = (batch, [height, width]) => ({
  dtype: 'uint8',
  dims: [batch, height, width, 3],
  data: testPixels(batch * height * width * 3),
});

/**
 * Forward, cross-entropy, backward, SGD with momentum and weight decay: what one batch of training
 * takes.
 */
export async function prepareStep(job) {
  const { batch, batchNormalization = 'train' } = job;
  const model = await load(job);
  const classes = model.graph.values.get('logits').shape[1];
  const step = buildTrainingStep(model, {
    batchSize: batch,
    groups: parameterGroups(model, { lr: 1e-3, weightDecay: 1e-4 }),
    seed: 1,
    optimizer: { name: 'sgd', momentum: 0.9 },
    batchNormalization,
  });
  const engine = await open(job);
  const from = performance.now();
  const program = await engine.compile(step.main.graph, { state: step.main.state });
  const compileSeconds = (performance.now() - from) / 1000;
  await engine.write(step.initialState);
  const pixels = pixelsOf(batch, model.preprocessing.size);
  const targets = float32([batch, classes], testTargets(batch, classes));
  let count = 0;
  return {
    hello: {
      description: engine.description,
      compileSeconds,
      nodes: step.main.graph.nodes.length,
      versions: versions(),
    },
    async run() {
      const { loss } = await program.run({
        pixels,
        targets,
        ...step.main.feeds({ step: count++, microStep: 0, learningRate: 1e-3, total: 100 }),
      });
      return loss.data[0];
    },
    close: () => engine.close(),
  };
}

/**
 * Probabilities of a batch, as a teacher gives them: weights are constants of the graph; with
 * `int8`, computed on 8-bit integers.
 */
export async function prepareInference(job) {
  const { batch, int8 } = job;
  const model = await load(job);
  const engine = await open(job);
  const pixels = pixelsOf(batch, model.preprocessing.size);
  const graph = int8
    ? await quantizeModel(model, [{ pixels: pixels.data, count: batch }], { engine })
    : prune(foldConstants(bindInputs(buildEvaluation(model).graph, model.parameters)));
  const from = performance.now();
  const program = await engine.compile(graph, { inference: true, exact: job.precision !== 'bf16' });
  const compileSeconds = (performance.now() - from) / 1000;
  return {
    hello: { description: engine.description, compileSeconds, versions: versions() },
    async run() {
      const { probabilities } = await program.run({ pixels });
      return probabilities.data[0];
    },
    close: () => engine.close(),
  };
}

/** A fresh engine with a training step of the model, up to where the first batch could be fed. */
export async function prepareSession(job) {
  const model = await load(job);
  return {
    hello: { versions: versions() },
    async run() {
      const step = buildTrainingStep(model, {
        batchSize: job.batch,
        groups: parameterGroups(model, { lr: 1e-3, weightDecay: 1e-4 }),
        seed: 1,
        optimizer: { name: 'sgd', momentum: 0.9 },
      });
      const engine = await open(job);
      const program = await engine.compile(step.main.graph, { state: step.main.state });
      await engine.write(step.initialState);
      await program.close();
      await engine.close();
      return step.main.graph.nodes.length;
    },
    close: async () => undefined,
  };
}

/**
 * One 3x3 convolution of stride 1 and padding 1, its input's gradient, or its weight's: `part`
 * forward, input or weight.
 */
export async function prepareConvolution(job) {
  const { batch, channels, size, part } = job;
  const builder = new GraphBuilder(`convolution ${part}`);
  const image = [batch, channels, size, size],
    filter = [channels, channels, 3, 3];
  const attributes = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1], dilations: [1, 1], group: 1 };
  const declare = { x: image, w: filter, dy: image };
  const names = { forward: ['x', 'w'], input: ['dy', 'w'], weight: ['x', 'dy'] }[part];
  const inputs = names.map((name) => builder.input(name, 'float32', declare[name]));
  const op = { forward: 'Conv', input: 'ConvGradInput', weight: 'ConvGradWeight' }[part];
  const extra = { forward: {}, input: { input_shape: image }, weight: {} }[part];
  builder.outputs({ y: builder.op(op, inputs, { ...attributes, ...extra }) });
  const engine = await open(job);
  const program = await engine.compile(builder.build());
  const feeds = Object.fromEntries(
    names.map((name) => {
      const count = declare[name].reduce((a, b) => a * b, 1);
      return [
        name,
        float32(
          declare[name],
          Float32Array.from(testPixels(count), (x) => x / 255 - 0.5),
        ),
      ];
    }),
  );
  return {
    hello: { description: engine.description, versions: versions() },
    async run() {
      const { y } = await program.run(feeds);
      return y.data[0];
    },
    close: () => engine.close(),
  };
}
