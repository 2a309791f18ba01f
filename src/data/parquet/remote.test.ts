import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startFileServer, type FileServer } from '../../testing/file-server.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { refused } from '../../testing/kit.js';
import { openDataset } from '../dataset.js';
import { createPool } from '../pool.js';
import { prepareImages } from '../prepare.js';
import type { Dataset } from '../sample.js';
import { evaluationTarget } from '../target.js';
import { readParquetImages } from './images.js';

const here = fileURLToPath(new URL('../../../fixtures/parquet/data/', import.meta.url));
const names = ['train-00000-of-00002.parquet', 'train-00001-of-00002.parquet'] as const;
const pattern = 'train-{00000..00001}-of-00002.parquet';
const limits = { backOff: 0.001, idle: 0.3 };

/** A host of the files, and a cache of so many bytes. */
async function start(t: TestContext, limit: string): Promise<{ cache: string; host: FileServer }> {
  const files = names.map((name) => [`data/${name}`, readFileSync(join(here, name))] as const);
  const host = await startFileServer(t, Object.fromEntries(files));
  const cache = join(await temporaryFolder(t), 'cache');
  process.env['PUPIL_CACHE'] = cache;
  process.env['PUPIL_SHARD_CACHE'] = limit;
  t.after(() => {
    delete process.env['PUPIL_CACHE'];
    delete process.env['PUPIL_SHARD_CACHE'];
  });
  return { cache, host };
}

const keptFiles = (cache: string): string[] =>
  readdirSync(join(cache, 'shards')).filter((name) => /\.(piece|whole)$/.test(name));
const keptBytes = (cache: string): number =>
  keptFiles(cache).reduce((sum, name) => sum + statSync(join(cache, 'shards', name)).size, 0);

/** Requests for more than the first byte of a file. */
const piecesAsked = ({ log }: FileServer): string[] =>
  log.filter((line) => line.includes('.parquet ') && !/ 0-0$/.test(line));

/** From the first such request on, or `later` requests for pieces after it, faults happen; tells whether they did. */
function onceAsked(
  host: FileServer,
  isIt: (line: string) => boolean,
  faults: FileServer['faults'],
  later = 0,
): () => boolean {
  let left = Infinity;
  const { log } = host;
  const push = log.push.bind(log);
  log.push = (line) => {
    if (left === Infinity && isIt(line)) left = later;
    else if (left > 0 && / \d+-\d+$/.test(line)) left--;
    if (left === 0) host.faults.push(...faults.splice(0));
    return push(line);
  };
  return () => left <= 0;
}

/** Decodes all images; the first byte of each. */
async function decodeAll(t: TestContext, { samples }: Dataset): Promise<number[]> {
  const pool = createPool({ workers: 0, cacheFolder: await temporaryFolder(t) });
  try {
    const target = evaluationTarget({ size: [8, 8], resizeShort: 8, interpolation: 'bilinear' });
    const images = await prepareImages([...samples].reverse(), { pool, target });
    assert.deepEqual(images.unreadable, []);
    return images.locations.map((place) =>
      place.kind === 'memory' ? new Uint8Array(place.pixels, place.offset, 1)[0]! : -1,
    );
  } finally {
    await pool.close();
  }
}

for (const [name, limit, ranges] of [
  ['with all of them in the cache', '1GB', true],
  ['with a cache smaller than a group of rows', '100', true],
  ['from a host that gives no parts', '1GB', false],
  ['with no cache, from a host that gives no parts', '0', false],
] as const)
  test(`Parquet files of a host are the data set that they are on disk, ${name}`, async (t) => {
    const { cache, host } = await start(t, limit);
    host.ranges = ranges;
    const local = await openDataset(join(here, pattern));
    const there = await openDataset(`${host.address}/data/${pattern}`);
    assert.deepEqual([there.hash, there.classes, there.unreadable, there.notes], [local.hash, local.classes, [], []]);
    assert.equal(there.samples[5]!.path, `${host.address}/data/${names[1]}/0`);
    assert.deepEqual(await decodeAll(t, there), await decodeAll(t, local));
    assert.ok(keptBytes(cache) <= (limit === '1GB' ? 1e9 : Number(limit)));
    if (limit === '1GB') assert.ok(keptBytes(cache) > 0);
    host.log.length = 0;
    const again = await openDataset(`${host.address}/data/${pattern}`);
    assert.equal(again.hash, local.hash);
    assert.ok(
      host.log.every((line) => / 0-0$/.test(line)),
      `the index is kept: nothing is fetched again, but ${host.log.join()}`,
    );
    if (limit === '1GB') {
      await decodeAll(t, again);
      assert.ok(
        host.log.every((line) => / 0-0$/.test(line)),
        'nor are groups of rows in the cache',
      );
    }
    rmSync(join(cache, 'shards'), { recursive: true });
    assert.deepEqual(await decodeAll(t, again), await decodeAll(t, local), 'what the cache lost is fetched');
  });

test('a connection that is cut, slow or refused is made again; what came is kept for the next try', async (t) => {
  const { cache, host } = await start(t, '1GB');
  const address = `${host.address}/data/${names[0]}`;
  host.faults.push('cut', 'busy', 'stall');
  const { placed } = await readParquetImages([address], { limits });
  assert.equal(placed.length, 5);
  assert.equal(host.faults.length, 0);
  rmSync(cache, { recursive: true });
  host.faults.push('busy', 'busy');
  await assert.rejects(
    readParquetImages([address], { limits: { ...limits, tries: 2 } }),
    refused('network', /HTTP 503/),
  );
  // The footer and a group of rows arrive, then the host is busy: the next command asks for the others.
  host.faults.length = 0;
  host.log.length = 0;
  onceAsked(host, (line) => line.startsWith(`/data/${names[0]} 0-`) && !line.endsWith(' 0-0'), ['busy', 'busy'], 2);
  await assert.rejects(
    readParquetImages([address], { limits: { ...limits, tries: 2 } }),
    refused('network', /HTTP 503/),
  );
  const [footer, rows, ...refusedOnes] = piecesAsked(host);
  assert.ok(footer !== undefined && rows !== undefined && refusedOnes.length === 2);
  host.log.length = 0;
  await readParquetImages([address], { limits });
  assert.equal(piecesAsked(host).length, 2);
  assert.ok(!piecesAsked(host).some((line) => line === footer || line === rows));
});

test('a stated checksum is compared with the whole file; what is damaged on its way is fetched again', async (t) => {
  const { host } = await start(t, '1GB');
  const right = host.files.get(`data/${names[0]}`)!;
  const digest = createHash('sha256').update(right).digest('hex'),
    wrong = '0'.repeat(64);
  const state = (folder: string, hex: string): string => {
    host.files.set(`${folder}/${names[0]}`, right);
    host.files.set(`${folder}/SHA256SUMS`, Buffer.from(`${hex}  ${names[0]}\n`));
    return `${host.address}/${folder}/${names[0]}`;
  };
  for (const limit of ['1GB', '0']) {
    process.env['PUPIL_SHARD_CACHE'] = limit;
    const says = new RegExp(`its checksum is ${digest}, but SHA256SUMS states ${wrong}`);
    await assert.rejects(openDataset(state(`wrong${limit}`, wrong)), refused('bad-data', says));
    const { hash } = await openDataset(join(here, names[0]));
    const address = state(`right${limit}`, digest);
    // Of the first rows, whose bytes pass for others.
    const isDone = onceAsked(host, (line) => line.startsWith(`/right${limit}/`) && / 0-\d\d+$/.test(line), ['damaged']);
    assert.equal((await openDataset(address)).hash, hash);
    assert.ok(isDone() && host.faults.length === 0);
  }
});

test('damaged rows are named, and skipped where that is allowed; a file that is replaced is read anew', async (t) => {
  const { host } = await start(t, '1GB');
  const address = `${host.address}/data/${names[0]}`;
  const whole = readFileSync(join(here, names[0]));
  const broken = Buffer.from(whole);
  const at = broken.indexOf('2.png');
  broken.fill(255, at - 120, at);
  host.files.set(`data/${names[0]}`, broken);
  const says = /train-00000-of-00002\.parquet\/2\.\.3: rows of a Parquet file that cannot be read/;
  await assert.rejects(openDataset(address), refused('bad-data', says));
  const { samples, unreadable } = await openDataset(address, { skip: 1 });
  assert.deepEqual(
    samples.map(({ path }) => path.replace(/.*\//, '')),
    ['0', '1', '4'],
  );
  assert.deepEqual(
    unreadable.map(({ path }) => path),
    [`${address}/2..3`],
  );
  assert.equal((await decodeAll(t, { samples } as Dataset)).length, 3);
  host.files.set(`data/${names[0]}`, readFileSync(join(here, names[1])));
  assert.equal((await openDataset(address)).samples.length, 3);
  host.files.set(`data/${names[0]}`, whole.subarray(0, 400));
  await assert.rejects(openDataset(address), refused('bad-data', /not a readable Parquet file \(it does not end/));
});

test('what a host does not have, and a signature, are told in one line without the signature', async (t) => {
  const { host } = await start(t, '1GB');
  const three = `${host.address}/data/train-{00000..00002}-of-00002.parquet?key=secret`;
  await assert.rejects(openDataset(three), (error: Error) => {
    assert.doesNotMatch(error.message, /secret/);
    return refused('not-found', /train-00002-of-00002\.parquet: the host has no such file/)(error);
  });
  const one = await openDataset(`${host.address}/data/${names[1]}?key=secret`);
  assert.match(one.notes.join(), /train-00001-of-00002\.parquet: 1 of 2 files of train are opened/);
  assert.doesNotMatch(JSON.stringify([one.samples.map(({ path }) => path), one.notes]), /secret/);
  assert.equal((await decodeAll(t, one)).length, 3);
});
