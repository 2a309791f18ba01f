import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { evaluateGraph } from '../graph/evaluate.js';
import { Random } from '../random.js';
import { decodeSafetensors, encodeSafetensors } from '../safetensors.js';
import { float32, type Tensor } from '../tensor.js';
import { startHub, type HubServer } from '../testing/hub-server.js';
import { refused } from '../testing/kit.js';
import { pullModel } from './hub.js';
import { buildModel, resolveModel, type ResolveOptions } from './index.js';
import { formatInspection, inspectModel } from './inspect.js';
import type { Model } from './model.js';

const fixtures = new URL('../../fixtures/models/', import.meta.url);
const file = gunzipSync(readFileSync(new URL('mobilenetv2_035.safetensors.gz', fixtures)));
const { size, config, logits } = JSON.parse(readFileSync(new URL('weights.json', fixtures), 'utf8')) as {
  size: number;
  config: Record<string, unknown> & { pretrained_cfg: Record<string, unknown> };
  logits: number[][];
};

let folder: string;
let hub: HubServer;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pupil-weights-'));
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  hub = await startHub({
    'timm/mobilenetv2_035.none': {
      files: { 'config.json': json(config), 'model.safetensors': file },
      tags: ['license:apache-2.0'],
    },
    'timm/resnet18d.none': {
      files: { 'config.json': json({ ...config, architecture: 'resnet18d' }), 'model.safetensors': file },
    },
    'timm/no-config': { files: { 'model.safetensors': file } },
    'own/resnet': { files: { 'weights/mobilenetv2_035.v1.safetensors': file } },
  });
});
after(() => {
  hub.close();
  rmSync(folder, { recursive: true });
});

/** A folder with files, and the path of the first. */
function written(name: string, files: Readonly<Record<string, Uint8Array | string>>): string {
  mkdirSync(join(folder, name));
  for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, name, path), content);
  return join(folder, name, Object.keys(files)[0]!);
}

function images(): Tensor {
  const random = new Random(7, 'fixture', 'input');
  return float32(
    [2, 3, size, size],
    Float32Array.from({ length: 6 * size * size }, () => 2 * (2 * random.uniform() - 1)),
  );
}

function assertSameLogits(model: Model): void {
  const outputs = evaluateGraph(model.graph, { input: images(), ...Object.fromEntries(model.parameters) });
  const worst = Math.max(...logits.flat().map((value, i) => Math.abs(value - Number(outputs['logits']!.data[i]))));
  assert.ok(worst < 1e-4, `largest difference ${worst}`);
}

const changed = (change: (tensors: Map<string, Tensor>) => void): Uint8Array => {
  const { tensors } = decodeSafetensors(file);
  change(tensors);
  return encodeSafetensors(tensors);
};

test('weights beside their config.json have logits and preprocessing of timm, other classes a new head', async () => {
  const path = written('whole', {
    'weights.safetensors': file,
    'config.json': JSON.stringify({ ...config, label_names: ['a', 'b', 'c', 'd', 'e'] }),
  });
  const model = await resolveModel(path, { purpose: 'pretrained', warn: assert.fail });
  assert.equal(model.architecture, 'mobilenetv2_035');
  assert.equal(model.pretrained, true);
  assert.deepEqual(model.labels, ['a', 'b', 'c', 'd', 'e']);
  assert.equal(model.head?.weight, 'classifier.weight');
  assert.ok([...model.parameters.values()].every(({ dtype }) => dtype === 'float32'));
  assert.deepEqual(model.preprocessing, {
    size: [224, 224],
    resizeShort: 256,
    interpolation: 'bicubic',
    crop: 'center',
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
  });
  const asked = await resolveModel(path, { size, normalize: 'symmetric' });
  assert.deepEqual(asked.preprocessing.size, [size, size]);
  assert.equal(asked.preprocessing.resizeShort, size);
  assert.deepEqual(asked.preprocessing.mean, [0.5, 0.5, 0.5]);
  assertSameLogits(asked);

  const inspection = await inspectModel(path);
  assert.equal(inspection.parameters, 402_533);
  assert.match(
    formatInspection(inspection),
    /made by +timm: mobilenetv2_035, opset 17\n.*\noutput +logits: float32 \[N, 5\]/,
  );

  const other = await resolveModel(path, { labels: ['x', 'y'] });
  assert.deepEqual(other.graph.values.get('logits')!.shape, ['N', 2]);
  assert.deepEqual(other.parameters.get('conv_head.weight')!.data, model.parameters.get('conv_head.weight')!.data);
  assert.deepEqual(other.head, { ...model.head, classes: 2 });
  assert.deepEqual(
    (await resolveModel(path, { labels: model.labels })).parameters.get('classifier.weight'),
    model.parameters.get('classifier.weight'),
  );
  await assert.rejects(resolveModel(path, { purpose: 'scratch' }), refused('usage', /fresh weights/));
});

test('the architecture by the name of the file, or by a folder of the usual names', async () => {
  const notes: string[] = [];
  const named = written('named', {
    'mobilenetv2_035.v1.safetensors': file,
    'config.json': JSON.stringify({ architecture: 'resnet50' }),
  });
  assertSameLogits(await resolveModel(named, { size, warn: (note) => notes.push(note) }));
  assert.match(notes.join(), /no config\.json says how images are prepared.*`normalize`/);
  written('cloned', { 'model.safetensors': file, 'config.json': JSON.stringify(config) });
  assert.equal((await resolveModel(join(folder, 'cloned'))).architecture, 'mobilenetv2_035');

  await assert.rejects(
    resolveModel(written('nameless', { 'backbone.safetensors': file })),
    refused('not-found', /of which architecture\? .*config\.json/),
  );
  await assert.rejects(
    resolveModel(written('other', { 'resnet18d.safetensors': file })),
    refused('not-found', /of which architecture/),
  );
  await assert.rejects(
    resolveModel(written('foreign', { 'model.safetensors': file, 'config.json': '{"architecture": "resnet18d"}' })),
    refused('unsupported', /"resnet18d" is not built in; export it to ONNX/),
  );
  await assert.rejects(
    resolveModel(written('rotten', { 'model.safetensors': file, 'config.json': '{' })),
    refused('bad-model', /not JSON/),
  );
  await assert.rejects(resolveModel(join(folder, 'nothing.safetensors')), refused('not-found', /no such file/));
});

test('what does not fit is named', async () => {
  const rejected = async (
    name: string,
    content: Uint8Array,
    pattern: RegExp,
    options: ResolveOptions = {},
  ): Promise<void> =>
    assert.rejects(
      resolveModel(written(name, { 'mobilenetv2_035.safetensors': content }), { normalize: 'imagenet', ...options }),
      refused('bad-model', pattern),
    );
  await rejected(
    'missing',
    changed((tensors) => tensors.delete('blocks.1.0.bn2.bias')),
    /mobilenetv2_035: missing: blocks\.1\.0\.bn2\.bias; give/,
  );
  await rejected(
    'extra',
    changed((tensors) => tensors.set('fc.weight', float32([1], [0]))),
    /not of this architecture: fc\.weight;/,
  );
  await rejected(
    'misshaped',
    changed((tensors) => tensors.set('bn1.bias', float32([3], [0, 0, 0]))),
    /bn1\.bias is \[3\], expected \[16\]/,
  );
  await rejected(
    'integers',
    changed((tensors) => tensors.set('bn1.bias', { dtype: 'int32', dims: [16], data: new Int32Array(16) })),
    /bn1\.bias is int32/,
  );
  await rejected(
    'many',
    changed((tensors) => [...tensors.keys()].forEach((name) => name.startsWith('blocks.2') && tensors.delete(name))),
    /missing: (\S+, ){3}\S+ and \d+ more;/,
  );
  assert.throws(() => decodeSafetensors(file.subarray(0, 1000)), refused('bad-data', /not a whole safetensors file/));
});

test('features without a classifier get one for the labels', async () => {
  const path = written('headless', {
    'mobilenetv2_035.safetensors': changed((tensors) =>
      ['weight', 'bias'].forEach((part) => tensors.delete(`classifier.${part}`)),
    ),
    'config.json': JSON.stringify(config),
  });
  const model = await resolveModel(path, { labels: ['x', 'y', 'z'] });
  assert.deepEqual(model.labels, ['x', 'y', 'z']);
  assert.deepEqual(model.parameters.get('classifier.weight')!.dims, [3, 1280]);
  await assert.rejects(resolveModel(path), refused('bad-model', /holds features only/));
});

test('embeddings of positions are for one size', async () => {
  const { parameters } = buildModel('vit_tiny_patch4_32', { classes: 2, seed: 1, inputSize: 16 });
  const path = written('transformer', { 'vit_tiny_patch4_32.safetensors': encodeSafetensors(parameters) });
  await assert.rejects(
    resolveModel(path, { normalize: 'symmetric' }),
    refused('bad-model', /pos_embed is \[1, 17, 192\], expected \[1, 65, 192\]; give the `size` it was trained at/),
  );
  assert.deepEqual(
    (await resolveModel(path, { normalize: 'symmetric', size: 16 })).parameters.get('pos_embed'),
    parameters.get('pos_embed'),
  );
});

test('a repository of timm on the hub', async () => {
  const options = { endpoint: hub.endpoint, cacheDirectory: folder, offline: false };
  const model = await resolveModel('hf:timm/mobilenetv2_035.none', { hub: options, size });
  assertSameLogits(model);
  assert.equal(model.preprocessing.interpolation, 'bicubic');
  hub.log.length = 0;
  const again = await resolveModel('hf:timm/mobilenetv2_035.none', {
    hub: { ...options, offline: true },
    labels: ['x', 'y'],
  });
  assert.equal(again.head?.classes, 2);
  assert.equal(hub.log.length, 0);
  assert.match((await pullModel('hf:timm/mobilenetv2_035.none', options)).path, /model\.safetensors$/);

  hub.log.length = 0;
  await assert.rejects(
    pullModel('hf:timm/resnet18d.none', options),
    refused(
      'unsupported',
      /hf:timm\/resnet18d\.none\/model\.safetensors: its architecture "resnet18d" is not built in/,
    ),
  );
  assert.ok(
    !hub.log.some((line) => line.includes('/resolve/') && line.includes('model.safetensors')),
    'weights that cannot be used are not fetched',
  );
  await assert.rejects(
    pullModel('hf:timm/no-config', options),
    refused('not-found', /no ONNX file \(nor timm's model\.safetensors with a config\.json\)/),
  );
  const named = await resolveModel('hf:own/resnet/weights/mobilenetv2_035.v1.safetensors', {
    hub: options,
    size,
    normalize: 'imagenet',
  });
  assertSameLogits(named);
});
