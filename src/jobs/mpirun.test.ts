import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { LadderFile, RoundsFile } from '../artifact/formats.js';
import { encodePng } from '../image/decode.js';
import { pupil } from '../testing/command-line.js';
import { blob, writeTree } from '../testing/image-files.js';
import { mpirun, withoutMpirun, type Ended } from '../testing/mpi.js';
import { assertClose, linesOf, lossesOf, photos } from '../testing/ranks-training.js';

/** Chains of trainings as several processes, which Open MPI starts and connects. */

const options = { skip: withoutMpirun, timeout: 14 * 60_000 };

/** The photos with some that have no label. */
async function withOthers(t: TestContext): Promise<{ readonly root: string; readonly data: string[] }> {
  const root = await photos(t);
  const files: Record<string, Uint8Array> = {};
  for (let i = 0; i < 24; i++) files[`more/${i}.png`] = await encodePng(blob(i % 3, 100 + i, 40));
  await writeTree(root, files);
  return { root, data: [join(root, 'data'), '--unlabelled', join(root, 'more')] };
}

const words = (...lines: readonly string[]): string[] => lines.flatMap((line) => line.split(' '));

/** Without statistics of batches, which are those of each rank. */
const shared = words(
  '--mode scratch --model convnet-small --size 16 --lr 0.003 --optimizer adamw --bn frozen --seed 3',
);
const machine = words('--engine ort --threads 1 --workers 1');
const climbing = (epochs: number): string[] => [
  ...words(`--batch-size 12 --rungs supervised,consensus,pseudo-labels --epochs ${epochs} --student-epochs 2`),
  ...shared,
  ...machine,
];

const read = <T>(...path: readonly string[]): T => JSON.parse(readFileSync(join(...path), 'utf8')) as T;

/** What was tried and how often it is right. */
const triedIn = (run: string): unknown =>
  read<LadderFile>(run, 'ladder.json').rungs.map(({ name, kept, selection }) => [name, kept, selection?.top1]);

test('learn on 2 ranks tries the same, with the same outcome, as one process', options, async (t) => {
  const { root, data } = await withOthers(t);
  const [one, two] = ['one', 'two'].map((name) => join(root, name)) as [string, string];
  const alone = await pupil('learn', ...data, ...climbing(4), '--out', one);
  assert.equal(alone.code, 0, alone.err);
  const ended = await mpirun(2, ['learn', ...data, ...climbing(4), '--out', two, '--json']);
  assert.equal(ended.code, 0, ended.err);
  assert.match(ended.err, /ranks +2 share the steps of each training/);
  assert.equal(ended.out.split('\n').length, 2, ended.out);
  const result = JSON.parse(ended.out) as { readonly run: string; readonly rungs: readonly unknown[] };
  assert.deepEqual([result.run, result.rungs.length], [two, 3]);
  assert.deepEqual(triedIn(two), triedIn(one));
  for (const rung of ['supervised', 'pseudo-labels'])
    assertClose(lossesOf(join(two, 'rungs', rung)), lossesOf(join(one, 'rungs', rung)), 1e-5);
  assert.ok(existsSync(join(two, 'model.onnx')) && existsSync(join(two, 'report.html')));
});

test('self-train on 2 ranks has the rounds of one process', options, async (t) => {
  const { root, data } = await withOthers(t);
  const [one, two] = ['one', 'two'].map((name) => join(root, name)) as [string, string];
  const told = [...words('--batch-size 12 --epochs 6 --rounds 1 --student-epochs 2'), ...shared, ...machine];
  const alone = await pupil('self-train', ...data, ...told, '--out', one);
  assert.equal(alone.code, 0, alone.err);
  const ended = await mpirun(2, ['self-train', ...data, ...told, '--out', two]);
  assert.equal(ended.code, 0, ended.err);
  const roundsIn = (run: string): unknown =>
    read<RoundsFile>(run, 'rounds.json').rounds.map(({ student, selection }) => [student, selection?.top1]);
  assert.deepEqual(roundsIn(two), roundsIn(one));
  for (const round of ['0', '1'])
    assertClose(lossesOf(join(two, 'rounds', round)), lossesOf(join(one, 'rounds', round)), 1e-5);
});

test('learn within minutes: the clock of the first rank decides for all', options, async (t) => {
  const { root, data } = await withOthers(t);
  const out = join(root, 'run');
  const ended = await mpirun(2, ['learn', ...data, ...shared, ...machine, '--minutes', '0.3', '--out', out, '--json']);
  assert.equal(ended.code, 0, ended.err);
  const { rungs } = JSON.parse(ended.out) as { readonly rungs: LadderFile['rungs'] };
  assert.ok(
    rungs.some(({ kept }) => kept),
    ended.out,
  );
  assert.deepEqual(read<LadderFile>(out, 'ladder.json').rungs, rungs);
});

test('a rank that is killed ends the chain; it goes on with another number of ranks', options, async (t) => {
  const { root, data } = await withOthers(t);
  const [one, several, pidFile] = ['one', 'several', 'pid'].map((name) => join(root, name)) as [string, string, string];
  const alone = await pupil('learn', ...data, ...climbing(12), '--out', one);
  assert.equal(alone.code, 0, alone.err);
  const running = mpirun(2, ['learn', ...data, ...climbing(12), '--out', several], { pidFile });
  let ended: Ended | undefined;
  void running.then((value) => (ended = value));
  const supervised = join(several, 'rungs', 'supervised');
  const epochs = (): number =>
    existsSync(join(supervised, 'metrics.jsonl'))
      ? linesOf(supervised).filter(({ type }) => type === 'evaluation').length
      : 0;
  while (epochs() < 3 && !ended) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(ended, undefined, ended?.err);
  const killed = performance.now();
  process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
  const { code, err } = await running;
  assert.notEqual(code, 0);
  assert.match(err, /rank 1 .*Killed/, 'the launcher names the rank');
  assert.ok(performance.now() - killed < 60_000, 'within a minute');
  const resumed = await mpirun(3, ['learn', '--resume', several]);
  assert.equal(resumed.code, 0, resumed.err);
  assert.deepEqual(triedIn(several), triedIn(one));
  assertClose(lossesOf(supervised), lossesOf(join(one, 'rungs', 'supervised')), 1e-5);
});

test('what cannot run on several ranks is refused with what to do', options, async (t) => {
  const { data } = await withOthers(t);
  const cases: readonly (readonly [ranks: number, argv: readonly string[], line: RegExp])[] = [
    [2, ['search', ...data.slice(0, 1)], /pupil search runs as one process, not as 2 ranks.*--shard/],
    [5, ['learn', ...data, ...climbing(1)], /12 images cannot be cut in 5 .*--batch-size 10.* or start 4 ranks/],
  ];
  for (const [ranks, argv, line] of cases) {
    const { code, err } = await mpirun(ranks, argv);
    assert.equal(code, 2, err);
    const said = err.split('\n').filter((text) => text.startsWith('pupil: '));
    assert.equal(said.length, 1, err);
    assert.match(said[0]!, line);
  }
});
