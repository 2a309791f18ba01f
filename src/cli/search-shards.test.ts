import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { SearchFile } from '../artifact/formats.js';
import { pupil } from '../testing/command-line.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { useOwnCache } from '../testing/kit.js';
import { run } from '../testing/shards.js';

useOwnCache();

/** Few images without a val folder: two folds, and each seed learns from one. */
async function files(t: TestContext): Promise<(name: string) => string> {
  const folder = await temporaryFolder(t);
  const names = ['a', 'b'].flatMap((label, l) =>
    Array.from({ length: 12 }, (_, i) => [`data/train/${label}/${i}.png`, 100 * l + i] as const),
  );
  await writeTree(folder, Object.fromEntries(names));
  return (name) => join(folder, name);
}

const options = [
  ...['--mode', 'scratch', '--model', 'convnet-small', '--size', '16', '--batch-size', '8', '--folds', '2'],
  ...['--n', '1', '--m', '3,9,15', '--threads', '1', '--workers', '0', '--seed', '4'],
];
const halved = ['--epochs', '2', '--eta', '2', '--min-epochs', '1'];
const whole = ['--epochs', '1', '--no-halving'];

const stateOf = (folder: string): SearchFile =>
  JSON.parse(readFileSync(join(folder, 'search.json'), 'utf8')) as SearchFile;
/** Everything but how long it took. */
const timeless = ({ measured, ...plan }: SearchFile): object => ({
  ...plan,
  measured: measured.map(({ seconds: _, ...others }) => others),
});

test('search in shards, stage by stage, is search in one process', async (t) => {
  const at = await files(t);
  const told = [at('data'), ...options, ...halved];
  const one = await run('search', ...told, '--out', at('one'));
  const shard = (i: number): Promise<Record<string, unknown>> =>
    run('search', ...told, '--shard', `${i}/3`, '--out', at('parts'));
  const seen: string[] = [];
  for (const i of [1, 2, 3, 1, 2]) {
    const { trained, done, planned, waitsFor } = await shard(i);
    seen.push(`${String(trained)}: ${String(done)} of ${String(planned)}, ${String(waitsFor)}`);
    const early = await pupil('search', '--merge', at('parts'), '--out', at('early'));
    if (waitsFor === null) break;
    assert.equal(early.code, 2);
    assert.match(
      early.err,
      new RegExp(`stage ${String(waitsFor)} of 2 lacks \\d of \\d trainings; start the shards again`),
    );
    assert.ok(!existsSync(at('early')));
  }
  // Stage 1: basic and three cells, by two seeds; stage 2: basic and the better two... by two seeds.
  assert.deepEqual(seen, ['3: 3 of 12, 1', '3: 6 of 12, 1', '3: 9 of 12, 2', '2: 11 of 12, 2', '1: 12 of 12, null']);
  const merged = await run('search', '--merge', at('parts'), '--out', at('merged'));
  const results = [one, merged].map(({ seconds: _, run: __, ...others }) => others);
  assert.deepEqual(results[1], results[0], 'the same ranking, verdict and command');
  assert.deepEqual(timeless(stateOf(at('merged'))), timeless(stateOf(at('one'))));
  assert.ok(readFileSync(at('merged/heat-map.png')).equals(readFileSync(at('one/heat-map.png'))));
  assert.ok(existsSync(at('merged/report.html')));
  // The merged run is a run: it goes on, with nothing left to do.
  const again = await run('search', '--resume', at('merged'), '--threads', '1', '--workers', '0');
  assert.deepEqual([again['cells'], again['verdict']], [one['cells'], one['verdict']]);
});

test('a shard of a search does what is missing, in any division, and refuses what does not belong', async (t) => {
  const at = await files(t);
  const told = [at('data'), ...options, ...whole];
  const first = await run('search', ...told, '--shard', '2/2', '--out', at('parts'));
  assert.deepEqual([first['trained'], first['done'], first['waitsFor']], [4, 4, 1]);
  assert.equal((await run('search', ...told, '--shard', '2/2', '--out', at('parts')))['trained'], 0, 'done before');
  const [lost] = readdirSync(at('parts/stage-1'));
  rmSync(at(`parts/stage-1/${lost!}`));
  assert.equal((await run('search', ...told, '--shard', '2/2', '--out', at('parts')))['trained'], 1);
  // Two at once, with another division.
  const both = await Promise.all([1, 1].map(() => run('search', ...told, '--shard', '1/1', '--out', at('parts'))));
  for (const { done, waitsFor } of both) assert.deepEqual([done, waitsFor], [8, null]);
  await run('search', '--merge', at('parts'), '--out', at('merged'));
  assert.equal(stateOf(at('merged')).measured.length, 8);

  await cp(at('data'), at('other'), { recursive: true });
  rmSync(at('other/train/a/0.png'));
  for (const [words, says] of [
    [[at('other'), ...options, ...whole, '--shard', '1/2', '--out', at('parts')], /was made from other images/],
    [[...told, '--lr', '0.01', '--shard', '1/2', '--out', at('parts')], /was made with .*choose another --out/],
    [[...told, '--shard', '1/2'], /search with --shard needs --out FOLDER/],
    [[...told, '--minutes', '1', '--shard', '1/2', '--out', at('x')], /--minutes has no use with --shard/],
    [['--resume', at('merged'), '--shard', '1/2', '--out', at('x')], /search needs DATA/],
    [['--merge', at('data'), '--out', at('x')], /no parts of a search there; do the shards first, with --shard 1\/n/],
    [['--merge', at('parts'), '--out', at('x'), '--epochs', '3'], /--epochs has no use with --merge/],
    [['--merge', at('parts'), '--out', at('merged')], /already exists; choose another --out/],
  ] as const) {
    const { code, err } = await pupil('search', ...words);
    assert.equal(code, 2, err);
    assert.match(err, says);
    assert.equal(err.trim().split('\n').length, 1, err);
  }
  rmSync(at('parts/stage-1/part-00003-of-00008.parquet'));
  const { code, err } = await pupil('search', '--merge', at('parts'), '--out', at('x'));
  assert.equal(code, 2);
  assert.match(err, /stage 1 of 1 lacks 1 of 8 trainings; start the shards again/);
});
