import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type TestContext } from 'node:test';
import * as native from 'pupil-onnxruntime';
import * as wasm from 'onnxruntime-web';
import { loadModel } from '../evaluate/load.js';
import { inputView, stack } from '../evaluate/classifier.js';
import { decode, encodePng } from '../image/decode.js';
import { buildModel, resolveModel } from '../models/index.js';
import { importFile } from '../models/import.js';
import type { Model } from '../models/model.js';
import { decodeOnnx } from '../onnx/index.js';
import { float32 } from '../tensor.js';
import { noise, temporaryFolder } from '../testing/image-files.js';
import { readFile } from 'node:fs/promises';
import { exportModel } from './export.js';

const shared = fileURLToPath(new URL('../../../shared/', import.meta.url));

/**
 * Exports `model` and compares plain onnxruntime, native and WASM, with `predict` on image files.
 */
async function compare(
  t: TestContext,
  model: Model,
  paths: readonly string[],
  fp16 = false,
  tolerance = 1e-4,
): Promise<void> {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'model.onnx');
  const bytes = exportModel(model, { seed: 1 }, { fp16 });
  writeFileSync(file, bytes);
  const classifier = await loadModel(file);
  const predictions = await classifier.predict(paths);
  await classifier.close();
  const view = inputView(model.preprocessing);
  const [height, width] = model.preprocessing.size;
  const sessions = [await native.InferenceSession.create(bytes), await wasm.InferenceSession.create(bytes)];
  let largest = 0;
  for (let start = 0; start < paths.length; start += 20) {
    const chunk = paths.slice(start, start + 20);
    const pixels = stack(await Promise.all(chunk.map(async (path) => view(await decode(await readFile(path), path)))));
    for (const [i, { Tensor }] of [native, wasm].entries()) {
      const outputs = await sessions[i]!.run({ pixels: new Tensor('uint8', pixels, [chunk.length, height, width, 3]) });
      const probabilities = outputs['probabilities']!.data as Float32Array;
      chunk.forEach((_, row) => {
        const said = predictions[start + row]!;
        Object.values(said.probabilities).forEach((p, c, all) => {
          largest = Math.max(largest, Math.abs(p - probabilities[row * all.length + c]!));
        });
      });
    }
  }
  for (const session of sessions) await session.release();
  t.diagnostic(`largest difference ${largest}`);
  assert.ok(largest < tolerance, `probabilities differ by ${largest}`);
}

test('an exported network runs in plain onnxruntime, native and WASM, with the probabilities of predict', async (t) => {
  const folder = await temporaryFolder(t);
  const model: Model = { ...buildModel('resnet8', { labels: ['a', 'b', 'c'], seed: 2 }), temperature: 0.8 };
  const paths = [0, 1, 2, 3, 4, 5].map((i) => join(folder, `${i}.png`));
  for (const [i, path] of paths.entries()) writeFileSync(path, await encodePng(noise(i, 40, 36)));
  await compare(t, model, paths);
  await compare(t, model, paths, true);
});

test('a learned rejection is computed in the file, read back from it, and applied', async (t) => {
  const folder = await temporaryFolder(t);
  const built = buildModel('resnet8', { labels: ['a', 'b'], seed: 2 });
  const { featureCount } = built.head!;
  const means = float32(
    [featureCount, 2],
    Array.from({ length: 2 * featureCount }, (_, i) => Number(i === 0 || i === 2 * featureCount - 1)),
  );
  const paths = [0, 1, 2].map((i) => join(folder, `${i}.png`));
  for (const [i, path] of paths.entries()) writeFileSync(path, await encodePng(noise(i, 40, 36)));
  const plain = join(folder, 'plain.onnx');
  writeFileSync(plain, exportModel(built, {}));
  await using without = await loadModel(plain);
  const [other] = await without.predict(paths);
  assert.equal(other!.outlier, undefined);
  for (const fp16 of [false, true]) {
    const file = join(folder, 'model.onnx');
    writeFileSync(file, exportModel({ ...built, rejection: { means, threshold: 0.5 } }, {}, { fp16 }));
    const again = await resolveModel(file);
    assert.deepEqual(again.rejection, { means, threshold: 0.5 });
    assert.equal(again.head!.classes, 2, 'the scores are still what is trained');
    assert.equal((await resolveModel(file, { labels: ['x', 'y', 'z'] })).rejection, undefined, 'of other classes');
    const pixels = stack(
      await Promise.all(
        paths.map(async (path) => inputView(built.preprocessing)(await decode(await readFile(path), path))),
      ),
    );
    const [height, width] = built.preprocessing.size;
    const session = await native.InferenceSession.create(readFileSync(file));
    const outputs = await session.run({ pixels: new native.Tensor('uint8', pixels, [3, height, width, 3]) });
    await session.release();
    const outlier = outputs['outlier']!.data as Float32Array;
    await using classifier = await loadModel(file);
    assert.equal(classifier.outlierThreshold, 0.5);
    const predictions = await classifier.predict(paths);
    predictions.forEach((prediction, i) => {
      assert.ok(Math.abs(prediction.outlier! - outlier[i]!) < 1e-5);
      assert.equal(prediction.none, prediction.outlier! > 0.5);
      if (!fp16) assert.equal(prediction.outlier! >= 0 && prediction.outlier! <= 2, true);
    });
    const kept = await classifier.predict(paths, { rejection: false });
    assert.ok(kept.every(({ none }) => !none));
  }
});

test('a file that Pupil made says itself how images are prepared', async (t) => {
  const file = join(await temporaryFolder(t), 'model.onnx');
  writeFileSync(file, exportModel(buildModel('resnet8', { labels: ['a', 'b'], seed: 2 }), { seed: 1 }));
  const notes: string[] = [];
  await resolveModel(file, { warn: (note) => notes.push(note) });
  assert.deepEqual(notes, []);
  for (const [name, value] of Object.entries({ normalize: 'unit', size: 24 })) {
    await assert.rejects(loadModel(file, { [name]: value }), {
      code: 'usage',
      option: name,
      message: `${file} was made by Pupil and says itself how images are prepared; leave \`${name}\` out`,
    });
  }
});

test('to go on training, a model that Pupil made takes another size, where its network does', async (t) => {
  const folder = await temporaryFolder(t);
  const labels = ['a', 'b'];
  const file = join(folder, 'resnet.onnx');
  const { preprocessing } = buildModel('resnet8', { labels, seed: 2 });
  writeFileSync(file, exportModel(buildModel('resnet8', { labels, seed: 2 }), { seed: 1 }));
  const model = await resolveModel(file, { labels, size: 24 });
  assert.deepEqual(model.preprocessing.size, [24, 24]);
  assert.deepEqual(model.preprocessing.mean, preprocessing.mean);
  assert.deepEqual(model.graph.inputs[0]!.shape, ['N', 3, 24, 24]);
  await assert.rejects(resolveModel(file, { labels, normalize: 'unit' }), { code: 'usage', option: 'normalize' });
  const fixed = join(folder, 'vit.onnx');
  writeFileSync(fixed, exportModel(buildModel('vit_tiny_patch4_32', { labels, seed: 2, inputSize: 32 }), { seed: 1 }));
  await assert.rejects(resolveModel(fixed, { labels, size: 64 }), {
    code: 'bad-model',
    message: /the file is for 32x32 images: leave `size` out/,
  });
});

test('files hold activations written in ops of opset 17', async () => {
  for (const [name, op] of [
    ['efficientnet_b0', 'Sigmoid'],
    ['vit_tiny_patch4_32', 'Erf'],
  ] as const) {
    const model = buildModel(name, { classes: 2, seed: 2, inputSize: 32 });
    const bytes = exportModel(model, {}),
      { graph } = decodeOnnx(bytes, { name });
    const ops = new Set(graph.nodes.map((node) => node.op));
    assert.ok(ops.has(op) && !ops.has('Swish') && !ops.has('Gelu'), [...ops].join());
    const again = importFile(decodeOnnx(bytes, { name }), name).model.graph;
    const whole = (nodes: readonly { readonly op: string }[]): number =>
      nodes.filter((node) => node.op === 'Swish' || node.op === 'Gelu').length;
    assert.equal(whole(again.nodes), whole(model.graph.nodes), 'and read as whole ones again');
    await (await native.InferenceSession.create(bytes)).release();
  }
});

const backbone = join(shared, 'models/mobilenetv2-1.0-224.onnx');
test(
  'the same on 100 photos with MobileNetV2',
  { skip: existsSync(backbone) ? false : 'needs ../shared/models' },
  async (t) => {
    const model = await resolveModel(backbone, { labels: ['ants', 'bees'], normalize: 'symmetric', seed: 3 });
    const folder = join(shared, 'data/hymenoptera/val/ants'),
      other = join(shared, 'data/hymenoptera/val/bees');
    const paths = [folder, other]
      .flatMap((parent) => readdirSync(parent).map((name) => join(parent, name)))
      .slice(0, 100);
    assert.equal(paths.length, 100);
    // A head of some size, so that probabilities are not all alike.
    const head = model.parameters.get(model.head!.weight)!;
    const loud = { ...head, data: (head.data as Float32Array).map((w) => w * 30) };
    await compare(t, { ...model, parameters: new Map(model.parameters).set(model.head!.weight, loud) }, paths);
  },
);
