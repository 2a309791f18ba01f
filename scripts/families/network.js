// One network of a sweep, in a process of its own: node network.js CACHE NETWORK [ENGINE...] writes
// one line of JSON, the network's row. Engines: ort, onednn (default both), double (the reference
// engine in double precision, minutes).
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const build = pathToFileURL(join(resolve(process.env.PUPIL_BUILD ?? join(root, 'dist')), '/')).href;
const load = (path) => import(new URL(path, build).href);
const [{ readOnnx }, { importFile }, { replaceHead }, { isEncoder }, passes, { float32, sizeOf }] = await Promise.all(
  ['onnx/index.js', 'models/import.js', 'models/head.js', 'models/model.js', 'graph/passes.js', 'tensor.js'].map(load),
);
const [{ labelLoss }, { buildTrainingStep }, { createEngine }, { lackOf }] = await Promise.all(
  ['train/objective.js', 'train/step.js', 'engine/index.js', 'engine/onednn/support.js'].map(load),
);

const [cache, name, ...wanted] = process.argv.slice(2);
const engineNames = wanted.length > 0 ? wanted : ['ort', 'onednn'];
const about = JSON.parse(readFileSync(join(cache, `${name}.json`), 'utf8'));
const bytes = readFileSync(join(cache, `${name}.bin`));
const images = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
const [count, channels, height, width] = about.shape;
const classes = 10;

const norm = (values) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const messageOf = (error) => `${error.code ? '' : 'internal: '}${error.message}`.slice(0, 600);
/** What `work` returns, or what it throws, with the place in Pupil's code. */
async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    const place = /\/dist\/([^)\n]*\.js:\d+)/.exec(error.stack ?? '')?.[1];
    return { error: messageOf(error), place };
  }
}

/** Where element `index` of a tensor of `shape` stands in its `transpose(permutation)`. */
const permutedIndex = (index, shape, permutation) =>
  permutation.reduce(
    (position, axis) => position * shape[axis] + (Math.floor(index / sizeOf(shape.slice(axis + 1))) % shape[axis]),
    0,
  );

/** The op that reads a parameter. */
const readerOf = ({ graph }, own) => graph.nodes.find(({ inputs }) => inputs.includes(own))?.op;

/** The file imported, with what was noted, and how its parameters compare with PyTorch's. */
async function imported() {
  const notes = [];
  const file = await readOnnx(join(cache, `${name}.onnx`));
  const { model, origins } = importFile(file, name, { warn: (line) => notes.push(line) });
  // Where a file calls its parameters otherwise, they are counted.
  const isCounted = about.parameters === undefined;
  const theirs = new Map(Object.entries(about.parameters ?? {}));
  const buffers = new Set(Object.keys(about.buffers ?? {}));
  const names = new Map();
  for (const [own, origin] of origins) {
    const { parameter, permutation } = about.renamed?.[origin] ?? { parameter: origin };
    names.set(own, { parameter, permutation, known: theirs.has(parameter) || buffers.has(parameter) });
  }
  const found = new Set([...names.values()].map(({ parameter }) => parameter));
  const trained = [...model.parameters.keys()].filter((own) => !model.statistics.has(own));
  // Values of a graph come normalised already: (255 x / 255 - 0) / 1.
  const preprocessing = { ...model.preprocessing, mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255] };
  return {
    model: { ...model, preprocessing },
    names,
    row: {
      notes,
      normalization: [model.preprocessing.mean, model.preprocessing.std],
      labels: model.labels?.[0],
      parameterCount: trained.reduce((sum, own) => sum + model.parameters.get(own).data.length, 0),
      total: about.parameterCount,
      // What no gradient reaches in PyTorch either may be missing.
      missing: [...theirs.keys()].filter((key) => !found.has(key) && !about.unused?.includes(key)),
      invented: trained
        .filter((own) => !isCounted && !theirs.has(names.get(own)?.parameter))
        .map((own) => `${own} [${model.parameters.get(own).dims}] of ${readerOf(model, own)}`),
      tied: names.size - new Set([...names.values()].map(({ parameter }) => parameter)).size,
    },
  };
}

/** How far the model's output is from PyTorch's, relative to the largest number where that is above 1. */
async function outputError(model) {
  const engine = await createEngine('ort', { threads: 1 });
  try {
    const graph = passes.specialise(passes.bindInputs(model.graph, model.parameters), { N: count });
    const program = await engine.compile(graph, { inference: true });
    const outputs = await program.run({ input: float32(about.shape, images) });
    const { data } = outputs[model.graph.outputs[0]];
    const expected = about.values;
    if (data.length !== expected.length)
      throw new Error(`the output has ${data.length} numbers, PyTorch's ${expected.length}`);
    const scale = Math.max(1, ...expected.map(Math.abs));
    return (
      Math.max(...expected.map((value, i) => (Number.isNaN(data[i]) ? Infinity : Math.abs(data[i] - value)))) / scale
    );
  } finally {
    await engine.close();
  }
}

/** Images as floats, channels last as a training step wants them; labels as one-hot rows. */
function batch() {
  const pixels = new Float32Array(images.length);
  for (let n = 0, k = 0; n < count; n++)
    for (let i = 0; i < height * width; i++)
      for (let c = 0; c < channels; c++) pixels[k++] = images[(n * channels + c) * height * width + i];
  const targets = about.labels.flatMap((label) => Array.from({ length: classes }, (_, i) => (i === label ? 1 : 0)));
  return {
    pixels: float32([count, height, width, channels], pixels),
    targets: float32([count, classes], targets),
  };
}

/** Mean cross-entropy of images that are floats. */
const objective = ({ math: m, batchSize, size, input, forward }) => {
  const logits = forward(input('pixels', 'float32', [batchSize, ...size, 3]));
  return { loss: labelLoss(m, logits, input('targets', 'float32', [batchSize, classes]), {}) };
};

const stepOf = (model) =>
  buildTrainingStep(model, {
    batchSize: count,
    seed: 0,
    objective,
    dropout: 0,
    size: [height, width],
    groups: [
      {
        name: 'all',
        parameters: [...model.parameters.keys()].filter((own) => !model.statistics.has(own)),
        lrScale: 1,
        weightDecay: 0,
        frozen: false,
      },
    ],
    optimizer: { name: 'sgd', momentum: 0.9, nesterov: false },
    batchNormalization: 'train',
  });

/** One step on an engine; its gradients against PyTorch's in float64, over sampled entries. */
async function train(engineName, step, names) {
  const engine = await (engineName === 'double'
    ? createEngine('reference', { float64: true })
    : createEngine(engineName, { threads: 1, precision: 'f32' }));
  try {
    await engine.write(step.initialState);
    const program = await engine.compile(step.main.graph, { state: step.main.state });
    const outputs = await program.run({
      ...step.main.feeds({ step: 0, microStep: 0, learningRate: 1e-3, total: 1 }),
      ...batch(),
    });
    const loss = Number(outputs.loss.data[0]);
    if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss}`);
    if (!about.gradients) return { loss };
    const after = await engine.read([...step.initialState.keys()]);
    return { loss, lossError: Math.abs(loss - about.loss), ...gradientErrors(after, names) };
  } finally {
    await engine.close();
  }
}

/** After one step of SGD with momentum, the momentum is the gradient. */
function gradientErrors(after, names) {
  const errors = [];
  for (const [own, { parameter, permutation }] of names) {
    const expected = about.gradients[parameter];
    if (!expected) continue;
    const { indices, samples } = expected;
    const data = after.get(`${own}@momentum`)?.data;
    const shape = about.parameters[parameter];
    const entries = indices.map((i) => data?.[permutation ? permutedIndex(i, shape, permutation) : i] ?? 0);
    const scale = norm(samples) + 1e-3 * about.largestRms * Math.sqrt(samples.length);
    const error = norm(entries.map((x, i) => x - samples[i])) / scale;
    errors.push({ parameter, error: Number.isNaN(error) ? Infinity : error, float32: expected.float32 });
  }
  if (errors.length === 0) throw new Error('no gradient could be compared');
  errors.sort((a, b) => b.error - a.error);
  return {
    compared: errors.length,
    max: errors[0].error,
    median: median(errors.map(({ error }) => error)),
    worst: errors.slice(0, 4).map(({ parameter, error }) => `${parameter} ${error.toExponential(1)}`),
    float32: Math.max(...errors.map(({ float32: theirs }) => theirs)),
    float32Median: median(errors.map(({ float32: theirs }) => theirs)),
  };
}

async function sweep() {
  const row = { network: name, size: height, exporter: about.exporter };
  const read = await attempt(imported);
  row.import = read.error ? read : read.row;
  if (read.error) return row;
  const { model, names } = read;
  const { head } = model;
  const all = head ? [head, ...(head.others ?? [])] : [];
  row.head = isEncoder(model)
    ? { encoder: model.graph.values.get('features').shape.at(-1) }
    : head && {
        node: head.node,
        weights: all.map(({ weight }) => names.get(weight)?.parameter ?? weight),
        featureCount: head.featureCount,
        classes: head.classes,
      };
  row.output = await attempt(async () => ({ error: undefined, distance: await outputError(model) }));
  // A new classifier must fit where the old one was.
  const labels = Array.from({ length: classes }, (_, i) => `class ${i}`);
  const replaced = await attempt(() => ({ model: replaceHead(model, labels, { seed: 0 }) }));
  row.replaced = replaced.error ? replaced : { features: replaced.model.head.featureCount };
  const trainee = about.gradients ? model : replaced.model;
  if (!trainee) return row;
  const step = await attempt(() => ({ step: stepOf(trainee) }));
  row.step = step.error ? step : {};
  if (step.error) return row;
  row.lack = lackOf(step.step.main.graph)?.message;
  for (const engineName of engineNames) {
    const start = performance.now();
    row[engineName] = await attempt(() => train(engineName, step.step, names));
    row[engineName].seconds = Math.round((performance.now() - start) / 100) / 10;
    // A crash of the next engine leaves what is known.
    process.stdout.write(`${JSON.stringify(row)}\n`);
  }
  return row;
}

process.stdout.write(`${JSON.stringify(await sweep())}\n`);
process.exit(0);
