import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { deploymentGraph, exportModel } from '../artifact/export.js';
import { runCommandLine } from '../cli/run.js';
import { createEngine } from '../engine/index.js';
import { evaluateGraph } from '../graph/evaluate.js';
import { GraphBuilder } from '../graph/builder.js';
import type { Graph } from '../graph/graph.js';
import { bindInputs } from '../graph/passes.js';
import { buildModel } from '../models/index.js';
import { encodePng } from '../image/decode.js';
import type { Model } from '../models/model.js';
import { readOnnx } from '../onnx/read.js';
import { noise, temporaryFolder } from '../testing/image-files.js';
import { float32 } from '../tensor.js';
import { tinyBatch, tinyModel, tinySize } from '../testing/tiny-model.js';
import { loadModel } from './load.js';
import { argmax } from './metrics.js';
import { quantizeModel, type PixelBatch } from './quantize.js';

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);
const batchOf = (indexes: readonly number[]): PixelBatch => ({
  pixels: tinyBatch(indexes).pixels.data as Uint8Array,
  count: indexes.length,
});
const unseen = tinyBatch(range(1000, 200)).pixels;

/** Every convolution reads bytes and gives bytes. */
function assertQuantised(graph: Graph, count: number): void {
  const producer = (name: string): string | undefined => graph.nodes.find(({ outputs }) => outputs[0] === name)?.op;
  const convolutions = graph.nodes.filter(({ op }) => op === 'Conv');
  assert.equal(convolutions.length, count);
  for (const { name, inputs, outputs } of convolutions) {
    assert.deepEqual(
      inputs.map(producer),
      inputs.map(() => 'DequantizeLinear'),
      name,
    );
    assert.deepEqual(
      graph.nodes.filter((node) => node.inputs.includes(outputs[0]!)).map(({ op }) => op),
      ['QuantizeLinear'],
      name,
    );
  }
  assert.deepEqual(
    graph.nodes.filter(({ op }) => op === 'BatchNormalization'),
    [],
  );
}

const floatLogits = (model: Model): Float32Array =>
  evaluateGraph(bindInputs(deploymentGraph(model), model.parameters), { pixels: unseen })['logits']!
    .data as Float32Array;

/** A tiny network whose biases make no class the answer to everything. */
function balancedModel(): Model {
  const model = tinyModel({ seed: 3 }),
    logits = floatLogits(model);
  const means = range(0, 3).map((c) => range(0, 200).reduce((sum, i) => sum + logits[3 * i + c]! / 200, 0));
  return {
    ...model,
    parameters: new Map(model.parameters).set(
      'fc.bias',
      float32(
        [3],
        means.map((mean) => -mean),
      ),
    ),
  };
}

test('an int8 model agrees with its float32 model on images that it was not calibrated on', async () => {
  const model = balancedModel();
  const engine = await createEngine('ort');
  try {
    const graph = await quantizeModel(model, [batchOf(range(0, 16)), batchOf(range(16, 16))], { engine });
    assertQuantised(graph, 2);
    const expected = floatLogits(model);
    const program = await engine.compile(graph, { inference: true });
    const got = (await program.run({ pixels: unseen }))['logits']!.data as Float32Array;
    await program.close();
    const labels = (logits: Float32Array): number[] => range(0, 200).map((i) => argmax(logits, 3 * i, 3));
    const wanted = labels(expected);
    assert.ok(new Set(wanted).size > 1, 'the images must differ in class for agreement to mean something');
    const agreement = labels(got).filter((label, i) => label === wanted[i]).length / 200;
    assert.ok(agreement > 0.95, `agreement ${agreement}`);
    const spread = Math.max(...expected) - Math.min(...expected);
    got.forEach((x, i) =>
      assert.ok(Math.abs(x - expected[i]!) < 0.05 * spread, `logit ${i}: ${x}, expected about ${expected[i]}`),
    );
    // what the graph says without the engine's fusions
    const plain = evaluateGraph(graph, { pixels: unseen })['logits']!.data as Float32Array;
    got.forEach((x, i) =>
      assert.ok(Math.abs(x - plain[i]!) < 0.02 * spread, `logit ${i}: ${x}, by the plain evaluator ${plain[i]}`),
    );
  } finally {
    await engine.close();
  }
});

test('rectifiers become saturation, and 7-bit weights stay in 7 bits', async () => {
  const model = buildModel('resnet8', { labels: ['a', 'b', 'c'], seed: 2 });
  const [height, width] = model.preprocessing.size;
  const pixels = Uint8Array.from({ length: 4 * height * width * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) % 256);
  const engine = await createEngine('ort');
  try {
    const graph = await quantizeModel(model, [{ pixels, count: 4 }], { engine, reduceRange: true });
    const convolutions = model.graph.nodes.filter(({ op }) => op === 'Conv').length;
    assertQuantised(graph, convolutions);
    // those behind a convolution fell away; behind an addition of what is no bytes they stay
    for (const { inputs } of graph.nodes.filter(({ op }) => op === 'Relu')) {
      assert.equal(graph.nodes.find(({ outputs }) => outputs[0] === inputs[0])?.op, 'Add');
    }
    const weights = [...graph.constants.values()].filter(({ dtype, dims }) => dtype === 'int8' && dims.length === 4);
    assert.equal(weights.length, convolutions);
    for (const { data } of weights)
      assert.equal(
        (data as Int8Array).reduce((a, b) => Math.max(a, Math.abs(b)), 0),
        63,
      );
  } finally {
    await engine.close();
  }
});

test('a model without convolutions and a calibration without images are refused by name', async () => {
  const engine = await createEngine('ort');
  try {
    await assert.rejects(
      quantizeModel(tinyModel(), [], { engine }),
      (error: { code?: string; message: string }) =>
        error.code === 'bad-data' &&
        error.message.startsWith('tiny: no images to calibrate int8 on, expected some hundred'),
    );
    const model = tinyModel(),
      builder = new GraphBuilder('linear');
    const pooled = builder.op('GlobalAveragePool', [builder.input('input', 'float32', ['N', 3, tinySize, tinySize])]);
    builder.outputs({ logits: builder.op('Flatten', [pooled], { axis: 1 }) });
    await assert.rejects(
      quantizeModel({ ...model, graph: builder.build(), parameters: new Map() }, [batchOf([0])], { engine }),
      (error: { code?: string; message: string }) =>
        error.code === 'bad-model' &&
        error.message.includes('there is no convolution with constant weights to quantise'),
    );
  } finally {
    await engine.close();
  }
});

test('a model loaded or exported with int8 says about what its float32 model says', async (t) => {
  const folder = await temporaryFolder(t),
    paths = range(0, 12).map((i) => join(folder, `${i}.png`));
  for (const [i, path] of paths.entries()) await writeFile(path, await encodePng(noise(i, 40, 36)));
  const file = join(folder, 'model.onnx'),
    small = join(folder, 'int8.onnx');
  await writeFile(file, exportModel(buildModel('resnet8', { labels: ['a', 'b', 'c'], seed: 2 }), { seed: 1 }));
  const said: string[] = [];
  const code = await runCommandLine(['export', file, '--int8', folder, '--out', small, '--json'], {
    out: (text) => void said.push(text),
    err: () => undefined,
    interactive: false,
    width: 100,
  });
  assert.equal(code, 0);
  assert.equal((JSON.parse(said.join('')) as { int8: boolean }).int8, true);
  assert.equal((JSON.parse((await readOnnx(small)).metadata.get('provenance')!) as { int8: boolean }).int8, true);
  const answers: number[][] = [];
  for (const model of [await loadModel(file), await loadModel(file, { int8: [folder] }), await loadModel(small)]) {
    const predictions = await model.predict(paths);
    await model.close();
    answers.push(predictions.flatMap(({ probabilities }) => Object.values(probabilities)));
  }
  for (const other of answers.slice(1))
    other.forEach((p, i) => assert.ok(Math.abs(p - answers[0]![i]!) < 0.05, `${p}, in float32 ${answers[0]![i]}`));
  assert.ok(
    answers[1]!.some((p, i) => p !== answers[0]![i]),
    'computed on integers',
  );
});
