// Pupil on one network, as a process that works when it is asked (bench/harness/child.js): node pupil.js
// {"network", "tiny", "size", "classes"}. One engine stays open, so that shaders are compiled once.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { say } from '../../bench/harness/answer.js';
import { testPixels, testTargets } from '../../bench/ours/data.js';
import { createEngine } from '../../dist/engine/index.js';
import { bindInputs, foldConstants, prune } from '../../dist/graph/passes.js';
import { parameterGroups } from '../../dist/models/groups.js';
import { writeSafetensors } from '../../dist/safetensors.js';
import { float32 } from '../../dist/tensor.js';
import { buildEvaluation } from '../../dist/train/evaluation.js';
import { buildTrainingStep } from '../../dist/train/step.js';
import { countOf, modelOf, networks } from './networks.js';
import { readProfile } from './profile.js';

const job = JSON.parse(process.argv[2]);
const network = networks.find(({ name }) => name === job.network);
const model = modelOf(network, job);
const { size, classes } = job;

/** Milliseconds of the first two steps on the GPU in this process: the first one compiles the shaders. */
const cold = [];

let engine;
/** The GPU's engine, opened when it is first needed. */
const onGpu = async () => (engine ??= await createEngine('webgpu'));

const pixelsOf = (batch) => ({
  dtype: 'uint8',
  dims: [batch, size, size, 3],
  data: testPixels(batch * size * size * 3),
});

/**
 * A training step on an engine: forward, cross-entropy, backward, SGD with momentum and weight decay. `run` gives
 * the loss.
 */
async function stepOn(own, batch) {
  const step = buildTrainingStep(model, {
    batchSize: batch,
    groups: parameterGroups(model, { lr: 1e-2, weightDecay: 1e-4 }),
    seed: 1,
    optimizer: { name: 'sgd', momentum: 0.9 },
  });
  const program = await own.compile(step.main.graph, { state: step.main.state });
  await own.write(step.initialState);
  const pixels = pixelsOf(batch),
    targets = float32([batch, classes], testTargets(batch, classes));
  let count = 0;
  return {
    initial: step.initialState,
    async run() {
      const feeds = step.main.feeds({ step: count++, microStep: 0, learningRate: 1e-2, total: 100 });
      const from = performance.now();
      const { loss } = await program.run({ pixels, targets, ...feeds });
      if (own.name === 'webgpu' && cold.length < 2) cold.push(Math.round(performance.now() - from));
      return loss.data[0];
    },
    close: () => program.close(),
  };
}

/** Logits and probabilities of a batch on an engine; weights are constants of the graph. */
async function inferenceOn(own, batch) {
  const graph = prune(foldConstants(bindInputs(buildEvaluation(model).graph, model.parameters)));
  const program = await own.compile(graph, { inference: true });
  const pixels = pixelsOf(batch);
  return { run: () => program.run({ pixels }), close: () => program.close() };
}

const largest = (numbers) => numbers.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
const apart = (a, b) => a.map((x, i) => x - b[i]);
const squares = (numbers) => numbers.reduce((sum, x) => sum + x * x, 0);

/** The state after one step from the same beginning. A second step shows what the first one's compilation took. */
async function trained(own, batch) {
  const { initial, run, close } = await stepOn(own, batch);
  const loss = await run();
  const state = await own.read();
  await run();
  await close();
  return { initial, loss, state };
}

async function logitsOn(own, batch) {
  const { run, close } = await inferenceOn(own, batch);
  const { logits } = await run();
  await close();
  return logits.data;
}

/** Differences of the state: the largest, and over everything the share of what the step changed. */
function compareStates({ initial, state: expected }, { state: actual }) {
  let worst = 0,
    different = 0,
    changed = 0;
  for (const [name, { dtype, data }] of expected) {
    if (dtype !== 'float32') continue;
    const difference = apart(actual.get(name).data, data);
    worst = Math.max(worst, largest(difference));
    different += squares(difference);
    changed += squares(apart(data, initial.get(name).data));
  }
  return { largest: worst, ofChange: Math.sqrt(different / changed) };
}

/**
 * The GPU's numbers against the processor's, and the processor's in the plain layout against its own in blocks of
 * channels: how far rounding alone sets a step apart. Weights and logits go to the file `save` for PyTorch.
 */
async function check({ batch, save }) {
  const cpu = await createEngine('ort'),
    plain = await createEngine('ort', { choices: { block: 0 } });
  try {
    const logits = await logitsOn(cpu, batch);
    const handle = await open(save, 'w');
    await writeSafetensors(handle, new Map([...model.parameters, ['logits', float32([batch, classes], logits)]]));
    await handle.close();
    const gpu = await onGpu();
    const expected = await trained(cpu, batch),
      actual = await trained(gpu, batch);
    const difference = largest(apart(await logitsOn(gpu, batch), logits));
    return {
      engines: [gpu.description, cpu.description],
      logits: { largest: difference, ofLargest: difference / largest(logits) },
      loss: { gpu: actual.loss, cpu: expected.loss },
      state: compareStates(expected, actual),
      rounding: compareStates(expected, await trained(plain, batch)),
    };
  } finally {
    await cpu.close();
    await plain.close();
  }
}

/**
 * Milliseconds: to build and compile, of the first two runs, of which the second may still allocate, and of those
 * after them for `seconds`, at most `runs`.
 */
async function timed(prepare, { batch, seconds, runs }) {
  const began = performance.now();
  const work = await prepare(await onGpu(), batch);
  const prepared = performance.now() - began;
  const once = async () => {
    const from = performance.now();
    await work.run();
    return performance.now() - from;
  };
  const first = await once(),
    second = await once();
  const times = [];
  for (const warm = performance.now(); times.length === 0 || performance.now() - warm < 1000 * seconds;) {
    times.push(await once());
    if (times.length === runs) break;
  }
  await work.close();
  return { prepared, first, second, times };
}

/** Three steps under onnxruntime's profiler; `call`: the last one as JavaScript sees it, in milliseconds. */
async function profile({ batch }) {
  const folder = mkdtempSync(join(tmpdir(), 'pupil-gpu-'));
  try {
    const own = await createEngine('webgpu', { profile: join(folder, 'profile') });
    const { run, close } = await stepOn(own, batch);
    await run();
    await run();
    const from = performance.now();
    await run();
    const call = performance.now() - from;
    await close();
    await own.close();
    // The step is the program with most events; moving the state has none.
    const files = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
    const [text] = files.sort((a, b) => b.length - a.length);
    return { call, ...readProfile(JSON.parse(text)) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const work = {
  check,
  training: (request) => timed(stepOn, request),
  inference: (request) => timed(inferenceOn, request),
  profile,
};

say({ ready: true, parameters: countOf(network, job.tiny ? network.tiny : network.form, job) });
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    say({ ...(await work[request.kind](request)), ...(cold.length === 2 && { cold }) });
  }
  await engine?.close();
} catch (error) {
  say({ error: error.message.split('\n')[0] });
  process.exit(1);
}
