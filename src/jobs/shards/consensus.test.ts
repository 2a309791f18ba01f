import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPseudoLabels } from '../../artifact/pseudo-labels.js';
import { encodePng } from '../../image/decode.js';
import { pupil } from '../../testing/command-line.js';
import { blob, noisePng, temporaryFolder, writeTree } from '../../testing/image-files.js';
import { useOwnCache } from '../../testing/kit.js';
import { run, teacher } from '../../testing/shards.js';
import { mergeConsensus } from './consensus.js';

useOwnCache();

const tints = ['red', 'green', 'blue'];

test('the consensus of all parts is the same however many there are, and right', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  const picture = (channel: number, seed: number): Promise<Uint8Array> => encodePng(blob(channel, seed));
  for (const [channel, tint] of tints.entries()) {
    for (let i = 0; i < 6; i++)
      await writeTree(folder, { [`photos/${tint}/${i}.png`]: await picture(channel, 100 * channel + i) });
    for (let i = 0; i < 30; i++)
      await writeTree(folder, { [`camera/${i}-${tint}.png`]: await picture(channel, 1000 + 100 * channel + i) });
  }
  await writeTree(folder, {
    'camera/0-known.png': await picture(0, 0),
    'camera/1-twice-red.png': await picture(0, 1001),
    'camera/cut.png': (await noisePng(70)).subarray(0, 900),
  });
  const model = teacher(at('backbone.onnx'), 1);
  const told = ['features', at('camera'), '--model', model, '--workers', '0'];
  await run(...told, '--shard', '1/1', '--out', at('one'));
  for (const i of [1, 2, 3]) await run(...told, '--shard', `${i}/3`, '--out', at('three'));
  const merge = (parts: string, out: string, ...more: string[]): Promise<Record<string, unknown>> =>
    run(
      ...['pseudo-label', '--merge', at(parts), '--data', at('photos'), '--model', model, '--workers', '0'],
      ...['--threshold', '0.5', '--out', at(out), ...more],
    );
  const one = await merge('one', 'one.parquet'),
    three = await merge('three', 'three.parquet');
  assert.deepEqual(
    [one['total'], one['excluded'], one['repeated'], (one['skipped'] as unknown[]).length],
    [90, 1, 1, 1],
  );
  assert.deepEqual({ ...three, seconds: 0, file: '' }, { ...one, seconds: 0, file: '' });
  assert.ok(readFileSync(at('three.parquet')).equals(readFileSync(at('one.parquet'))), 'the same bytes');

  const right = async (file: string): Promise<number> => {
    const { rows, classes } = await readPseudoLabels(at(file));
    return rows.filter(({ path, label }) => path.includes(classes[label]!)).length;
  };
  assert.ok((await right('one.parquet')) > 80, 'nearly all of 90 are right');
  // In memory at once: 90 images as above, or 30.
  await mergeConsensus(at('three'), at('photos'), { model, workers: 0, threshold: 0, out: at('blocks.parquet') }, 40);
  assert.ok((await right('blocks.parquet')) > 80);
  const balanced = await merge('three', 'balanced.csv', '--per-class', '5');
  assert.equal(balanced['accepted'], 15);

  const other = teacher(at('other.onnx'), 2);
  writeFileSync(at('taken.parquet'), '');
  for (const [words, says] of [
    [['--model', other, '--out', at('x.csv')], /three: the parts were made with another --model/],
    [['--model', model, '--out', at('taken.parquet')], /taken.parquet already exists/],
    [['--model', model, '--out', at('x.csv'), '--exclude', at('photos')], /--exclude has no use with --merge/],
    [['--out', at('x.csv')], /needs a --model/],
  ] as const) {
    const { code, err } = await pupil('pseudo-label', '--merge', at('three'), '--data', at('photos'), ...words);
    assert.equal(code, 2, err);
    assert.match(err, says);
  }
  const alone = await pupil('pseudo-label', at('camera'), '--data', at('photos'), '--model', model);
  assert.match(alone.err, /--data has a use with --merge alone/);
});
