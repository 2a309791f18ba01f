import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import type { LadderFile, SeedsFile } from '../artifact/formats.js';
import { lockFolder } from '../artifact/lock.js';
import { encodePng } from '../image/decode.js';
import { pupil } from '../testing/command-line.js';
import { blob, writeTree } from '../testing/image-files.js';
import { useOwnCache } from '../testing/kit.js';
import { redAndBlue, run } from '../testing/shards.js';

useOwnCache();

const options = [
  ...['--mode', 'scratch', '--model', 'convnet-small', '--size', '16', '--batch-size', '4', '--folds', '2'],
  ...['--epochs', '1', '--rungs', 'supervised,augmentation', '--threads', '1', '--workers', '0'],
];
const from3 = [...options, '--seed', '3'];

const read = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T;
/** Everything but times and places. */
const measured = ({ rungs }: LadderFile): unknown[] =>
  rungs.map(({ seconds: _, expectedSeconds: __, reason: ___, run: ____, ...others }) => others);

test('learn in shards is learn by each seed, and what all of them say', async (t) => {
  const at = await redAndBlue(t, 8);
  const told = [at('data'), ...from3];
  const shard = (i: string, ...more: string[]): Promise<Record<string, unknown>> =>
    run('learn', ...told, '--seeds', '3', '--shard', i, '--out', at('parts'), ...more);
  const first = await shard('1/2');
  assert.deepEqual([first['seeds'], first['trained'], first['done'], first['planned']], [[3, 5], [3, 5], 2, 3]);
  const early = await pupil('learn', '--merge', at('parts'), '--out', at('early'));
  assert.equal(early.code, 2);
  assert.match(early.err, /of 3 seeds one is missing: 4; start the shards again/);
  assert.ok(!existsSync(at('early')));
  // Interrupted before the end, a seed goes on; a shard of another division does the rest.
  rmSync(at('parts/part-00003-of-00003.parquet'));
  rmSync(at('parts/seed-5/result.json'));
  rmSync(at('parts/seed-5/rungs/augmentation'), { recursive: true });
  const rest = await shard('1/1');
  assert.deepEqual([rest['trained'], rest['done']], [[4, 5], 3]);
  assert.deepEqual((await shard('2/2'))['trained'], [], 'done before');

  const merged = await run('learn', '--merge', at('parts'), '--out', at('merged'));
  const seeds = read<SeedsFile>(at('merged/seeds.json'));
  assert.deepEqual(merged['seeds'], seeds);
  assert.deepEqual(seeds.seeds, [3, 4, 5]);
  const ladders = [3, 4, 5].map((seed) => read<LadderFile>(at(`parts/seed-${seed}/ladder.json`)));
  for (const [place, { name, selection }] of seeds.techniques.entries()) {
    const each = ladders.map(({ rungs }) => rungs.find((rung) => rung.name === name)!);
    assert.equal(selection!.count, 3);
    assert.ok(Math.abs(selection!.top1 - each.reduce((sum, one) => sum + one.selection!.top1 / 3, 0)) < 1e-9);
    assert.equal(name, ['supervised', 'augmentation'][place]);
  }
  const keptTop1 = ladders.map(({ rungs, kept }) => rungs.find(({ name }) => name === kept)!.selection!.top1);
  assert.equal(keptTop1[seeds.kept - 3], Math.max(...keptTop1));
  const report = readFileSync(at('merged/report.html'), 'utf8');
  assert.match(report, /<h1>merged<\/h1>/);
  assert.match(report, new RegExp(`Trained with 3 seeds \\(3, 4, 5\\).*<b>Seed ${seeds.kept} is kept</b>`, 's'));
  for (const { name, kept } of seeds.techniques)
    assert.match(report, new RegExp(`${name}(?:(?!<tr).)*${kept} of 3 seeds`, 's'));
  // Seed by seed it is what one process learns, to the byte; the merged run needs no parts.
  await run('learn', at('data'), ...options, '--seed', String(seeds.kept), '--out', at('alone'));
  assert.deepEqual(measured(read(at('merged/ladder.json'))), measured(read(at('alone/ladder.json'))));
  rmSync(at('parts'), { recursive: true });
  const weights = (name: string): Buffer => readFileSync(at(`${name}/model.onnx`));
  assert.ok(weights('merged').equals(weights('alone')), 'the same model');
  assert.equal(merged['run'], at('merged'));
});

test('a shard of learn refuses what does not belong to the parts, and leaves seeds to who is at them', async (t) => {
  const at = await redAndBlue(t, 8);
  const out = ['--out', at('parts')];
  const learn = (...words: string[]): ReturnType<typeof pupil> => pupil('learn', at('data'), ...from3, ...words);
  const { code: none, err: why } = await learn('--shard', '1/2', ...out);
  assert.equal(none, 0, why);
  for (const [words, says] of [
    [['--shard', '1/2', '--lr', '0.1', ...out], /part-00001-of-00002.parquet was made with --lr "its default"/],
    [['--shard', '3/2', ...out], /there is no shard 3 of 2/],
    [['--shard', '2/2'], /learn with --shard needs --out FOLDER/],
    [['--seeds', '2'], /--seeds needs --shard: add --shard 1\/1 to learn/],
    [['--resume', at('parts/seed-3'), '--shard', '1/2', ...out], /--resume has no use with --shard/],
  ] as const) {
    const { code, err } = await learn(...words);
    assert.equal(code, 2, err);
    assert.match(err, says);
  }
  mkdirSync(at('parts/seed-4'));
  const { release } = await lockFolder(at('parts/seed-4'));
  const { code, err } = await learn('--shard', '2/2', ...out);
  await release();
  assert.deepEqual([code, existsSync(at('parts/part-00002-of-00002.parquet'))], [1, false], err);
  assert.match(err, /seed-4: process \d+ has been at work in it since/);
  await writeTree(at('data'), { 'red/more.png': await encodePng(blob(0, 77)) });
  const changed = await learn('--shard', '2/2', ...out);
  assert.equal(changed.code, 2);
  assert.match(changed.err, /part-00001-of-00002.parquet was made from other images \(16 instead of 17\)/);
});
