/** Shards whose images are replaced under their names after the part was written. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readPseudoLabels } from '../artifact/pseudo-labels.js';
import { labelShard } from '../jobs/shards/labels.js';
import { pupil } from '../testing/command-line.js';
import { startFileServer } from '../testing/file-server.js';
import { noisePng, temporaryFolder, writeTar, writeTree } from '../testing/image-files.js';
import { collect, useOwnCache } from '../testing/kit.js';
import { run, settled, teacher } from '../testing/shards.js';

useOwnCache();

const images = (count: number, folder = 'camera'): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${folder}/${String(i).padStart(2, '0')}.png`, i]));

/** What a command is given beside the images and the network, and where its result lies. */
const commands = {
  'pseudo-label': { options: ['--threshold', '0', '--workers', '0', '--batch-size', '8'], file: 'parquet' },
  'features': { options: ['--workers', '0'], file: 'parquet' },
  'predict': { options: ['--batch-size', '8'], file: 'json' },
} as const;

for (const [command, { options, file }] of Object.entries(commands)) {
  test(`${command}: a replaced image is noticed by its content, and its part alone made anew`, async (t) => {
    const folder = await temporaryFolder(t);
    const at = (name: string): string => join(folder, name);
    await writeTree(folder, { ...images(20), 'camera/03.png': (await noisePng(70)).subarray(0, 900) });
    const model = teacher(at('teacher.onnx'), 1);
    const told = (camera: string): string[] =>
      command === 'predict' ? [command, model, at(camera)] : [command, at(camera), '--model', model];
    const shard = async (i: number, camera = 'camera'): Promise<Record<string, unknown>> =>
      run(...told(camera), ...options, '--shard', `${i}/2`, '--out', at('parts'));
    const [made] = [await shard(1), await shard(2)];
    assert.equal((made['skipped'] as { path: string }[])[0]!.path, at('camera/03.png'));
    const part = (i: number): Buffer => readFileSync(at(`parts/part-0000${i}-of-00002.parquet`));
    const before = [part(1), part(2)];
    // Other times, another machine: what decides is the content.
    utimesSync(at('camera/12.png'), 1, 1);
    cpSync(at('camera'), at('copy'), { recursive: true });
    for (const camera of ['camera', 'copy'])
      assert.deepEqual([(await shard(1, camera))['isDone'], (await shard(2, camera))['isDone']], [true, true]);
    assert.deepEqual((await shard(1))['skipped'], made['skipped'], 'those of the part');
    assert.deepEqual([part(1), part(2)], before);
    const { err } = await (async () => {
      writeFileSync(at('camera/12.png'), await noisePng(99));
      utimesSync(at('camera/12.png'), 1, 1);
      return pupil(...told('camera'), ...options, '--shard', '2/2', '--out', at('parts'));
    })();
    assert.match(err, /part-00002-of-00002\.parquet was made from images that were replaced since; it is made anew/);
    assert.deepEqual([(await shard(1))['isDone'], (await shard(2))['isDone']], [true, true]);
    assert.deepEqual([part(1).equals(before[0]!), part(2).equals(before[1]!)], [true, false]);
    await run(...told('camera'), ...options, '--out', at(`one.${file}`));
    await run(command, '--merge', at('parts'), '--out', at(`all.${file}`));
    assert.ok(readFileSync(at(`all.${file}`)).equals(readFileSync(at(`one.${file}`))), 'as one process has it now');
    // What could not be read may be an image now.
    writeFileSync(at('camera/03.png'), await noisePng(70));
    const mended = await shard(1);
    assert.deepEqual([mended['isDone'], mended['images'], mended['skipped']], [false, 10, []]);
  });
}

test('images whose sizes and times are as before are not read when the part is found again', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeTree(folder, { ...images(12), ...images(3, 'known') });
  const model = teacher(at('teacher.onnx'), 1);
  await sleep(settled);
  const shard = async (): Promise<{ readonly isDone: boolean; readonly isRead: boolean }> => {
    const told = { model, threshold: 0, workers: 0, out: at('parts'), exclude: [at('known')] };
    const { events, result } = await collect(labelShard(at('camera'), { index: 1, count: 2 }, told));
    const isRead = events.some((event) => event.type === 'progress' && event.what === 'comparing');
    return { isDone: result.isDone, isRead };
  };
  assert.equal((await shard()).isDone, false);
  assert.deepEqual(await shard(), { isDone: true, isRead: false });
  utimesSync(at('camera/01.png'), 1, 1);
  assert.deepEqual(await shard(), { isDone: true, isRead: true });
});

test('archives, here and on a host, are compared by the contents of their images', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  const pack = (last: number): Promise<unknown> =>
    writeTar(at('camera.tar'), Object.fromEntries([0, 1, 2, last].map((seed, i) => [`a/${i}.png`, seed])));
  await pack(3);
  const host = await startFileServer(t, { 'camera.tar': readFileSync(at('camera.tar')) });
  const model = teacher(at('teacher.onnx'), 1);
  const done = async (place: string, i: number): Promise<unknown> =>
    (await run('features', place, '--model', model, '--shard', `${i}/2`, '--out', at('parts')))['isDone'];
  assert.deepEqual([await done(at('camera.tar'), 1), await done(at('camera.tar'), 2)], [false, false]);
  const remote = `${host.address}/camera.tar`;
  assert.deepEqual([await done(remote, 1), await done(remote, 2)], [true, true], 'the same images');
  await pack(9);
  assert.deepEqual([await done(at('camera.tar'), 1), await done(at('camera.tar'), 2)], [true, false]);
  host.files.set('camera.tar', readFileSync(at('camera.tar')));
  host.headers = { ETag: '"other"' };
  assert.deepEqual([await done(remote, 1), await done(remote, 2)], [true, true]);
});

test('parts that were made beside other images of --exclude and --like are refused', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeTree(folder, { ...images(12), ...images(2, 'known') });
  const told = ['pseudo-label', at('camera'), '--model', teacher(at('teacher.onnx'), 1), '--threshold', '0'];
  const shard = (i: number): Promise<{ code: number; err: string }> =>
    pupil(...told, '--batch-size', '4', '--exclude', at('known'), '--shard', `${i}/2`, '--out', at('parts'));
  assert.equal((await shard(1)).code, 0);
  await writeTree(folder, { 'known/1.png': 7 });
  const again = await shard(1);
  assert.equal(again.code, 2);
  assert.match(again.err, /part-00001-of-00002\.parquet was made with other images in --exclude; choose another --out/);
  assert.equal((await shard(2)).code, 0);
  const merged = await pupil('pseudo-label', '--merge', at('parts'), '--out', at('all.csv'));
  assert.equal(merged.code, 2);
  assert.match(merged.err, /part-00002.* made with other images in --exclude, unlike .*part-00001/);
});

test('labels of images on a host name their addresses, in one process, in shards and when they are read', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeTar(at('camera.tar'), Object.fromEntries([0, 1, 2, 3].map((seed) => [`a/${seed}.png`, seed])));
  const host = await startFileServer(t, { 'camera.tar': readFileSync(at('camera.tar')) });
  const remote = `${host.address}/camera.tar`;
  const told = ['pseudo-label', remote, '--model', teacher(at('teacher.onnx'), 1), '--threshold', '0'];
  await run(...told, '--out', at('one.csv'));
  for (const i of [1, 2]) await run(...told, '--batch-size', '2', '--shard', `${i}/2`, '--out', at('parts'));
  await run('pseudo-label', '--merge', at('parts'), '--out', at('all.csv'));
  for (const file of ['one.csv', 'all.csv']) {
    const { rows } = await readPseudoLabels(at(file));
    assert.deepEqual(
      rows.map(({ path }) => path),
      [0, 1, 2, 3].map((i) => `${remote}/a/${i}.png`),
    );
  }
});

test('a model and images of --exclude that lie elsewhere, with the same contents, change nothing', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeTree(folder, { ...images(12), ...images(2, 'known'), ...images(2, 'elsewhere/known') });
  cpSync(teacher(at('teacher.onnx'), 1), at('elsewhere/teacher.onnx'));
  const done = async (i: number, model: string, known: string): Promise<unknown> => {
    const told = ['pseudo-label', at('camera'), '--model', at(model), '--exclude', at(known), '--threshold', '0'];
    return (await run(...told, '--batch-size', '4', '--shard', `${i}/2`, '--out', at('parts')))['isDone'];
  };
  assert.equal(await done(1, 'teacher.onnx', 'known'), false);
  assert.equal(await done(1, 'elsewhere/teacher.onnx', 'elsewhere/known'), true);
  assert.equal(await done(2, 'elsewhere/teacher.onnx', 'elsewhere/known'), false);
  assert.equal((await run('pseudo-label', '--merge', at('parts'), '--out', at('all.csv')))['total'], 10);
});

test('evaluate: a test image that was replaced makes its part anew', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeTree(folder, { ...images(10, 'data/test/a'), ...images(6, 'data/test/d'), 'data/train/a/x.png': 90 });
  const told = ['evaluate', teacher(at('teacher.onnx'), 1), at('data'), '--batch-size', '4', '--workers', '0'];
  const done = async (i: number): Promise<unknown> =>
    (await run(...told, '--shard', `${i}/2`, '--out', at('parts')))['isDone'];
  assert.deepEqual([await done(1), await done(2)], [false, false]);
  await writeTree(folder, { 'data/test/d/05.png': 77, 'data/train/a/x.png': 91 });
  assert.deepEqual([await done(1), await done(2)], [true, false]);
  assert.deepEqual(await run('evaluate', '--merge', at('parts')), await run(...told));
});
