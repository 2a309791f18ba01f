import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pupil } from '../testing/command-line.js';
import { startFileServer } from '../testing/file-server.js';
import { withFullDisk } from '../testing/full-disk.js';
import { temporaryFolder, writeTar, writeTree } from '../testing/image-files.js';
import { useOwnCache } from '../testing/kit.js';
import { run, settled, teacher } from '../testing/shards.js';

useOwnCache();

/** Commands whose shards write parts, behind the images and the model. */
const commands: Readonly<Record<string, readonly string[]>> = {
  'pseudo-label': ['--threshold', '0', '--workers', '0', '--batch-size', '8'],
  'features': ['--workers', '0'],
};

for (const [command, options] of Object.entries(commands)) {
  test(`${command}: a disk that is full leaves no half of a part, and the next try completes`, async (t) => {
    const folder = await temporaryFolder(t);
    const at = (name: string): string => join(folder, name);
    await writeTree(folder, Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`camera/${i}.png`, i])));
    const told = [command, at('camera'), '--model', teacher(at('teacher.onnx'), 1), ...options];
    await sleep(settled);
    await run(...told, '--out', at('whole.parquet'));
    for (const i of [1, 2]) await run(...told, '--shard', `${i}/2`, '--out', at('calm'));
    const part = 'part-00001-of-00002.parquet';
    const size = readFileSync(at(`calm/${part}`)).length;
    await run(...told, '--shard', '2/2', '--out', at('parts'));
    // Nothing fits, the start fits, all but the last byte fits.
    for (const bytes of [0, 100, size - 1]) {
      const failed = await withFullDisk(bytes, () => pupil(...told, '--shard', '1/2', '--out', at('parts')));
      assert.equal(failed.code, 1, 'tried again by schedulers');
      assert.match(failed.err, /pupil: cannot write .*part-00001-of-00002\.parquet: the disk is full; free some space/);
      assert.deepEqual(readdirSync(at('parts')), ['part-00002-of-00002.parquet'], `${bytes} bytes fit`);
      const merged = await pupil(command, '--merge', at('parts'), '--out', at('early.parquet'));
      assert.deepEqual([merged.code, existsSync(at('early.parquet'))], [2, false], 'a shard is missing');
    }
    assert.equal((await run(...told, '--shard', '1/2', '--out', at('parts')))['isDone'], false);
    assert.ok(readFileSync(at(`parts/${part}`)).equals(readFileSync(at(`calm/${part}`))), 'as if nothing had been');
    const failed = await withFullDisk(100, () => pupil(command, '--merge', at('parts'), '--out', at('all.parquet')));
    assert.equal(failed.code, 1);
    assert.match(failed.err, /cannot write .*all\.parquet: the disk is full/);
    assert.deepEqual(readdirSync(folder).sort(), ['calm', 'camera', 'parts', 'teacher.onnx', 'whole.parquet']);
    await run(command, '--merge', at('parts'), '--out', at('all.parquet'));
    assert.ok(readFileSync(at('all.parquet')).equals(readFileSync(at('whole.parquet'))));
  });
}

test('a part of which a single bit has changed is not merged', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeTree(folder, Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`camera/${i}.png`, i])));
  const model = teacher(at('teacher.onnx'), 1);
  const told = ['pseudo-label', at('camera'), '--model', model, '--threshold', '0', '--workers', '0'];
  await run(...told, '--shard', '1/1', '--out', at('parts'));
  const part = at('parts/part-00001-of-00001.parquet');
  const whole = readFileSync(part);
  const places = [20, 200, whole.indexOf('"command"') + 20, whole.indexOf('"engine"') + 12, whole.length - 6];
  for (const place of places) {
    const spoilt = Buffer.from(whole);
    spoilt[place]! ^= 1;
    writeFileSync(part, spoilt);
    const { code, err } = await pupil('pseudo-label', '--merge', at('parts'), '--out', at('labels.parquet'));
    assert.deepEqual([code, existsSync(at('labels.parquet'))], [2, false], `byte ${place}`);
    assert.match(
      err,
      /^pupil: .*part-00001-of-00001\.parquet: not a readable part \(.*\); delete it and do its shard again$/m,
    );
  }
});

test('parts keep no signature of an address, and are found again under another', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  for (const [set, first] of Object.entries({ camera: 0, known: 16 }))
    await writeTar(
      at(`${set}.tar`),
      Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${i % 2 === 0 ? 'a' : 'd'}/${i}.png`, first + i])),
    );
  const host = await startFileServer(t, {
    'camera.tar': readFileSync(at('camera.tar')),
    'known.tar': readFileSync(at('known.tar')),
  });
  const model = teacher(at('teacher.onnx'), 1);
  const signed = (set: string, word: string): string => `${host.address}/${set}.tar?signature=${word}`;
  const labels = (word: string): Promise<Record<string, unknown>> =>
    run(
      ...['pseudo-label', signed('camera', word), '--model', model, '--exclude', signed('known', word)],
      ...['--threshold', '0', '--workers', '0', '--shard', '1/1', '--out', at('parts')],
    );
  assert.equal((await labels('secret'))['isDone'], false);
  assert.equal((await labels('renewed'))['isDone'], true);
  const training = '--mode scratch --model resnet8 --size 16 --epochs 1 --n 1 --m 3 --no-halving --workers 0'.split(
    ' ',
  );
  await run('search', signed('camera', 'secret'), ...training, '--shard', '1/1', '--out', at('trainings'));
  await run('search', '--merge', at('trainings'), '--out', at('search'));
  const written = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.ok(written.length > 10);
  for (const { parentPath, name } of written)
    assert.doesNotMatch(readFileSync(join(parentPath, name), 'latin1'), /signature=/, name);
});
