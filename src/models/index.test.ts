import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startHub, type HubServer } from '../testing/hub-server.js';
import { refused } from '../testing/kit.js';
import { resolveModel } from './index.js';

const file = fileURLToPath(new URL('../../fixtures/onnx/torchscript-17.onnx', import.meta.url));
let folder: string;
let hub: HubServer;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pupil-models-'));
  mkdirSync(join(folder, 'run'));
  copyFileSync(file, join(folder, 'run', 'model.onnx'));
  mkdirSync(join(folder, 'empty'));
  const config = { model_type: 'small', id2label: { 0: 'a', 1: 'b', 2: 'c', 3: 'd', 4: 'e' } };
  const processor = { size: 32, image_mean: [0.5, 0.5, 0.5], image_std: [0.25, 0.25, 0.25], resample: 3 };
  hub = await startHub({
    'own/er': {
      files: {
        'config.json': Buffer.from(JSON.stringify(config)),
        'preprocessor_config.json': Buffer.from(JSON.stringify(processor)),
        'model.onnx': readFileSync(file),
      },
    },
  });
});
after(() => {
  hub.close();
  rmSync(folder, { recursive: true });
});

test('a built-in name is a fresh network', async () => {
  const model = await resolveModel('resnet8', {
    labels: ['a', 'b'],
    seed: 1,
    size: 28,
    normalize: 'unit',
    purpose: 'scratch',
  });
  assert.equal(model.pretrained, false);
  assert.deepEqual(model.preprocessing.size, [28, 28]);
  assert.deepEqual(model.preprocessing.std, [1, 1, 1]);
  await assert.rejects(
    resolveModel('resnet8', { classes: 2, purpose: 'pretrained' }),
    refused('usage', /no trained weights/),
  );
});

test('a file and a run folder, with their classifier or a new one', async () => {
  const model = await resolveModel(file);
  assert.equal(model.pretrained, true);
  assert.equal(model.head?.classes, 5);
  const run = await resolveModel(join(folder, 'run'), { labels: ['x', 'y'], purpose: 'pretrained' });
  assert.deepEqual(run.graph.values.get('logits')!.shape.at(-1), 2);
  assert.deepEqual(run.labels, ['x', 'y']);
  await assert.rejects(
    resolveModel(file, { labels: ['x', 'y'], purpose: 'scratch' }),
    refused('usage', /fresh weights/),
  );
  await assert.rejects(resolveModel(join(folder, 'empty')), refused('not-found', /no model\.onnx/));
  await assert.rejects(resolveModel(join(folder, 'nothing.onnx')), refused('not-found', /no such file/));
  await assert.rejects(resolveModel('resnet19'), refused('not-found', /did you mean "resnet/));
  await assert.rejects(resolveModel(file, { labels: ['x'], head: 'nowhere' }), refused('not-found', /nowhere/));
});

test('a model of the hub, with its labels and preprocessing', async () => {
  const options = { endpoint: hub.endpoint, cacheDirectory: folder, offline: false };
  const model = await resolveModel('hf:own/er', { hub: options });
  assert.deepEqual(model.labels, ['a', 'b', 'c', 'd', 'e']);
  assert.deepEqual(model.preprocessing, {
    size: [32, 32],
    resizeShort: 32,
    interpolation: 'bicubic',
    crop: 'center',
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
  });
  assert.equal(model.architecture, 'small');
  const same = await resolveModel('hf:own/er', { hub: options, labels: ['a', 'b', 'c', 'd', 'e'] });
  assert.deepEqual(same.head, model.head, 'the same classes keep the classifier');
  const asked = await resolveModel('hf:own/er', { hub: options, normalize: 'symmetric' });
  assert.deepEqual(asked.preprocessing.std, [0.5, 0.5, 0.5]);
});
