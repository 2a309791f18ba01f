import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { writeFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { draftOf } from '../drafts.js';
import { PupilError } from '../errors.js';
import { Random } from '../random.js';
import { hubCommit, sha256 } from '../testing/hub-server.js';
import { refused } from '../testing/kit.js';
import { spoilt } from '../testing/spoilt.js';
import { formatRemote, pullModel, type HubOptions, type PulledModel } from './hub.js';

/** What a hub answers; each test spoils some of it. */
interface Answers {
  info: unknown;
  tree: unknown;
  headers: Record<string, string>;
  /** Contents by path. */
  files: Record<string, Buffer>;
  /** Sends a file, or a JSON answer, in a way of its own. */
  send: ((response: ServerResponse, body: Buffer, kind: 'info' | 'tree' | 'file') => void) | undefined;
}

const model = Buffer.alloc(5000, 'weights ');
const config = Buffer.from('{"id2label":{"0":"cat","1":"dog"}}');
const entry = (path: string, body: Buffer): Record<string, unknown> => ({
  type: 'file',
  path,
  size: 130,
  oid: 'a'.repeat(40),
  lfs: { oid: sha256(body), size: body.length },
});
const honest = (): Answers => ({
  info: { sha: hubCommit, tags: ['license:mit'], cardData: { license: 'mit' } },
  tree: [entry('model.onnx', model), entry('config.json', config)],
  headers: {},
  files: { 'model.onnx': model, 'config.json': config },
  send: undefined,
});

let answers = honest();
let server: Server;
let endpoint: string;
/** Everything below it but `cache` is out of bounds. */
let root: string;
let requests = 0;

before(async () => {
  server = createServer((request, response) => {
    requests++;
    const path = decodeURIComponent(new URL(request.url!, 'http://hub').pathname);
    const kind = path.includes('/resolve/') ? 'file' : path.includes('/tree/') ? 'tree' : 'info';
    const body =
      kind === 'file'
        ? (answers.files[path.split('/').slice(5).join('/')] ?? model)
        : Buffer.from(JSON.stringify(kind === 'tree' ? answers.tree : answers.info) ?? '');
    if (answers.send !== undefined) return answers.send(response, body, kind);
    response.writeHead(200, answers.headers).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.close();
  server.closeAllConnections();
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  answers = honest();
  requests = 0;
  if (root) rmSync(root, { recursive: true, force: true });
  root = mkdtempSync(join(tmpdir(), 'pupil-hostile-hub-'));
  mkdirSync(join(root, 'a', 'cache'), { recursive: true });
  writeFileSync(join(root, 'victim'), 'mine');
});

const cache = (): string => join(root, 'a', 'cache');
const limits = { idle: 20, total: 60, slowest: 1e6, json: 50_000, files: 300, file: 1e6 };
/** For hubs that would not end. */
const impatient = { ...limits, idle: 0.3, total: 0.9 };
const pull = (more: HubOptions = {}): Promise<PulledModel> =>
  pullModel('hf:some/model', { endpoint, cacheDirectory: cache(), offline: false, limits, ...more });

/** Nothing outside the cache was made, changed or linked to, and no draft is left in it. */
function assertContained(): void {
  assert.deepEqual(readdirSync(root).sort(), ['a', 'victim']);
  assert.deepEqual(readdirSync(join(root, 'a')), ['cache']);
  assert.equal(readFileSync(join(root, 'victim'), 'utf8'), 'mine');
  for (const name of readdirSync(cache(), { recursive: true }).map(String)) {
    assert.doesNotMatch(name, /incomplete|\.pupil-/);
    assert.ok(realpathSync(join(cache(), name)).startsWith(realpathSync(cache()) + sep), name);
  }
}

const endless = (response: ServerResponse, chunk: Buffer): void => {
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.writeHead(200).on('drain', more);
  more();
};

const oneFile = (change: Record<string, unknown>): unknown => [{ ...entry('model.onnx', model), ...change }];
const hostile: readonly [name: string, spoil: (answers: Answers) => void, message: RegExp, slow?: 'slow'][] = [
  ['a path as the commit', (a) => (a.info = { sha: '../../../../victim' }), /names no commit of 40 hexadecimal digits/],
  ['an absolute path as the commit', (a) => (a.info = { sha: join(root, 'new') }), /names no commit/],
  ['no commit', (a) => (a.info = { sha: null }), /names no commit/],
  ['no object', (a) => (a.info = []), /names no commit/],
  ['a path that climbs', (a) => (a.tree = oneFile({ path: '../../../x/model.onnx' })), /no ONNX file/],
  ['a path of another system', (a) => (a.tree = oneFile({ path: '..\\..\\model.onnx' })), /no ONNX file/],
  ['control characters in a path', (a) => (a.tree = oneFile({ path: 'a\u001b[2J/model.onnx' })), /no ONNX file/],
  ['a path as the hash', (a) => (a.tree = oneFile({ lfs: { oid: '../../x', size: 5000 } })), /no ONNX file/],
  ['a negative size', (a) => (a.tree = oneFile({ lfs: { oid: sha256(model), size: -1 } })), /no ONNX file/],
  ['an endless size', (a) => (a.tree = oneFile({ lfs: { oid: sha256(model), size: 1e300 } })), /no ONNX file/],
  ['another hash', (a) => (a.tree = oneFile({ lfs: { oid: 'b'.repeat(64), size: 5000 } })), /the checksum is/],
  ['a longer file', (a) => (a.files['model.onnx'] = Buffer.alloc(9000)), /sends more than the 5000 bytes expected/],
  ['a shorter file', (a) => (a.files['model.onnx'] = Buffer.alloc(9)), /9 bytes arrived, expected 5000/],
  ['a list that is none', (a) => (a.tree = { a: 1 }), /its list of files is not one/],
  [
    'a list that never ends',
    (a) => (a.headers = { link: `<${endpoint}/api/models/some/model/tree/x?cursor=1>; rel="next"` }),
    /does not end/,
  ],
  [
    'a list that is too long',
    (a) => (a.tree = Array.from({ length: 50_000 }, () => ({}))),
    /more than the 50000 bytes/,
  ],
  ['a web page', (a) => (a.send = (r) => r.end('<html>')), /its answer is not JSON/],
  ['deep JSON', (a) => (a.send = (r) => r.end('['.repeat(40_000))), /its answer is not JSON/],
  ['endless JSON', (a) => (a.send = (r) => endless(r, Buffer.alloc(1 << 16, '['))), /more than the 50000 bytes/],
  [
    'an endless file',
    (a) => (a.send = (r, body, kind) => (kind === 'file' ? endless(r, Buffer.alloc(1 << 16)) : r.end(body))),
    /more than the \d+ bytes expected/,
  ],
  ['silence', (a) => (a.send = () => undefined), /sent nothing for 0\.3 s/, 'slow'],
  [
    'silence in the middle of a file',
    (a) => (a.send = (r, body, kind) => (kind === 'file' ? r.write(body.subarray(0, 10)) : r.end(body))),
    /sent nothing for 0\.3 s/,
    'slow',
  ],
  [
    'a byte now and then',
    (a) =>
      (a.send = (r) => {
        const timer = setInterval(() => r.write(' '), 50);
        r.on('close', () => clearInterval(timer));
      }),
    /too slow: not done after 1 s/,
    'slow',
  ],
  [
    'a refusal with a page',
    (a) => (a.send = (r) => r.writeHead(429).end('\u001b[31mno\n')),
    /HTTP 429; try again later/,
  ],
];

for (const [name, spoil, message, slow] of hostile)
  test(`a hub that sends ${name} is refused in one line, and nothing outside the cache is touched`, async () => {
    spoil(answers);
    await assert.rejects(pull({ limits: slow ? impatient : limits }), (error: unknown) => {
      assert.ok(error instanceof PupilError, String((error as Error).stack));
      assert.match(error.message, message);
      assert.match(error.message, /^hf:some\/model/);
      assert.doesNotMatch(error.message, /[\u0000-\u001f]/);
      return true;
    });
    assert.ok(requests < 20, `${requests} requests`);
    assertContained();
  });

test('a licence with control characters counts as none', async () => {
  answers.info = { sha: hubCommit, tags: ['license:\u001b[2Jmit'], cardData: {} };
  const said: string[] = [];
  await pull({ announce: (remote) => said.push(formatRemote(remote)) });
  assert.deepEqual(said, ['some/model: model.onnx, 0.0 MB, no licence stated']);
});

test('a cache whose links lead out of it is not followed, and not written through', async () => {
  const repository = join(cache(), 'models--some--model');
  await pull();
  const { path } = await pull({ offline: true });
  rmSync(path);
  writeFileSync(join(root, 'victim'), 'mine');
  symlinkSync(join(root, 'victim'), path);
  await assert.rejects(pull({ offline: true }), refused('not-found', /not in the cache/));
  rmSync(repository, { recursive: true });
  mkdirSync(repository);
  symlinkSync(root, join(repository, 'blobs'));
  await assert.rejects(pull(), refused('bad-path', /is a link out of the cache/));
  rmSync(repository, { recursive: true });
  mkdirSync(join(repository, 'refs'), { recursive: true });
  writeFileSync(join(repository, 'refs', 'main'), '../../../..\n');
  await assert.rejects(pull({ offline: true }), refused('not-found', /not in the cache/));
  assertContained();
});

test('drafts of downloads that died are removed, those of others and of now are kept', async () => {
  const blobs = join(cache(), 'models--some--model', 'blobs');
  mkdirSync(blobs, { recursive: true });
  const ours = draftOf(join(blobs, 'a'.repeat(64)));
  const dead = ours.replace(`-${process.pid}-`, '-4194999-'); // a number that Linux does not reach
  const others = join(blobs, `${'a'.repeat(64)}.incomplete`);
  const all = [dead, ours, others];
  for (const path of all) writeFileSync(path, '');
  await pull();
  assert.deepEqual(all.map(existsSync), [false, true, true]);
});

test('a hub that answers anything gives a whole model or one line, and nothing outside the cache', async (t) => {
  const outcomes = { whole: 0, refused: 0 };
  const tries = 300;
  for (let i = 0; i < tries; i++) {
    const random = new Random(i, 'hub');
    answers = honest();
    const kind = random.integer(3);
    if (kind !== 1) answers.tree = spoilt(answers.tree, random);
    if (kind !== 0) answers.info = spoilt(answers.info, random);
    if (random.integer(5) === 0) answers.files['config.json'] = Buffer.from(JSON.stringify(spoilt({ a: [] }, random)));
    rmSync(cache(), { recursive: true });
    mkdirSync(cache());
    try {
      const { path } = await pull();
      assert.deepEqual(readFileSync(path), model, `try ${i}`);
      outcomes.whole++;
    } catch (error) {
      assert.ok(error instanceof PupilError, `try ${i}: ${String((error as Error).stack)}`);
      assert.doesNotMatch(error.message, /[\u0000-\u001f]|Cannot |undefined/, `try ${i}`);
      outcomes.refused++;
    }
    assertContained();
  }
  t.diagnostic(`${tries} tries: ${outcomes.whole} whole, ${outcomes.refused} refused`);
  assert.ok(outcomes.whole > tries / 10 && outcomes.refused > tries / 10, JSON.stringify(outcomes));
});
