import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startFileServer, type FileServer } from '../../testing/file-server.js';
import { temporaryFolder, writeTar } from '../../testing/image-files.js';
import { refused } from '../../testing/kit.js';
import { openDataset } from '../dataset.js';
import { createPool } from '../pool.js';
import { prepareImages } from '../prepare.js';
import type { Dataset } from '../sample.js';
import { evaluationTarget } from '../target.js';
import { scanRemoteTar } from './archive.js';

const limits = { backOff: 0.001 };
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Two shards of a training set and one to measure on, here and on a host, with a cache of `limit` bytes. */
async function start(t: TestContext, limit: string): Promise<{ folder: string; cache: string; host: FileServer }> {
  const folder = await temporaryFolder(t);
  const names = ['train-000.tar', 'train-001.tar', 'val-000.tar'];
  for (const [i, name] of names.entries())
    await writeTar(
      join(folder, name),
      Object.fromEntries(
        ['a', 'b'].flatMap((kind, k) => [0, 1, 2].map((n) => [`${kind}/${i}${n}.png`, 100 * i + 10 * k + n] as const)),
      ),
    );
  const host = await startFileServer(
    t,
    Object.fromEntries(names.map((name) => [`data/${name}`, readFileSync(join(folder, name))])),
  );
  const cache = join(folder, 'cache');
  process.env['PUPIL_CACHE'] = cache;
  process.env['PUPIL_SHARD_CACHE'] = limit;
  t.after(() => {
    delete process.env['PUPIL_CACHE'];
    delete process.env['PUPIL_SHARD_CACHE'];
  });
  return { folder, cache, host };
}

const keptBytes = (cache: string): number =>
  readdirSync(join(cache, 'shards'))
    .filter((name) => name.endsWith('.tar'))
    .reduce((sum, name) => sum + statSync(join(cache, 'shards', name)).size, 0);

/** Decodes all images; their mean values, by the file's name. */
async function decodeAll({ samples }: Dataset, cacheFolder: string): Promise<string[]> {
  const pool = createPool({ workers: 0, cacheFolder, memory: 1e6, disk: 0 });
  try {
    const target = evaluationTarget({ size: [16, 16], resizeShort: 16, interpolation: 'bilinear' });
    const images = await prepareImages(samples, { pool, target });
    assert.deepEqual(images.unreadable, []);
    return images.samples.map(({ hash }) => hash);
  } finally {
    await pool.close();
  }
}

for (const [name, limit, ranges] of [
  ['with all of them in the cache', '1GB', true],
  ['with a cache smaller than a shard', '1000', true],
  ['with no cache, from a host that gives no parts', '0', false],
] as const)
  test(`numbered archives of a host are the data set that they are on disk, ${name}`, async (t) => {
    const { folder, cache, host } = await start(t, limit);
    host.ranges = ranges;
    const here = await openDataset(join(folder, 'train-{000..001}.tar'));
    const there = await openDataset(`${host.address}/data/train-{000..001}.tar`);
    assert.deepEqual([there.hash, there.classes, there.unreadable], [here.hash, here.classes, []]);
    assert.equal(there.samples[0]!.path, `${host.address}/data/train-000.tar/a/00.png`);
    assert.deepEqual(await decodeAll(there, cache), await decodeAll(here, cache));
    const total = host.files.get('data/train-000.tar')!.length + host.files.get('data/train-001.tar')!.length;
    assert.equal(keptBytes(cache), limit === '1GB' ? total : 0);
    host.log.length = 0;
    const again = await openDataset(`${host.address}/data/train-{000..001}.tar`);
    assert.equal(again.hash, here.hash);
    assert.ok(
      host.log.every((line) => / 0-0$/.test(line)),
      'the index is kept: nothing is fetched again',
    );
    if (!ranges) return;
    rmSync(join(cache, 'shards'), { recursive: true });
    assert.deepEqual(await decodeAll(again, cache), await decodeAll(here, cache), 'what the cache lost is fetched');
  });

test('a cache that holds one shard of two keeps the first; older ones make room', async (t) => {
  const { cache, host } = await start(t, '0');
  const size = host.files.get('data/train-000.tar')!.length;
  process.env['PUPIL_SHARD_CACHE'] = String(2 * size - 1);
  await scanRemoteTar(`${host.address}/data/train-000.tar`, { limits });
  await scanRemoteTar(`${host.address}/data/train-001.tar`, { limits });
  assert.equal(keptBytes(cache), size);
});

test('a download that fails goes on where it ended when the command is started again', async (t) => {
  const { cache, host } = await start(t, '1GB');
  const address = `${host.address}/data/train-000.tar`;
  const { length } = host.files.get('data/train-000.tar')!;
  host.faults.push('cut', 'busy');
  await assert.rejects(scanRemoteTar(address, { limits: { ...limits, tries: 2 } }), refused('network', /HTTP 503/));
  host.log.length = 0;
  const { entries } = await scanRemoteTar(address, { limits });
  assert.equal(entries.length, 6);
  const asked = host.log.at(-1)!;
  assert.match(asked, new RegExp(`^/data/train-000\\.tar [1-9]\\d*-${length - 1}$`));
  assert.deepEqual(
    readdirSync(join(cache, 'shards'))
      .map((name) => name.replace(/^[0-9a-f]{32}/, ''))
      .sort(),
    ['.json', '.tar'],
  );
});

test('a stated checksum is compared: in headers, shards.json, SHA256SUMS or NAME.sha256, kept or not', async (t) => {
  const { cache, host } = await start(t, '1GB');
  const address = `${host.address}/data/train-000.tar`;
  const right = host.files.get('data/train-000.tar')!,
    digest = sha256(right);
  const wrong = '0'.repeat(64);
  const text = (value: string): Uint8Array => Buffer.from(value);
  const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');
  const statements: [string, (digest: string) => void][] = [
    ['Repr-Digest', (hex) => (host.headers = { 'Repr-Digest': `sha-256=:${base64(hex)}:` })],
    ['Digest', (hex) => (host.headers = { Digest: `SHA-256=${base64(hex)}` })],
    ['NAME', (hex) => host.files.set('data/train-000.tar.sha256', text(`${hex}  train-000.tar\n`))],
    ['SHA256SUMS', (hex) => host.files.set('data/SHA256SUMS', text(`${wrong}  other.tar\n${hex} *./train-000.tar\n`))],
    [
      'shards.json',
      (hex) =>
        host.files.set(
          'data/shards.json',
          text(JSON.stringify({ shards: [{ file: 'out/train-000.tar', sha256: hex }] })),
        ),
    ],
  ];
  for (const [i, [, state]] of statements.entries())
    for (const limit of ['1GB', '0']) {
      // Lists of checksums are fetched once in a process: each has an address of its own.
      const move = (name: string): string => `${i}${limit}${name}`;
      process.env['PUPIL_SHARD_CACHE'] = limit;
      host.headers = {};
      state(wrong);
      const files = [...host.files].filter(([name]) => name.startsWith('data/'));
      for (const [name, bytes] of files) host.files.set(name.replace('data', move('wrong')), bytes);
      await assert.rejects(
        scanRemoteTar(address.replace('data', move('wrong')), { limits }),
        refused('bad-data', new RegExp(`its checksum is ${digest}, but \\S+ states ${wrong}; the archive is damaged`)),
      );
      state(digest);
      for (const [name, bytes] of host.files)
        if (name.startsWith('data/')) host.files.set(name.replace('data', move('right')), bytes);
      assert.equal((await scanRemoteTar(address.replace('data', move('right')), { limits })).entries.length, 6);
    }
  // Damaged on its way, not on its host: fetched once more.
  process.env['PUPIL_SHARD_CACHE'] = '1GB';
  for (const name of ['shards.json', 'train-000.tar']) host.files.set(`way/${name}`, host.files.get(`data/${name}`)!);
  host.faults.push('damaged');
  assert.equal((await scanRemoteTar(`${host.address}/way/train-000.tar`, { limits })).entries.length, 6);
  assert.equal(host.faults.length, 0);
  assert.ok(keptBytes(cache) > 0);
});

test('an archive that is replaced on its host is indexed anew', async (t) => {
  const { folder, host } = await start(t, '1GB');
  const address = `${host.address}/data/val-000.tar`;
  assert.equal((await scanRemoteTar(address, { limits })).entries.length, 6);
  await writeTar(join(folder, 'new.tar'), { 'a/1.png': 7 });
  host.files.set('data/val-000.tar', readFileSync(join(folder, 'new.tar')));
  assert.deepEqual(
    (await scanRemoteTar(address, { limits })).entries.map(({ name }) => name),
    ['a/1.png'],
  );
});

test('what is no archive of a host is refused in one line, without a password or a signature', async (t) => {
  const { host } = await start(t, '1GB');
  await assert.rejects(openDataset(`${host.address}/photos?key=secret`), (error: Error) => {
    assert.doesNotMatch(error.message, /secret/);
    return refused('usage', /of a host \.tar archives and \.parquet files are read/)(error);
  });
  await assert.rejects(openDataset(`${host.address}/a.tar.gz`), refused('unsupported', /compressed archives/));
  const named = host.address.replace('//', '//me:secret@');
  await assert.rejects(openDataset(`${named}/a.tar`), (error: Error) => {
    assert.doesNotMatch(error.message, /secret/);
    return refused('usage', /without a password/)(error);
  });
  process.env['PUPIL_SHARD_CACHE'] = 'much';
  await assert.rejects(openDataset(`${host.address}/data/val-000.tar`), refused('usage', /PUPIL_SHARD_CACHE=much/));
});
