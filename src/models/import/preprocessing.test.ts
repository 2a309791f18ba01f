import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { normalizations, type Normalization } from '../../data/preprocessing.js';
import { bindInputs } from '../../graph/passes.js';
import { encodeGraph, type OnnxFile } from '../../onnx/index.js';
import { float32, numbersOf, type Tensor } from '../../tensor.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { assertClose, logitsOf, ramp, sketch, type Sketch } from '../../testing/sketch.js';
import { importFile } from '../import.js';
import { resolveModel, type ResolveOptions } from '../index.js';
import type { Model } from '../model.js';

type Nodes = Parameters<typeof sketch>[0];

const number = (x: number): Tensor => float32([], [x]);
const channels = (...x: number[]): Tensor => float32([1, 3, 1, 1], x);
const ending: Nodes = [
  ['Conv', ['n', 'w'], ['c']],
  ['GlobalAveragePool', ['c'], ['p']],
  ['Flatten', ['p'], ['f']],
  ['Gemm', ['f', 'fc'], ['logits'], { transB: 1 }],
];
const file = (start: Nodes, weights: Record<string, Tensor> = {}, more: Sketch = {}): OnnxFile =>
  sketch([...start, ...ending], {
    output: 'logits',
    weights: { w: ramp(3, 3, 1, 1), fc: ramp(4, 3), ...weights },
    ...more,
  });
const nothing: Nodes = [['Identity', ['x'], ['n']]];
const two = (first: string, second: string): Nodes => [
  [first, ['x', 'a'], ['s']],
  [second, ['s', 'b'], ['n']],
];
const { mean, std } = normalizations.imagenet;

/** Starts of networks, with what is to be put before them; `undefined`: nothing can be said. */
const starts: Record<string, [Nodes, Record<string, Tensor>, Normalization | undefined]> = {
  'nothing': [nothing, {}, undefined],
  'x / 127.5 - 1 (Keras)': [two('Mul', 'Add'), { a: number(1 / 127.5), b: number(-1) }, normalizations.bytes],
  'x / 255 (YOLO)': [[['Div', ['x', 'a'], ['n']]], { a: number(255) }, normalizations.bytes],
  "ImageNet's numbers of bytes": [
    two('Sub', 'Div'),
    { a: channels(...mean.map((m) => m * 255)), b: channels(...std.map((s) => s * 255)) },
    normalizations.bytes,
  ],
  'bytes less their mean (caffe)': [
    [['Sub', ['x', 'a'], ['n']]],
    { a: channels(123.68, 116.78, 103.94) },
    normalizations.bytes,
  ],
  "ImageNet's numbers of 0 to 1": [
    two('Sub', 'Div'),
    { a: channels(...mean), b: channels(...std) },
    normalizations.unit,
  ],
  '2 x - 1': [two('Mul', 'Sub'), { a: number(2), b: number(1) }, normalizations.unit],
  'a change of one normalisation to another (GoogLeNet)': [
    two('Mul', 'Add'),
    { a: number(0.458), b: number(-0.03) },
    undefined,
  ],
};
for (const [name, [nodes, weights, wanted]] of Object.entries(starts)) {
  const outcome = wanted ? 'nothing is normalised twice' : "ImageNet's numbers are assumed, with a note";
  test(`a network that begins with ${name}: ${outcome}`, () => {
    const notes: string[] = [];
    const { model } = importFile(file(nodes, weights), 'm', { warn: (note) => notes.push(note) });
    const { mean, std } = model.preprocessing;
    assert.deepEqual({ mean, std }, wanted ?? normalizations.imagenet);
    const assumed =
      /^m: does not say how images are prepared, so ImageNet's mean and std are used; give others with `normalize`/;
    assert.deepEqual(
      notes.map((note) => assumed.test(note)),
      wanted ? [] : [true],
    );
    const chosen = importFile(file(nodes, weights), 'm', { normalize: 'symmetric' }).model.preprocessing;
    assert.deepEqual(chosen.mean, normalizations.symmetric.mean);
  });
}

test('channels in the order of caffe are turned round inside the network', () => {
  const images = ramp(2, 3, 2, 2);
  const data = numbersOf(images);
  const turned = float32(
    [2, 3, 2, 2],
    [0, 1].flatMap((n) => [2, 1, 0].flatMap((c) => data.slice((n * 3 + c) * 4, (n * 3 + c + 1) * 4))),
  );
  const bgr = importFile(file(nothing), 'm', { channels: 'bgr' }).model;
  const rgb = importFile(file(nothing), 'm').model;
  assertClose(numbersOf(logitsOf(bgr, images)), numbersOf(logitsOf(rgb, turned)), 1e-6);
});

test('what ultralytics writes into a classifier says names, size and that it takes x / 255', () => {
  const notes: string[] = [];
  const said = { task: 'classify', imgsz: '[2, 2]', names: `{0: 'ant', 1: "bee's", 2: 'say \\'c\\'', 3: 'd'}` };
  const onnx = { ...file(nothing), metadata: new Map(Object.entries(said)) };
  const { model } = importFile(onnx, 'm', { warn: (note) => notes.push(note) });
  assert.deepEqual(model.labels, ['ant', "bee's", "say 'c'", 'd']);
  assert.deepEqual(model.preprocessing, {
    size: [2, 2],
    resizeShort: 2,
    interpolation: 'bilinear',
    crop: 'center',
    mean: [0, 0, 0],
    std: [1, 1, 1],
  });
  assert.deepEqual(notes, []);
  const asked = importFile(onnx, 'm', { normalize: 'symmetric' }).model;
  assert.deepEqual(asked.preprocessing.mean, normalizations.symmetric.mean);
});

/** A folder with a foreign model in ONNX. */
async function folderWith(
  t: Parameters<typeof temporaryFolder>[0],
  path: string,
  files: Record<string, string>,
): Promise<string> {
  const folder = await temporaryFolder(t);
  const { model } = importFile(file(nothing), 'm');
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), encodeGraph(bindInputs(model.graph, model.parameters)));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

const processor = JSON.stringify({
  image_processor_type: 'ViTImageProcessor',
  size: { height: 2, width: 2 },
  image_mean: [0.1, 0.2, 0.3],
  image_std: [0.4, 0.5, 0.6],
});
const config = JSON.stringify({ model_type: 'tiny', id2label: { 0: 'a', 1: 'b', 2: 'c', 3: 'd' } });

test('configuration beside a model, or above its folder onnx/, says preprocessing, labels and name', async (t) => {
  for (const path of ['model.onnx', 'onnx/model.onnx']) {
    const folder = await folderWith(t, path, { 'preprocessor_config.json': processor, 'config.json': config });
    for (const spec of [folder, join(folder, path)]) {
      const notes: string[] = [];
      const model = await resolveModel(spec, { warn: (note) => notes.push(note) });
      assert.deepEqual(model.preprocessing.mean, [0.1, 0.2, 0.3]);
      assert.deepEqual(model.labels, ['a', 'b', 'c', 'd']);
      assert.equal(model.architecture, 'tiny');
      assert.deepEqual(notes, []);
    }
  }
});

test('a processor that flips the channels (MobileViT) gives the network blue first', async (t) => {
  const flipped = JSON.stringify({ do_flip_channel_order: true, do_normalize: false, size: { height: 2, width: 2 } });
  const own = await folderWith(t, 'model.onnx', { 'preprocessor_config.json': flipped });
  const by = await folderWith(t, 'model.onnx', { 'preprocessor_config.json': flipped.replace('true', 'false') });
  const images = ramp(1, 3, 2, 2);
  const logits = async (folder: string, channels?: 'bgr'): Promise<number[]> =>
    numbersOf(logitsOf(await resolveModel(folder, { channels }), images));
  assert.deepEqual(await logits(own), await logits(by, 'bgr'));
  assert.notDeepEqual(await logits(own), await logits(by));
});

test('class names beside a model or in a file of their own name its outputs', async (t) => {
  const lines = 'one\ntwo\nthree\nfour\n';
  const forms = { 'labels.txt': lines, 'classes.json': '["one", "two", "three", "four"]' };
  const labels = ['one', 'two', 'three', 'four'];
  for (const [name, text] of Object.entries(forms)) {
    const folder = await folderWith(t, 'some.onnx', { [name]: text });
    assert.deepEqual((await resolveModel(join(folder, 'some.onnx'))).labels, labels);
  }
  const folder = await folderWith(t, 'some.onnx', {
    'names': lines,
    'table.json': JSON.stringify({ 0: 'one', 1: 'two', 2: 'three', 3: 'four' }),
    'short': 'one\ntwo\n',
    'labels.txt': 'of\nsomething\nelse\n',
  });
  const load = (classNames: string | undefined, more: ResolveOptions = {}): Promise<Model> =>
    resolveModel(join(folder, 'some.onnx'), { classNames: classNames && join(folder, classNames), ...more });
  assert.equal((await load(undefined)).labels, undefined);
  assert.deepEqual((await load('names')).labels, labels);
  assert.deepEqual((await load('table.json')).labels, labels);
  await assert.rejects(load('short'), {
    code: 'bad-data',
    option: 'classNames',
    message: /has 4 classes, `classNames` names 2/,
  });
  await assert.rejects(load('missing'), { code: 'not-found', option: 'classNames' });
});
