import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, realpathSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { PupilError } from '../errors.js';
import { hubArchitecture, hubLabels, hubPreprocessing } from './hub-config.js';
import { DEFAULT_MODEL, describeRemote, formatRemote, parseHubSpec, pullModel, type DownloadProgress, type HubOptions } from './hub.js';

/** The hub's URL layout, small: model info, a listing in pages, and files, large ones behind a redirect to a second host. */

const commit = 'c0ffee0000000000000000000000000000000001';
const large = Buffer.alloc(300_000, 'weights ');
const content: Record<string, Buffer> = {
  'README.md': Buffer.from('# a model'),
  'config.json': Buffer.from(JSON.stringify({ architectures: ['ResNetForImageClassification'], id2label: { 0: 'cat', 1: 'dog' } })),
  'preprocessor_config.json': Buffer.from(JSON.stringify({ size: { shortest_edge: 224 }, crop_pct: 0.875, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], resample: 3 })),
  'onnx/model.onnx': large,
  'onnx/model.onnx_data': Buffer.alloc(2000, 'external'),
  'onnx/model_quantized.onnx': Buffer.from('small'),
};
const isLarge = (path: string): boolean => path.includes('.onnx');
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const objectId = (data: Buffer): string => createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');

let hub: Server, cdn: Server, endpoint: string, cdnAddress: string;
let cacheDirectory: string;
let log: string[] = [];
let fault: 'none' | 'cut' | 'damaged' | 'down' = 'none';
const cdnTokens: (string | undefined)[] = [];

function send(request: IncomingMessage, response: ServerResponse, data: Buffer, etag: string): void {
  const headers: Record<string, string> = { ETag: `"${etag}"`, 'Accept-Ranges': 'bytes', 'Content-Type': 'application/octet-stream' };
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = range ? Number(range[1]) : 0;
  const end = range?.[2] ? Math.min(Number(range[2]), data.length - 1) : data.length - 1;
  if (range) headers['Content-Range'] = `bytes ${start}-${end}/${data.length}`;
  const body = data.subarray(start, end + 1);
  headers['Content-Length'] = String(body.length);
  response.writeHead(range ? 206 : 200, headers);
  if (fault === 'cut' && !range && body.length > 1000) {
    response.write(body.subarray(0, body.length / 2), () => response.destroy());
  } else {
    response.end(fault === 'damaged' && !range ? Buffer.from(body).fill('x', 0, 1) : body);
  }
}

function handle(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url!, endpoint);
  log.push(`${request.method} ${url.pathname}`);
  const json = (value: unknown, headers: Record<string, string> = {}, status = 200): void => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value));
  };
  if (fault === 'down') return void json({ error: 'busy' }, {}, 503);
  const [, name = '', rest = ''] = /^\/api\/models\/([^/]+\/[^/]+)\/(.*)$/.exec(url.pathname) ?? [];
  if (name === 'some/secret' && request.headers.authorization !== 'Bearer any-token') return json({ error: 'Unauthorized' }, {}, 401);
  if (name === 'base/model') return json({ _id: '2', id: name, lastModified: '2024-01-01', sha: commit, cardData: { license: 'mit' } });
  if (/^(some\/(model|secret|empty)|base\/child)$/.test(name) && rest.startsWith('revision/')) {
    if (!/\/(main|v1|HEAD)$/.test(rest)) return json({ error: 'Revision Not Found' }, {}, 404);
    return json({
      _id: '1', id: name, lastModified: '2024-01-01', private: false, gated: false, downloads: 1, likes: 1, sha: commit,
      tags: name === 'base/child' ? [] : ['onnx', 'license:apache-2.0'], cardData: name === 'base/child' ? { base_model: 'base/model' } : {},
    });
  }
  if (name !== '' && rest === `tree/${commit}`) {
    const entries = Object.entries(content).filter(([path]) => name !== 'some/empty' || !path.endsWith('.onnx')).map(([path, data]) => ({
      type: 'file', path, size: data.length, oid: objectId(data),
      ...(isLarge(path) ? { oid: objectId(Buffer.from('pointer')), lfs: { oid: sha256(data), size: data.length, pointerSize: 130 } } : {}),
    }));
    const page = Number(url.searchParams.get('cursor') ?? 0);
    const next = page === 0 ? { Link: `<${endpoint}${url.pathname}?recursive=true&cursor=1>; rel="next"` } : undefined;
    return json(page === 0 ? [{ type: 'directory', path: 'onnx', size: 0, oid: commit }, ...entries.slice(0, 3)] : entries.slice(3), next);
  }
  const path = /^\/[^/]+\/[^/]+\/resolve\/[0-9a-f]{40}\/(.*)$/.exec(url.pathname)?.[1] ?? '';
  const data = content[path];
  if (!data) return void json({ error: 'not found' }, { 'X-Error-Code': 'RepoNotFound' }, 404);
  if (!isLarge(path)) return send(request, response, data, objectId(data));
  response.writeHead(302, { Location: `${cdnAddress}/${path}`, 'X-Linked-ETag': `"${sha256(data)}"`, 'X-Linked-Size': String(data.length) }).end();
}

const listen = (server: Server): Promise<string> => new Promise((resolve) => {
  server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
});

before(async () => {
  hub = createServer(handle);
  cdn = createServer((request, response) => {
    cdnTokens.push(request.headers.authorization);
    const data = content[request.url!.slice(1)]!;
    send(request, response, data, sha256(data));
  });
  endpoint = await listen(hub);
  cdnAddress = await listen(cdn);
});
after(() => {
  for (const server of [hub, cdn]) server.close(), server.closeAllConnections();
  rmSync(cacheDirectory, { recursive: true });
});
beforeEach(() => {
  if (cacheDirectory) rmSync(cacheDirectory, { recursive: true });
  cacheDirectory = mkdtempSync(join(tmpdir(), 'pupil-hub-'));
  fault = 'none';
  log = [];
});

const options = (more: HubOptions = {}): HubOptions => ({ endpoint, cacheDirectory, offline: false, ...more });
const refused = (code: PupilError['code'], pattern: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof PupilError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, pattern);
  assert.ok(!error.message.includes('\n'));
  return true;
};
const leftOver = (): string[] => readdirSync(cacheDirectory, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory()).map((entry) => entry.name);

test('pull: the model, its external data and its configuration, announced first, then from the cache', async () => {
  const announced: string[] = [];
  const progress: DownloadProgress[] = [];
  const pulled = await pullModel('hf:some/model', options({ announce: (remote) => announced.push(formatRemote(remote)), progress: (event) => progress.push(event) }));
  assert.deepEqual(announced, ['some/model: onnx/model.onnx, 0.3 MB, licence apache-2.0']);
  assert.deepEqual(readFileSync(pulled.path), large);
  assert.ok(existsSync(`${pulled.path}_data`));
  assert.deepEqual(pulled.labels, ['cat', 'dog']);
  assert.equal(pulled.architecture, 'ResNetForImageClassification');
  assert.deepEqual(pulled.preprocessing, {
    size: [224, 224], resizeShort: 256, interpolation: 'bicubic', crop: 'center', mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5],
  });
  assert.equal(progress.at(-1)!.received, progress.at(-1)!.total);
  assert.ok(!log.some((line) => line.includes('README') || line.includes('quantized')));

  log = [];
  const again = await pullModel('hf:some/model', options({ announce: () => assert.fail('nothing to download') }));
  assert.deepEqual(again, pulled);
  assert.ok(!log.some((line) => line.includes('/resolve/')), 'nothing is downloaded twice');
});

test('the cache serves offline, and only what is intact', async () => {
  const pulled = await pullModel('hf:some/model', options());
  const offline = options({ offline: true });
  assert.deepEqual(await pullModel('hf:some/model', offline), pulled);
  fault = 'down';
  assert.deepEqual(await pullModel('hf:some/model', options()), pulled, 'the hub is down');
  assert.deepEqual(await pullModel('hf:some/model', options({ endpoint: 'http://127.0.0.1:1' })), pulled, 'no connection');
  writeFileSync(realpathSync(pulled.path), Buffer.alloc(large.length, 'rotten'));
  await assert.rejects(pullModel('hf:some/model', offline), refused('network', /not in the cache/));
  fault = 'none';
  await pullModel('hf:some/model', options());
  assert.deepEqual(readFileSync(pulled.path), large, 'a damaged file is fetched again');
  await assert.rejects(pullModel('hf:some/other', offline), refused('network', /HF_HUB_OFFLINE.*--model FILE\.onnx/));
});

test('an interrupted or damaged download leaves nothing behind', async () => {
  fault = 'cut';
  await assert.rejects(pullModel('hf:some/model', options()), refused('network', /hf:some\/model\/onnx\/model\.onnx/));
  assert.ok(!leftOver().some((name) => name.endsWith('.incomplete') || name === 'main' || name === sha256(large)));
  fault = 'damaged';
  await assert.rejects(pullModel('hf:some/model/onnx/model_quantized.onnx', options()), refused('network', /the checksum is [0-9a-f]+, expected/));
  assert.ok(!leftOver().some((name) => name.endsWith('.incomplete') || name === 'main'));
  fault = 'none';
  const controller = new AbortController();
  const stopped = pullModel('hf:some/model', options({ signal: controller.signal, progress: () => controller.abort() }));
  await assert.rejects(stopped, refused('interrupted', /interrupted/));
  assert.ok(!leftOver().some((name) => name.endsWith('.incomplete') || name === 'main'));
});

test('access: the token goes to the endpoint, not to the host files are served from', async () => {
  await assert.rejects(pullModel('hf:some/secret', options({ token: '' })), refused('network', /HTTP 401.*HF_TOKEN/));
  cdnTokens.length = 0;
  await pullModel('hf:some/secret', options({ token: 'any-token' }));
  assert.ok(cdnTokens.length > 0 && cdnTokens.every((token) => token === undefined));
});

test('HF_ENDPOINT, HF_TOKEN and HF_HOME are honoured', async () => {
  const saved = { ...process.env };
  Object.assign(process.env, { HF_ENDPOINT: `${endpoint}/`, HF_TOKEN: 'any-token', HF_HOME: cacheDirectory, HF_HUB_OFFLINE: '0' });
  delete process.env['HF_HUB_CACHE'];
  try {
    const { path } = await pullModel('hf:some/secret@v1');
    assert.ok(path.startsWith(join(cacheDirectory, 'hub', 'models--some--secret', 'snapshots', commit)));
    assert.equal(readFileSync(join(cacheDirectory, 'hub', 'models--some--secret', 'refs', 'v1'), 'utf8'), commit);
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
  assert.equal(remote.commit, commit);
  assert.deepEqual(remote.files.map((file) => file.path), ['config.json', 'preprocessor_config.json', 'onnx/model.onnx', 'onnx/model.onnx_data']);
});

test('wrong names', async () => {
  await assert.rejects(pullModel('hf:no/model', options()), refused('not-found', /no such repository/));
  await assert.rejects(pullModel('hf:some/model@v9', options()), refused('not-found', /no such repository, revision/));
  await assert.rejects(pullModel('hf:some/model/onnx/modl.onnx', options()), refused('not-found', /did you mean "onnx\/model\.onnx"/));
  await assert.rejects(pullModel('hf:some/empty', options()), refused('not-found', /no ONNX file/));
  await assert.rejects(pullModel('hf:some/model', options({ endpoint: 'http://127.0.0.1:1' })), refused('network', /cannot reach .*--model FILE\.onnx/));
  assert.deepEqual(leftOver(), []);
  for (const wrong of ['hf:model', 'hf:a/b/../c', 'hf:', 'hf:../..', 'hf:a/b@../x']) assert.throws(() => parseHubSpec(wrong), refused('usage', /expected hf:owner\/repo/));
  assert.deepEqual(parseHubSpec('hf:a/b@v1/onnx/m.onnx'), { repository: 'a/b', revision: 'v1', file: 'onnx/m.onnx' });
  assert.equal(parseHubSpec(DEFAULT_MODEL).file, undefined);
});

test('preprocessing of the usual processors', () => {
  const short = (preprocessor: object, config: object = {}): unknown => {
    const p = hubPreprocessing(preprocessor, config);
    return p && [...p.size, p.resizeShort, p.interpolation, p.mean[0], p.std[0]];
  };
  const normal = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };
  assert.deepEqual(short({ size: { height: 224, width: 224 }, resample: 2, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] }), [224, 224, 224, 'bilinear', 0.5, 0.5]); // ViT
  assert.deepEqual(short({ size: 224, feature_extractor_type: 'ConvNextFeatureExtractor', crop_pct: 0.875, resample: 3, ...normal }), [224, 224, 256, 'bicubic', 0.485, 0.229]);
  assert.deepEqual(short({ size: { shortest_edge: 384 }, image_processor_type: 'ConvNextImageProcessor', ...normal }), [384, 384, 384, 'bilinear', 0.485, 0.229]);
  assert.deepEqual(short({ size: { shortest_edge: 256 }, crop_size: { height: 224, width: 224 }, do_center_crop: true, ...normal }), [224, 224, 256, 'bilinear', 0.485, 0.229]); // MobileNet
  assert.deepEqual(short({ size: 256, crop_size: 224, resample: 3, do_normalize: false }), [224, 224, 256, 'bicubic', 0, 1]);
  assert.deepEqual(short({ size: 224, rescale_factor: 1 / 127.5, rescale_offset: true, do_normalize: false }), [224, 224, 224, 'bilinear', 0.5, 0.5]); // x/127.5 - 1
  const timm = { pretrained_cfg: { input_size: [3, 256, 256], crop_pct: 0.95, interpolation: 'bicubic', mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } };
  assert.deepEqual(short({}, timm), [256, 256, 269, 'bicubic', 0.485, 0.229]);
  assert.equal(short({}, {}), undefined);
  assert.equal(hubPreprocessing(undefined, undefined), undefined);
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
