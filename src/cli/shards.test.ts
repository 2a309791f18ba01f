import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parquetReadObjects } from 'hyparquet';
import { pupil } from '../testing/command-line.js';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';
import { useOwnCache } from '../testing/kit.js';
import { run, settled, teacher } from '../testing/shards.js';

useOwnCache();

interface Files {
  readonly at: (name: string) => string;
  readonly model: string;
}

/**
 * Images: some of them twice, in one shard and in two, one broken, one that is no image, others that are
 * also in a labelled set.
 */
async function files(t: TestContext): Promise<Files> {
  const folder = await temporaryFolder(t);
  await writeTree(folder, {
    ...Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`camera/${i % 5}/${String(i).padStart(2, '0')}.png`, i]),
    ),
    'camera/0/again.png': 5,
    'camera/4/again.png': 0,
    'camera/2/cut.png': (await noisePng(70)).subarray(0, 900),
    'camera/4/cut.png': (await noisePng(70)).subarray(0, 900),
    'camera/3/notes.jpg': 'no image',
    ...Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`data/test/${['a', 'b, "c"', 'd'][i % 3]!}/${i}.png`, i < 3 ? i : 300 + i]),
    ),
    'few/1.png': 1,
    'few/2.png': 2,
    'few/3.png': 3,
    ...Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`like/${i}.png`, 200 + i])),
  });
  return { at: (name) => join(folder, name), model: teacher(join(folder, 'teacher.onnx'), 1) };
}

/** What has to be the same of two results. */
const comparable = ({ seconds: _, file: __, ...others }: Record<string, unknown>): object => others;

const selections = [
  ['--threshold', '0'],
  ['--threshold', '0', '--per-class', '9', '--soft'],
  ['--threshold', '0.34', '--balance', '--like'],
] as const;
for (const selection of selections) {
  test(`pseudo-label in shards is pseudo-label in one: ${selection.join(' ')}`, async (t) => {
    const { at, model } = await files(t);
    const options = ['--model', model, '--workers', '0', '--batch-size', '8', '--exclude', at('data'), ...selection];
    if (options.at(-1) === '--like') options.push(at('like'));
    for (const kind of ['parquet', 'csv']) {
      const whole = await run('pseudo-label', at('camera'), ...options, '--out', at(`one.${kind}`));
      if (kind === 'parquet')
        for (const i of [2, 3, 1])
          await run('pseudo-label', at('camera'), ...options, '--shard', `${i}/3`, '--out', at('parts'));
      const merged = await run('pseudo-label', '--merge', at('parts'), '--out', at(`all.${kind}`));
      assert.deepEqual(comparable(merged), comparable(whole));
      assert.ok(
        Number(whole['repeated']) > 0 && Number(whole['excluded']) > 0 && (whole['skipped'] as unknown[]).length > 0,
      );
      assert.ok(readFileSync(at(`all.${kind}`)).equals(readFileSync(at(`one.${kind}`))), `${kind}: the same bytes`);
    }
  });
}

test('a shard that is done is not done again; one that is lost is', async (t) => {
  const { at, model } = await files(t);
  const options = ['--model', model, '--workers', '0', '--threshold', '0'];
  const shard = (i: number): Promise<Record<string, unknown>> =>
    run('pseudo-label', at('camera'), ...options, '--shard', `${i}/2`, '--out', at('parts'));
  await sleep(settled);
  await shard(1);
  const missing = await pupil('pseudo-label', '--merge', at('parts'), '--out', at('all.csv'));
  assert.equal(missing.code, 2);
  assert.match(missing.err, /of 2 shards one is missing: 2; do it again, such as --shard 2\/2/);
  // Two processes on one index.
  const both = await Promise.all([shard(2), shard(2)]);
  assert.deepEqual(
    both.map(({ images }) => images),
    [both[0]['images'], both[0]['images']],
  );
  assert.deepEqual(readdirSync(at('parts')).sort(), ['part-00001-of-00002.parquet', 'part-00002-of-00002.parquet']);
  const first = readFileSync(at('parts/part-00001-of-00002.parquet'));
  assert.deepEqual([(await shard(1))['isDone'], (await shard(2))['isDone']], [true, true]);
  rmSync(at('parts/part-00001-of-00002.parquet'));
  assert.equal((await shard(1))['isDone'], false);
  assert.ok(readFileSync(at('parts/part-00001-of-00002.parquet')).equals(first), 'the same bytes again');
  await run('pseudo-label', '--merge', at('parts'), '--out', at('all.csv'));
});

test('parts that do not belong together are refused in one line', async (t) => {
  const { at, model } = await files(t);
  const label = async (teacher: string, shard: string, ...more: string[]): Promise<{ code: number; err: string }> =>
    pupil(
      ...['pseudo-label', at('camera'), '--model', teacher, '--threshold', '0', '--workers', '0', '--shard', shard],
      ...['--out', at('parts'), ...more],
    );
  const merge = (): Promise<{ code: number; err: string }> =>
    pupil('pseudo-label', '--merge', at('parts'), '--out', at('all.csv'));
  const other = teacher(at('other.onnx'), 2);
  assert.equal((await label(model, '1/2')).code, 0);
  const taken = await label(other, '1/2');
  assert.deepEqual([taken.code, /part-00001-of-00002.parquet was made with another model/.test(taken.err)], [2, true]);
  assert.equal((await label(other, '2/2')).code, 0);
  const two = await merge();
  assert.deepEqual(
    [two.code, /part-00002.*made with another model, unlike .*part-00001/.test(two.err)],
    [2, true],
    two.err,
  );
  rmSync(at('parts/part-00002-of-00002.parquet'));
  assert.equal((await label(model, '2/2', '--batch-size', '4')).code, 0);
  assert.match((await merge()).err, /made with --batch-size 4/);
  rmSync(at('parts/part-00002-of-00002.parquet'));
  assert.equal((await label(model, '2/3')).code, 0);
  assert.match((await merge()).err, /parts of 2 shards and of 3|parts of 3 shards and of 2/);
  writeFileSync(
    at('parts/part-00002-of-00002.parquet'),
    readFileSync(at('parts/part-00001-of-00002.parquet')).subarray(0, 99),
  );
  rmSync(at('parts/part-00002-of-00003.parquet'));
  assert.match((await merge()).err, /part-00002-of-00002.parquet: not a readable part .*delete it/);
  copyFileSync(at('parts/part-00001-of-00002.parquet'), at('parts/part-00002-of-00002.parquet'));
  const copied = /part-00002-of-00002.parquet: holds the part of shard 1 of 2; delete it and do its shard again/;
  for (const { code, err } of [await merge(), await label(model, '2/2')]) {
    assert.equal(code, 2);
    assert.match(err, copied);
  }
  assert.ok(!existsSync(at('all.csv')));
  for (const [words, says] of [
    [['--shard', '3/2'], /there is no shard 3 of 2; they are counted from 1 to 2/],
    [['--shard', '0/2'], /there is no shard 0 of 2/],
    [['--shard', '1'], /--shard takes i\/n counted from 1/],
    [['--shard', 'auto'], /neither SLURM_ARRAY_TASK_ID .* nor JOB_COMPLETION_INDEX/],
  ] as const) {
    const { code, err } = await pupil('pseudo-label', at('camera'), '--model', model, ...words, '--out', at('parts'));
    assert.equal(code, 2);
    assert.match(err, says);
    assert.equal(err.trim().split('\n').length, 1);
  }
});

test('predict in shards is predict in one', async (t) => {
  const { at, model } = await files(t);
  const options = ['--batch-size', '8', '--threshold', '0.35'];
  const whole = await run('predict', model, at('camera'), ...options, '--out', at('one.json'), '--csv', at('one.csv'));
  for (const i of [1, 2, 3])
    await run('predict', model, at('camera'), ...options, '--shard', `${i}/3`, '--out', at('parts'));
  const merged = await run('predict', '--merge', at('parts'), '--out', at('all.json'), '--csv', at('all.csv'));
  assert.deepEqual([merged['counts'], merged['skipped']], [whole['counts'], whole['skipped']]);
  for (const kind of ['json', 'csv'])
    assert.ok(readFileSync(at(`all.${kind}`)).equals(readFileSync(at(`one.${kind}`))), `${kind}: the same bytes`);
  // Where one of the files cannot be written, the other is not left either: the same command can be given again.
  for (const told of [
    [model, at('camera')],
    ['--merge', at('parts')],
  ])
    for (const places of [
      [at('half.json'), at('one.csv/inside.csv')],
      [at('one.csv/inside.json'), at('half.csv')],
    ] as const) {
      const failed = await pupil('predict', ...told, '--out', places[0], '--csv', places[1]);
      assert.equal(failed.code, 2, failed.err);
      assert.match(failed.err, /one\.csv/);
      assert.deepEqual([existsSync(at('half.json')), existsSync(at('half.csv'))], [false, false]);
    }
});

for (const more of [[], ['--tta']]) {
  test(`evaluate in shards is evaluate in one ${more.join(' ')}`, async (t) => {
    const { at, model } = await files(t);
    await writeTree(at('data'), {
      'test/a/cut.png': (await noisePng(71)).subarray(0, 900),
      'test/d/x.jpg': 'no image',
      // The same content, looked at by two shards.
      'test/a/twin.png': 90,
      'test/d/twin.png': 90,
    });
    const options = more.length === 0 ? ['--batch-size', '8', '--workers', '0'] : more;
    const whole = await run('evaluate', model, at('data'), ...options, '--out', at('one'));
    for (const i of [1, 2, 3])
      await run('evaluate', model, at('data'), ...options, '--shard', `${i}/3`, '--out', at('parts'));
    assert.deepEqual(await run('evaluate', '--merge', at('parts'), '--out', at('all.json')), whole);
    const expected = readFileSync(at('one/evaluation.json'), 'utf8');
    assert.equal(readFileSync(at('all.json'), 'utf8'), expected);
    assert.match(expected, /x\.jpg[^]*cut\.png/);
    const { count, independent } = whole as Record<string, number>;
    assert.equal(independent, count! ** 2 / (count! + 2));
  });
}

test("fewer images than a batch are the first shard's, and what has no use is refused", async (t) => {
  const { at, model } = await files(t);
  for (const i of [2, 1]) {
    const { images } = await run('predict', model, at('few'), '--shard', `${i}/2`, '--out', at('parts'));
    assert.equal(images, i === 1 ? 3 : 0);
  }
  await run('predict', '--merge', at('parts'), '--out', at('all.json'));
  for (const [words, says] of [
    [['predict', '--merge', at('parts')], /--merge needs a file to write: --out FILE.json or --csv FILE.csv/],
    [['predict', '--merge', at('parts'), '--out', at('x.json'), '--tta'], /--tta has no use with --merge/],
    [['predict', model, at('few'), '--merge', at('parts')], /predict with --merge takes no <model>/],
    [['predict', model], /predict needs <images>; see pupil predict --help/],
    [['evaluate', '--merge', at('parts')], /part-00001-of-00002.parquet: a part of pupil predict/],
    [
      ['predict', '--merge', at('data'), '--out', at('x.json')],
      /no parts there; do the shards first, with --shard 1\/n/,
    ],
    [['predict', model, at('few'), '--shard', '1/2'], /predict with --shard needs --out FOLDER/],
    [
      ['predict', model, at('few'), '--shard', '1/2', '--csv', at('x.csv'), '--out', at('y')],
      /--csv has no use with --shard/,
    ],
  ] as const) {
    const { code, err } = await pupil(...words);
    assert.equal(code, 2, err);
    assert.match(err, says);
  }
});

test('features in shards are features in one, and others can read them', async (t) => {
  const { at, model } = await files(t);
  const options = ['--model', model, '--workers', '0'];
  const whole = await run('features', at('camera'), ...options, '--out', at('one.parquet'));
  for (const i of [1, 2, 3]) await run('features', at('camera'), ...options, '--shard', `${i}/3`, '--out', at('parts'));
  const merged = await run('features', '--merge', at('parts'), '--out', at('all.parquet'));
  assert.deepEqual(comparable(merged), comparable(whole));
  assert.ok(readFileSync(at('all.parquet')).equals(readFileSync(at('one.parquet'))));
  const bytes = Uint8Array.from(readFileSync(at('all.parquet')));
  const rows = (await parquetReadObjects({ file: bytes.buffer })) as { path: string; features: number[] }[];
  assert.deepEqual([rows.length, whole['images'], (whole['skipped'] as unknown[]).length], [52, 52, 3]);
  const of = (name: string): number[] => rows.find(({ path }) => path.endsWith(name))!.features;
  assert.equal(of('0/00.png').length, whole['size']);
  assert.ok(of('0/00.png').some((x) => x !== 0));
  assert.deepEqual(of('4/again.png'), of('0/00.png'), 'the same image has the same features wherever it is');
  assert.notDeepEqual(of('0/00.png'), of('1/01.png'));
});
