import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PupilError } from '../errors.js';
import { float32, int64, tensor, type Tensor } from '../tensor.js';
import { hasCheckpoint, loadCheckpoint, saveCheckpoint } from './checkpoint.js';
import { replaceFile, writeError, writeFileAtomically } from './files.js';
import { decodeSafetensors, encodeSafetensors, readSafetensors, writeSafetensors } from '../safetensors.js';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pupil-checkpoint-'));
});
after(() => rm(folder, { recursive: true }));

const some = (value: number): Map<string, Tensor> =>
  new Map<string, Tensor>([
    ['layer.weight', float32([2, 3], [value, 1, 2, 3, 4, -0])],
    ['layer.weight@momentum', float32([0, 3], [])],
    ['step', int64([], [value])],
    ['flag', tensor('bool', [3], Uint8Array.of(1, 0, 1))],
    ['half', tensor('float16', [2], Uint16Array.of(15360, 1))],
    ['"q\'\n ü/名', float32([], [Math.fround(0.1)])],
  ]);

test('safetensors: every type comes back, aligned, with its metadata', async () => {
  const path = join(folder, 'a.safetensors');
  const { bytes, sha256 } = await replaceFile(path, (handle) => writeSafetensors(handle, some(7), { format: 'pt' }));
  const read = await readSafetensors(path);
  assert.equal(read.sha256, sha256);
  assert.deepEqual(read.metadata, { format: 'pt' });
  assert.deepEqual(new Set(read.tensors.keys()), new Set(some(7).keys()));
  for (const [name, value] of some(7)) assert.deepEqual(read.tensors.get(name), { ...value }, name);
  const raw = await readFile(path);
  assert.equal(raw.length, bytes);
  assert.deepEqual(new Uint8Array(raw), new Uint8Array(encodeSafetensors(some(7), { format: 'pt' })));
  assert.equal(Number(raw.readBigUInt64LE(0)) % 8, 0);
});

test('safetensors: the bytes are those of the reference implementation', async () => {
  const fixture = new URL('../../fixtures/train/reference.safetensors', import.meta.url);
  const { tensors } = decodeSafetensors(await readFile(fixture));
  assert.deepEqual([...(tensors.get('a')!.data as Float32Array)], [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(tensors.get('a')!.dims, [2, 3]);
  assert.deepEqual(tensors.get('b'), int64([2], [-1, 9007199254740991]));
  assert.deepEqual(new Uint8Array(encodeSafetensors(tensors)), new Uint8Array(await readFile(fixture)));
});

test('safetensors: truncated, padded and foreign files are refused in one line', () => {
  const good = encodeSafetensors(some(1));
  for (const [what, bytes] of Object.entries({
    empty: new Uint8Array(),
    short: good.subarray(0, 20),
    truncated: good.subarray(0, good.length - 1),
    longer: Uint8Array.of(...good, 0),
    foreign: new TextEncoder().encode('<!doctype html><html></html>'),
  })) {
    assert.throws(
      () => decodeSafetensors(bytes, 'x.safetensors'),
      (error) =>
        error instanceof PupilError && error.code === 'bad-data' && error.message.startsWith('x.safetensors: '),
      what,
    );
  }
});

test('checkpoints: the last two and the best are kept, and come back whole', async () => {
  const where = join(folder, 'kept');
  assert.equal(await hasCheckpoint(where), false);
  await assert.rejects(loadCheckpoint(where), (error) => error instanceof PupilError && error.code === 'not-found');
  for (let i = 1; i <= 6; i++)
    await saveCheckpoint(where, { tensors: some(i), meta: { step: i, x: 0.1 * i }, best: i === 2 || i === 3 });
  const last = await loadCheckpoint(where);
  assert.deepEqual(last.meta, { step: 6, x: 0.1 * 6 });
  assert.deepEqual(last.tensors.get('step'), int64([], [6]));
  assert.deepEqual((await loadCheckpoint(where, 'best')).meta, { step: 3, x: 0.1 * 3 });
  assert.deepEqual((await readdir(where)).sort(), [
    '000003.json',
    '000003.safetensors',
    '000005.json',
    '000005.safetensors',
    '000006.json',
    '000006.safetensors',
  ]);
});

test('checkpoints: a damaged one is passed over, and said so', async () => {
  const where = join(folder, 'damaged');
  await saveCheckpoint(where, { tensors: some(1), meta: 1, best: true });
  const second = await saveCheckpoint(where, { tensors: some(2), meta: 2 });
  const file = join(where, '000002.safetensors');
  const handle = await open(file, 'r+');
  await handle.write(Uint8Array.of(99), 0, 1, (await handle.stat()).size - 1);
  await handle.close();
  const loaded = await loadCheckpoint(where);
  assert.equal(loaded.meta, 1);
  assert.match(loaded.skipped[0]!, /000002\.json: the checksum/);
  await writeFile(second, '{"format":1');
  assert.equal((await loadCheckpoint(where)).meta, 1);
  await truncate(join(where, '000001.safetensors'), 10);
  await assert.rejects(loadCheckpoint(where), (error) => error instanceof PupilError && error.code === 'bad-data');
  // The next save does not reuse a number and cleans up.
  await saveCheckpoint(where, { tensors: some(3), meta: 3 });
  assert.equal((await loadCheckpoint(where)).meta, 3);
});

test('checkpoints: an unwritable place and a full disk are errors that leave nothing behind', async () => {
  const file = join(folder, 'file');
  await writeFile(file, '');
  await assert.rejects(
    saveCheckpoint(join(file, 'below'), { tensors: some(1), meta: 1 }),
    (error) => error instanceof PupilError && error.code === 'bad-path' && /choose another/.test(error.message),
  );
  const where = join(folder, 'full');
  await saveCheckpoint(where, { tensors: some(1), meta: 1 });
  const before = (await readdir(where)).sort();
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  await assert.rejects(
    replaceFile(join(where, '000002.safetensors'), async (handle) => {
      await handle.write('half');
      throw full;
    }),
    (error) => error instanceof PupilError && error.code === 'io' && /disk is full/.test(error.message),
  );
  assert.deepEqual((await readdir(where)).sort(), before);
  const busy = writeError('labels.csv', Object.assign(new Error('EBUSY'), { code: 'EBUSY' })) as PupilError;
  assert.deepEqual([busy.code, /another program has it open/.test(busy.message)], ['io', true]);
  assert.equal((writeError('x', new TypeError('ours')) as PupilError).code, undefined);
});

test(
  'checkpoints: a real full device is reported',
  { skip: existsSync('/dev/full') ? false : 'needs /dev/full' },
  async () => {
    const handle = await open('/dev/full', 'w');
    try {
      await assert.rejects(
        writeSafetensors(handle, some(1)),
        (error) => (error as NodeJS.ErrnoException).code === 'ENOSPC',
      );
    } finally {
      await handle.close();
    }
  },
);

test('checkpoints: kill -9 at any moment leaves a loadable one', async () => {
  const where = join(folder, 'killed');
  const script = join(folder, 'writer.mjs');
  await writeFile(
    script,
    `
    import { saveCheckpoint } from ${JSON.stringify(new URL('./checkpoint.js', import.meta.url).href)};
    for (let i = 1; ; i++) {
      const data = new Float32Array(200000).fill(i);
      const tensors = new Map([['w', { dtype: 'float32', dims: [data.length], data }]]);
      await saveCheckpoint(${JSON.stringify(where)}, { tensors, meta: i });
      process.send?.(i);
    }`,
  );
  let lowest = 0;
  for (const delay of [0, 3, 11]) {
    const child = fork(script, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    let saved = 0;
    await new Promise<void>((resolve) => {
      child.on('message', (i) => {
        saved = i as number;
        if (saved === 3) setTimeout(() => child.kill('SIGKILL'), delay);
      });
      child.on('exit', () => resolve());
    });
    const loaded = await loadCheckpoint(where);
    assert.ok((loaded.meta as number) >= saved, `${String(loaded.meta)} after ${saved}`);
    assert.equal(loaded.tensors.get('w')!.data[199999], loaded.meta);
    lowest = Math.max(lowest, saved);
  }
  await saveCheckpoint(where, { tensors: some(1), meta: 'after' });
  const left = await readdir(where);
  assert.ok(
    left.every((name) => !name.startsWith('.pupil-')),
    left.join(),
  );
  assert.ok(lowest >= 3);
});

test('files: text is replaced whole', async () => {
  const path = join(folder, 'deep', 'er', 'name with "quotes"\nand a newline.json');
  await writeFileAtomically(path, 'one');
  await writeFileAtomically(path, 'two');
  assert.equal(await readFile(path, 'utf8'), 'two');
});
