import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { createEngine, type Engine } from '../engine/index.js';
import { GraphBuilder } from '../graph/builder.js';
import { bindInputs, foldConstants, specialise } from '../graph/passes.js';
import { inline } from '../graph/inline.js';
import { decodeOnnx, encodeGraph } from '../onnx/index.js';
import { softmax } from '../evaluate/metrics.js';
import { Random } from '../random.js';
import { float32, numbersOf, type FloatTensor } from '../tensor.js';
import { assertClose, logitsOf } from '../testing/sketch.js';
import { importOnnx } from './import.js';
import type { Model } from './model.js';
import { normalizePixels } from './pixels.js';

const folder = new URL('../../fixtures/onnx/', import.meta.url).pathname;
const expected = JSON.parse(readFileSync(`${folder}expected.json`, 'utf8')) as {
  seed: number;
  keys: string[];
  shape: number[];
  base: number;
  scale: number;
  files: Record<string, { logits?: number[][] }>;
};

let engine: Promise<Engine> | undefined;
after(async () => (await engine)?.close());

/** The images that the fixtures' outputs belong to. */
function fixtureImages(): FloatTensor {
  const random = new Random(expected.seed, ...expected.keys);
  return float32(
    expected.shape,
    Float32Array.from(
      { length: expected.shape.reduce((a, b) => a * b) },
      () => expected.base + expected.scale * (2 * random.uniform() - 1),
    ),
  );
}

const files = [
  'torchscript-11',
  'torchscript-13',
  'torchscript-17',
  'torchscript-15-training',
  'dynamo-18',
  'dynamo-newest',
  'external',
];
for (const name of files) {
  test(`${name}.onnx: a model with a dynamic batch that gives the file's logits`, async () => {
    const model = await importOnnx(`${folder}${name}.onnx`);
    assert.deepEqual(model.graph.inputs[0], { name: 'input', dtype: 'float32', shape: ['N', 3, 32, 32] });
    assert.deepEqual(model.graph.values.get('logits')!.shape, ['N', 5]);
    assert.deepEqual(model.graph.outputs, ['logits']);
    assertClose(numbersOf(logitsOf(model, fixtureImages())), expected.files[`${name}.onnx`]!.logits!.flat(), 2e-5);
    assert.deepEqual(
      [...model.parameters.keys()].sort(),
      model.graph.inputs
        .slice(1)
        .map((input) => input.name)
        .sort(),
    );
    assert.deepEqual(
      [model.head?.weight, model.head?.bias, model.head?.classes],
      ['classifier.weight', 'classifier.bias', 5],
    );
    assert.equal(model.architecture, name);
    assert.equal(
      model.graph.nodes.some(
        (node) => node.op === 'Shape' || node.op === 'Identity' || node.attributes.training_mode === 1,
      ),
      false,
    );
  });
}

test('tf2onnx-13.onnx: channels last and a softmax become channels first and logits', async () => {
  const model = await importOnnx(`${folder}tf2onnx-13.onnx`, { normalize: 'symmetric' });
  assert.deepEqual(model.graph.inputs[0], { name: 'input', dtype: 'float32', shape: ['N', 3, 32, 32] });
  const { probabilities } = JSON.parse(readFileSync(`${folder}tf2onnx.json`, 'utf8')) as { probabilities: number[][] };
  const logits = numbersOf(logitsOf(model, fixtureImages()));
  assertClose([...softmax(Float32Array.from(logits), 5)], probabilities.flat(), 1e-5);
  assert.equal(model.head?.classes, 5);
});

test('what is imported, written and run by onnxruntime gives the same logits', async () => {
  for (const name of ['torchscript-13', 'dynamo-newest']) {
    const model = await importOnnx(`${folder}${name}.onnx`);
    const graph = decodeOnnx(encodeGraph(bindInputs(model.graph, model.parameters)));
    assert.equal(graph.graph.initializers.size, bindInputs(model.graph, model.parameters).constants.size);
    engine ??= createEngine('ort', { threads: 1 });
    const program = await (
      await engine
    ).compile(foldConstants(bindInputs(model.graph, model.parameters)), { inference: true });
    const { logits } = await program.run({ input: fixtureImages() });
    assertClose(numbersOf(logits!), expected.files[`${name}.onnx`]!.logits!.flat(), 2e-5);
    await program.close();
  }
});

test("weights keep PyTorch's names; made-up ones get the name of the part that reads them", async () => {
  const kept = await importOnnx(`${folder}torchscript-13.onnx`);
  assert.ok(
    ['stem.0.weight', 'stem.1.weight', 'block.4.bias', 'down.1.running_var'].every((name) => kept.parameters.has(name)),
  );
  assert.equal(kept.statistics.size, 10);
  assert.ok(kept.statistics.has('stem.1.running_mean') && !kept.statistics.has('stem.1.weight'));
  const folded = await importOnnx(`${folder}torchscript-17.onnx`);
  const names = ['stem.0', 'block.0', 'block.3', 'block.6', 'down.0', 'classifier'].flatMap((part) => [
    `${part}.weight`,
    `${part}.bias`,
  ]);
  assert.deepEqual([...folded.parameters.keys()].sort(), names.sort());
  const dynamo = await importOnnx(`${folder}dynamo-newest.onnx`);
  assert.deepEqual([...dynamo.parameters.keys()].sort(), names.sort());
  // The zeros that the unoptimised dynamo export gives convolutions as biases are no parameters.
  assert.deepEqual(
    [...(await importOnnx(`${folder}dynamo-18.onnx`)).parameters.keys()].sort(),
    [...kept.parameters.keys()].sort(),
  );
});

test('a QDQ int8 model becomes a float model', async () => {
  const model = await importOnnx(`${folder}qdq-int8.onnx`);
  assert.ok(model.parameters.has('stem.0.weight') && model.parameters.has('classifier.bias'));
  assert.equal(
    model.graph.nodes.some((node) => /Quantize/.test(node.op)),
    false,
  );
  // Rounding is gone: as close to the float model as int8 was.
  assertClose(numbersOf(logitsOf(model, fixtureImages())), expected.files['torchscript-17.onnx']!.logits!.flat(), 0.1);
});

test('files that cannot be used are refused in one line that says why', async () => {
  await assert.rejects(importOnnx(`${folder}unknown-op.onnx`), {
    code: 'unsupported',
    message: /the node mystery uses the op com\.example\.Mystery/,
  });
  await assert.rejects(importOnnx(`${folder}truncated.onnx`), { code: 'bad-model', message: /cut short/ });
  await assert.rejects(importOnnx(`${folder}nothing.onnx`), { code: 'not-found' });
  await assert.rejects(importOnnx(`${folder}make.py`), { code: 'bad-model', message: /not an ONNX file/ });
  await assert.rejects(importOnnx(`${folder}torchscript-17.onnx`, { head: 'nowhere' }), { code: 'not-found' });
  await assert.rejects(importOnnx(`${folder}torchscript-17.onnx`, { normalize: 'nonsense' }), { code: 'usage' });
});

test('our own exported file comes back as the model it was', async () => {
  const source = await importOnnx(`${folder}torchscript-13.onnx`);
  const model: Model = {
    ...source,
    preprocessing: { ...source.preprocessing, mean: [0.1, 0.2, 0.3], std: [0.5, 0.6, 0.7], resizeShort: 40 },
  };
  const builder = new GraphBuilder('deployed');
  const pixels = builder.input('pixels', 'uint8', ['N', 32, 32, 3]);
  const { logits } = inline(builder, model.graph, { input: normalizePixels(builder, pixels, model.preprocessing) });
  builder.outputs({
    logits: logits!,
    probabilities: builder.op('Softmax', [builder.op('Mul', [logits!, 0.5])], { axis: 1 }),
  });
  const bytes = encodeGraph(foldConstants(bindInputs(builder.build(), model.parameters)), {
    metadata: {
      preprocessing: JSON.stringify(model.preprocessing),
      labels: JSON.stringify(['a', 'b', 'c', 'd', 'e']),
      provenance: JSON.stringify({ architecture: 'small', temperature: 2 }),
    },
  });
  const again = await importOnnx(bytes);
  assert.deepEqual(again.preprocessing, model.preprocessing);
  assert.deepEqual([again.labels?.length, again.temperature, again.architecture], [5, 2, 'small']);
  assert.deepEqual([...again.parameters.keys()].sort(), [...model.parameters.keys()].sort());
  assert.deepEqual(again.statistics, model.statistics);
  assert.deepEqual(
    again.graph.nodes.map((node) => node.op),
    model.graph.nodes.map((node) => node.op),
  );
  assertClose(numbersOf(logitsOf(again, fixtureImages())), numbersOf(logitsOf(model, fixtureImages())), 0);
});

const shared = new URL('../../../shared/models/', import.meta.url).pathname;
for (const [name, size] of [
  ['mobilenetv2-1.0-224', 224],
  ['mobilenetv1-0.25-128', 128],
  ['mobilenetv1-0.75-192', 192],
] as const) {
  test(
    `${name}: 1001 classes, dynamic batch`,
    { skip: existsSync(shared) ? false : 'needs ../shared/models' },
    async () => {
      const model = await importOnnx(`${shared}${name}.onnx`, { normalize: 'symmetric' });
      assert.equal(model.head?.classes, 1001);
      assert.deepEqual(model.preprocessing.size, [size, size]);
      assert.deepEqual(model.preprocessing.mean, [0.5, 0.5, 0.5]);
      assert.deepEqual(specialise(model.graph, { N: 4 }).values.get('logits')!.shape, [4, 1001]);
      const smaller = await importOnnx(`${shared}${name}.onnx`, { size: 96 });
      assert.deepEqual(smaller.graph.inputs[0]!.shape, ['N', 3, 96, 96]);
    },
  );
}
