import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { hubCommit, sha256, startHub, type HubServer } from '../testing/hub-server.js';
import { refused } from '../testing/kit.js';
import { hubArchitecture, hubLabels, hubPreprocessing, hubOtherTask } from './hub-config.js';
import { defaultModel } from './default-model.js';
import {
  describeRemote,
  formatRemote,
  parseHubSpec,
  pullModel,
  type DownloadProgress,
  type HubOptions,
} from './hub.js';

const large = Buffer.alloc(300_000, 'weights ');
const files: Record<string, Buffer> = {
  'README.md': Buffer.from('# a model'),
  'config.json': Buffer.from(
    JSON.stringify({ architectures: ['ResNetForImageClassification'], id2label: { 0: 'cat', 1: 'dog' } }),
  ),
  'preprocessor_config.json': Buffer.from(
    JSON.stringify({
      size: { shortest_edge: 224 },
      crop_pct: 0.875,
      image_mean: [0.5, 0.5, 0.5],
      image_std: [0.5, 0.5, 0.5],
      resample: 3,
    }),
  ),
  'onnx/model.onnx': large,
  'onnx/model.onnx_data': Buffer.alloc(2000, 'external'),
  'onnx/model_quantized.onnx': Buffer.from('small'),
};

let hub: HubServer;
let cacheDirectory: string;

before(async () => {
  hub = await startHub({
    'some/model': { files, tags: ['onnx', 'license:apache-2.0'] },
    'some/secret': { files, token: 'any-token' },
    'some/empty': { files: { 'README.md': files['README.md']! } },
    'base/child': { files, cardData: { base_model: 'base/model' } },
    'base/model': { files: {}, cardData: { license: 'mit' } },
  });
});
after(() => {
  hub.close();
  rmSync(cacheDirectory, { recursive: true });
});
beforeEach(() => {
  if (cacheDirectory) rmSync(cacheDirectory, { recursive: true });
  cacheDirectory = mkdtempSync(join(tmpdir(), 'pupil-hub-'));
  hub.fault = 'none';
  hub.log.length = 0;
});

const options = (more: HubOptions = {}): HubOptions => ({
  endpoint: hub.endpoint,
  cacheDirectory,
  offline: false,
  ...more,
});
const leftOver = (): string[] =>
  readdirSync(cacheDirectory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => entry.name);

test('pull: the model, its external data and its configuration, announced first, then from the cache', async () => {
  const announced: string[] = [];
  const progress: DownloadProgress[] = [];
  const pulled = await pullModel(
    'hf:some/model',
    options({ announce: (remote) => announced.push(formatRemote(remote)), progress: (event) => progress.push(event) }),
  );
  assert.deepEqual(announced, ['some/model: onnx/model.onnx, 0.3 MB, licence apache-2.0']);
  assert.deepEqual(readFileSync(pulled.path), large);
  assert.ok(existsSync(`${pulled.path}_data`));
  assert.deepEqual(pulled.labels, ['cat', 'dog']);
  assert.equal(pulled.architecture, 'ResNetForImageClassification');
  assert.deepEqual(pulled.preprocessing, {
    size: [224, 224],
    resizeShort: 256,
    interpolation: 'bicubic',
    crop: 'center',
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
  });
  assert.equal(progress.at(-1)!.received, progress.at(-1)!.total);
  assert.ok(!hub.log.some((line) => line.includes('README') || line.includes('quantized')));

  hub.log.length = 0;
  const again = await pullModel('hf:some/model', options({ announce: () => assert.fail('nothing to download') }));
  assert.deepEqual(again, pulled);
  assert.ok(!hub.log.some((line) => line.includes('/resolve/')), 'nothing is downloaded twice');
});

test('the cache serves offline, and only what is intact', async () => {
  const pulled = await pullModel('hf:some/model', options());
  const offline = options({ offline: true });
  assert.deepEqual(await pullModel('hf:some/model', offline), pulled);
  hub.fault = 'down';
  assert.deepEqual(await pullModel('hf:some/model', options()), pulled, 'the hub is down');
  assert.deepEqual(
    await pullModel('hf:some/model', options({ endpoint: 'http://127.0.0.1:1' })),
    pulled,
    'no connection',
  );
  writeFileSync(realpathSync(pulled.path), Buffer.alloc(large.length, 'rotten'));
  await assert.rejects(pullModel('hf:some/model', offline), refused('not-found', /not in the cache/));
  hub.fault = 'none';
  await pullModel('hf:some/model', options());
  assert.deepEqual(readFileSync(pulled.path), large, 'a damaged file is fetched again');
  await assert.rejects(
    pullModel('hf:some/other', offline),
    refused('not-found', /HF_HUB_OFFLINE.*path of an ONNX file/),
  );
});

test('an interrupted or damaged download leaves nothing behind', async () => {
  hub.fault = 'cut';
  await assert.rejects(pullModel('hf:some/model', options()), refused('network', /hf:some\/model\/onnx\/model\.onnx/));
  assert.ok(!leftOver().some((name) => name.startsWith('.pupil-') || name === 'main' || name === sha256(large)));
  hub.fault = 'damaged';
  await assert.rejects(
    pullModel('hf:some/model/onnx/model_quantized.onnx', options()),
    refused('network', /the checksum is [0-9a-f]+, expected/),
  );
  assert.ok(!leftOver().some((name) => name.startsWith('.pupil-') || name === 'main'));
  hub.fault = 'none';
  const controller = new AbortController();
  const stopped = pullModel(
    'hf:some/model',
    options({ signal: controller.signal, progress: () => controller.abort() }),
  );
  await assert.rejects(stopped, refused('interrupted', /interrupted/));
  assert.ok(!leftOver().some((name) => name.startsWith('.pupil-') || name === 'main'));
});

test('access: the token goes to the endpoint, not to the host files are served from', async () => {
  await assert.rejects(pullModel('hf:some/secret', options({ token: '' })), refused('bad-path', /HTTP 401.*HF_TOKEN/));
  hub.fileTokens.length = 0;
  await pullModel('hf:some/secret', options({ token: 'any-token' }));
  assert.ok(hub.fileTokens.length > 0 && hub.fileTokens.every((token) => token === undefined));
});

test('HF_ENDPOINT, HF_TOKEN and HF_HOME are honoured', async () => {
  const saved = { ...process.env };
  Object.assign(process.env, {
    HF_ENDPOINT: `${hub.endpoint}/`,
    HF_TOKEN: 'any-token',
    HF_HOME: cacheDirectory,
    HF_HUB_OFFLINE: '0',
  });
  delete process.env['HF_HUB_CACHE'];
  try {
    const { path } = await pullModel('hf:some/secret@v1');
    assert.ok(path.startsWith(join(cacheDirectory, 'hub', 'models--some--secret', 'snapshots', hubCommit)));
    assert.equal(readFileSync(join(cacheDirectory, 'hub', 'models--some--secret', 'refs', 'v1'), 'utf8'), hubCommit);
  } finally {
    for (const name of ['HF_ENDPOINT', 'HF_TOKEN', 'HF_HOME', 'HF_HUB_OFFLINE', 'HF_HUB_CACHE']) {
      if (saved[name] === undefined) delete process.env[name];
      else process.env[name] = saved[name];
    }
  }
});

test('describe: the licence of the model it was made from, when it states none', async () => {
  const remote = await describeRemote('hf:base/child', options());
  assert.equal(remote.license, 'mit');
  assert.equal(remote.commit, hubCommit);
  assert.deepEqual(
    remote.files.map((file) => file.path),
    ['config.json', 'preprocessor_config.json', 'onnx/model.onnx', 'onnx/model.onnx_data'],
  );
});

test('wrong names', async () => {
  await assert.rejects(pullModel('hf:no/model', options()), refused('not-found', /no such repository/));
  await assert.rejects(pullModel('hf:some/model@v9', options()), refused('not-found', /no such repository, revision/));
  await assert.rejects(
    pullModel('hf:some/model/onnx/modl.onnx', options()),
    refused('not-found', /did you mean "onnx\/model\.onnx"/),
  );
  await assert.rejects(pullModel('hf:some/empty', options()), refused('not-found', /no ONNX file/));
  await assert.rejects(
    pullModel('hf:some/model', options({ endpoint: 'http://127.0.0.1:1' })),
    refused('network', /cannot reach .*give its path instead/),
  );
  assert.deepEqual(leftOver(), []);
  for (const wrong of ['hf:model', 'hf:a/b/../c', 'hf:', 'hf:../..', 'hf:a/b@../x'])
    assert.throws(() => parseHubSpec(wrong), refused('usage', /expected hf:owner\/repo/));
  assert.deepEqual(parseHubSpec('hf:a/b@v1/onnx/m.onnx'), { repository: 'a/b', revision: 'v1', file: 'onnx/m.onnx' });
  assert.equal(parseHubSpec(defaultModel).file, undefined);
});

test('preprocessing of the usual processors', () => {
  const short = (preprocessor: object, config: object = {}): unknown => {
    const p = hubPreprocessing(preprocessor, config);
    return p && [...p.size, p.resizeShort, p.interpolation, p.mean[0], p.std[0]];
  };
  const normal = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };
  assert.deepEqual(
    short({ size: { height: 224, width: 224 }, resample: 2, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] }),
    [224, 224, 224, 'bilinear', 0.5, 0.5],
  ); // ViT
  assert.deepEqual(
    short({ size: 224, feature_extractor_type: 'ConvNextFeatureExtractor', crop_pct: 0.875, resample: 3, ...normal }),
    [224, 224, 256, 'bicubic', 0.485, 0.229],
  );
  assert.deepEqual(short({ size: { shortest_edge: 384 }, image_processor_type: 'ConvNextImageProcessor', ...normal }), [
    384,
    384,
    384,
    'bilinear',
    0.485,
    0.229,
  ]);
  assert.deepEqual(
    short({ size: { shortest_edge: 256 }, crop_size: { height: 224, width: 224 }, do_center_crop: true, ...normal }),
    [224, 224, 256, 'bilinear', 0.485, 0.229],
  ); // MobileNet
  assert.deepEqual(short({ size: 256, crop_size: 224, resample: 3, do_normalize: false }), [
    224,
    224,
    256,
    'bicubic',
    0,
    1,
  ]);
  assert.deepEqual(short({ size: 224, rescale_factor: 1 / 127.5, rescale_offset: true, do_normalize: false }), [
    224,
    224,
    224,
    'bilinear',
    0.5,
    0.5,
  ]); // x/127.5 - 1
  const timm = {
    pretrained_cfg: {
      input_size: [3, 256, 256],
      crop_pct: 0.95,
      interpolation: 'bicubic',
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    },
  };
  assert.deepEqual(short({}, timm), [256, 256, 269, 'bicubic', 0.485, 0.229]);
  assert.equal(short({}, {}), undefined);
  for (const size of [1e9, 0.5, 224.5]) assert.equal(short({ size, ...normal }), undefined);
  assert.equal(hubPreprocessing(undefined, undefined), undefined);
});

test('networks of other tasks are known by the class in config.json', () => {
  const of = (name: string): string | undefined => hubOtherTask({ architectures: [name] });
  for (const name of ['YolosForObjectDetection', 'SegformerForSemanticSegmentation', 'DPTForDepthEstimation'])
    assert.equal(of(name), name);
  for (const name of ['ViTForImageClassification', 'Dinov2Model', 'CLIPVisionModelWithProjection'])
    assert.equal(of(name), undefined);
  assert.equal(hubOtherTask({}), undefined);
});

test('labels and architecture of config.json', () => {
  assert.deepEqual(hubLabels({ label_names: ['a', 'b'] }), ['a', 'b']);
  assert.deepEqual(hubLabels({ id2label: { 1: 'b', 0: 'a' } }), ['a', 'b']);
  assert.equal(hubLabels({ id2label: { 0: 'LABEL_0', 1: 'LABEL_1' } }), undefined);
  assert.equal(hubLabels({ id2label: { 0: 'a', 2: 'b' } }), undefined);
  assert.equal(hubLabels([]), undefined);
  assert.equal(hubArchitecture({ architecture: 'resnet18', model_type: 'timm_wrapper' }), 'resnet18');
  assert.equal(hubArchitecture({ model_type: 'vit' }), 'vit');
});
