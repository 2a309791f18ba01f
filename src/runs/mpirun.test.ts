import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pupil } from '../testing/command-line.js';
import { mpirun, withoutMpirun, type Ended } from '../testing/mpi.js';
import { assertClose, linesOf, lossesOf, photos, training } from '../testing/ranks-training.js';

/** Whole commands as several processes, which Open MPI starts and connects. */

const options = { skip: withoutMpirun, timeout: 14 * 60_000 };

/** The lines of the command itself. */
const said = ({ err }: Ended): string[] => err.split('\n').filter((line) => line.startsWith('pupil: '));

/** Waits for so many evaluations of a run that goes on. */
async function untilEvaluated(run: string, times: number, running: Promise<Ended>): Promise<void> {
  let ended: Ended | undefined;
  void running.then((value) => (ended = value));
  const metrics = join(run, 'metrics.jsonl');
  const done = (): number =>
    existsSync(metrics) ? linesOf(run).filter(({ type }) => type === 'evaluation').length : 0;
  while (done() < times && !ended) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(ended, undefined, ended?.err);
}

test('2 ranks give the run folder of one process, and one result', options, async (t) => {
  const root = await photos(t);
  const [data, one, two] = ['data', 'one', 'two'].map((name) => join(root, name)) as [string, string, string];
  assert.equal((await pupil('train', data, ...training(3), '--out', one)).code, 0);
  const ended = await mpirun(2, ['train', data, ...training(3), '--out', two, '--json']);
  assert.equal(ended.code, 0, ended.err);
  assert.equal(ended.out.split('\n').length, 2, ended.out);
  const result = JSON.parse(ended.out) as { readonly run: string; readonly val: { readonly count: number } };
  assert.deepEqual([result.run, result.val.count], [two, 6]);
  assert.ok(existsSync(join(two, 'model.onnx')));
  assertClose(lossesOf(two), lossesOf(one), 1e-4);
  assert.match(ended.err, /2 ranks train together/);
});

test('distill on 2 ranks learns from the teacher as one process does', options, async (t) => {
  const root = await photos(t);
  const [data, teacher, one, two] = ['data', 'teacher', 'one', 'two'].map((name) => join(root, name)) as [
    string,
    string,
    string,
    string,
  ];
  assert.equal((await pupil('train', data, ...training(10), '--out', teacher)).code, 0);
  const words =
    '--size 24 --epochs 3 --batch-size 12 --lr 0.01 --bn frozen --cutmix 1 --engine ort --threads 1 --workers 1';
  const told = ['--teacher', teacher, '--student', 'resnet8', ...words.split(' ')];
  const alone = await pupil('distill', data, ...told, '--out', one);
  assert.equal(alone.code, 0, alone.err);
  const ended = await mpirun(2, ['distill', data, ...told, '--out', two]);
  assert.equal(ended.code, 0, ended.err);
  assertClose(lossesOf(two), lossesOf(one), 1e-5);
});

test('with --sync-bn 2 ranks train as one process does, over TCP', options, async (t) => {
  const root = await photos(t);
  const [data, one, two] = ['data', 'one', 'two'].map((name) => join(root, name)) as [string, string, string];
  assert.equal((await pupil('train', data, ...training(2, '--sync-bn'), '--out', one)).code, 0);
  // As between two machines, without shared memory.
  const environment = { OMPI_MCA_btl: 'tcp,self' };
  const ended = await mpirun(2, ['train', data, ...training(2, '--sync-bn'), '--out', two], { environment });
  assert.equal(ended.code, 0, ended.err);
  assertClose(lossesOf(two), lossesOf(one), 1e-4);
});

/** Of whole epochs: those of steps are the first rank's alone where ranks make their steps by themselves. */
const epochLosses = (run: string): number[] => linesOf(run).flatMap(({ train }) => (train ? [train.loss] : []));

test('ranks that average their weights in every step train as those that average gradients', options, async (t) => {
  const root = await photos(t);
  const [data, usual, local] = ['data', 'usual', 'local'].map((name) => join(root, name)) as [string, string, string];
  for (const [out, more] of [
    [usual, []],
    [local, ['--average-every', '1']],
  ] as const) {
    const ended = await mpirun(2, ['train', data, ...training(3), ...more, '--out', out]);
    assert.equal(ended.code, 0, ended.err);
  }
  assertClose(epochLosses(local), epochLosses(usual), 1e-4);
});

/** The data, two runs, and where a rank writes its process. */
const pathsIn = (root: string): [string, string, string, string] => [
  join(root, 'data'),
  join(root, 'one'),
  join(root, 'several'),
  join(root, 'pid'),
];

test('between averages a rank that is killed ends all; the run goes on from an average', options, async (t) => {
  const root = await photos(t);
  const [data, one, several, pidFile] = pathsIn(root);
  const words = training(15, '--bn train --average-every 2');
  const whole = await mpirun(2, ['train', data, ...words, '--out', one]);
  assert.equal(whole.code, 0, whole.err);
  assert.match(whole.err, /averages its weights with the others' after every 2 steps/);
  const running = mpirun(2, ['train', data, ...words, '--out', several], { pidFile });
  await untilEvaluated(several, 3, running);
  process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
  const { code, err } = await running;
  assert.notEqual(code, 0);
  assert.match(err, /rank 1 .*Killed/, 'the launcher names the rank');
  const resumed = await mpirun(2, ['train', '--resume', several]);
  assert.equal(resumed.code, 0, resumed.err);
  assert.match(resumed.err, /continuing after step/);
  assertClose(epochLosses(several), epochLosses(one), 1e-4);
});

test('a rank that is killed ends all; the run goes on with another number of ranks', options, async (t) => {
  const root = await photos(t);
  const [data, one, several, pidFile] = pathsIn(root);
  assert.equal((await pupil('train', data, ...training(15), '--out', one)).code, 0);
  const running = mpirun(2, ['train', data, ...training(15), '--out', several], { pidFile });
  await untilEvaluated(several, 3, running);
  process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
  const { code, err } = await running;
  assert.notEqual(code, 0);
  assert.match(err, /rank 1 .*Killed/, 'the launcher names the rank');
  const resumed = await mpirun(3, ['train', '--resume', several]);
  assert.equal(resumed.code, 0, resumed.err);
  assert.match(resumed.err, /continuing after step/);
  assertClose(lossesOf(several), lossesOf(one), 1e-3);
});

test('a rank that does not answer ends all in time, with a line that says so', options, async (t) => {
  const root = await photos(t);
  const [data, out, pidFile] = ['data', 'out', 'pid'].map((name) => join(root, name)) as [string, string, string];
  const running = mpirun(2, ['train', data, ...training(2000), '--out', out], {
    pidFile,
    environment: { PUPIL_MPI_TIMEOUT: '10' },
  });
  let ended: Ended | undefined;
  void running.then((value) => (ended = value));
  while (!existsSync(join(out, 'metrics.jsonl')) && !ended) await new Promise((resolve) => setTimeout(resolve, 20));
  // As behind a connection that is cut.
  if (!ended) process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGSTOP');
  const { code, err } = await running;
  assert.equal(code, 1, err);
  assert.match(err, /^pupil: the exchange between 2 ranks timed out: for 10 s .* --resume /m);
});

/** The process that started a process. */
const parentOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[1]);

test('a launcher that is told to end does so in twice the time that it gives, the state saved', options, async (t) => {
  const root = await photos(t);
  const [data, , several, pidFile] = pathsIn(root);
  const seconds = 6;
  const running = mpirun(2, ['train', data, ...training(2000), '--out', several], {
    pidFile,
    environment: { OMPI_MCA_odls_base_sigkill_timeout: String(seconds) },
  });
  await untilEvaluated(several, 2, running);
  const told = performance.now();
  process.kill(parentOf(Number(readFileSync(pidFile, 'utf8'))), 'SIGTERM');
  const { err } = await running;
  const took = (performance.now() - told) / 1000;
  t.diagnostic(`${took.toFixed(1)} s after SIGTERM, with ${seconds} s before SIGKILL`);
  assert.match(err, /^pupil: interrupted; continue with pupil train --resume /m);
  assert.ok(took < 2 * seconds + 10, `${took} s`);
});

test('ranks that were told or see other things are refused once, with code 2', options, async (t) => {
  const root = await photos(t);
  const data = join(root, 'data');
  const out = ['--out', join(root, 'run')];
  await cp(data, join(root, 'other'), { recursive: true });
  await rm(join(root, 'other/train/red/0.png'));
  const told = ['train', data, ...training(1), ...out];
  const cases: readonly (readonly [last: readonly string[], line: RegExp])[] = [
    [
      ['train', data, ...training(2), ...out],
      /rank 1 .*--epochs is 2 here, that of rank 0 is 1; start all ranks alike/,
    ],
    [[...told, '--no-flip'], /rank 1 .*--flip is false here, that of rank 0 is not given; start/],
    [['distill', data, '--teacher', 'a', '--student', 'b', ...out], /rank 1 .*the command is distill here, .* train/],
    [[...told, '--option-of-another-version'], /rank 1 .*--option-of-another-version/],
    [['train', join(root, 'nowhere'), ...told.slice(2)], /rank 1 .*nowhere/],
    [['train', join(root, 'other'), ...told.slice(2)], /rank 1 .*other holds other images here than for rank 0/],
  ];
  for (const [last, line] of cases) {
    const ended = await mpirun(2, told, { last });
    assert.equal(ended.code, 2, ended.err);
    assert.equal(said(ended).length, 1, ended.err);
    assert.match(said(ended)[0]!, line);
  }
});

test('mistakes are told once, and end all ranks with code 2', options, async (t) => {
  const root = await photos(t);
  const data = join(root, 'data');
  const told = [...training(1), '--out', join(root, 'run')];
  const cases: readonly (readonly [ranks: number, argv: readonly string[], line: RegExp])[] = [
    [2, ['train', data, '--epochs', 'many'], /--epochs/],
    [2, ['gap', data], /pupil gap runs as one process, not as 2 ranks/],
    [2, ['train', data, ...told, '--average-every', '0'], /--average-every takes a whole number of at least 1/],
    [2, ['train', data, ...told, '--average-every', '2', '--sync-bn'], /--average-every and --sync-bn exclude/],
    [2, ['train', join(root, 'nowhere'), ...told], /nowhere/],
    [5, ['train', data, ...told], /batch of 12 images cannot be cut in 5 .*--batch-size 10/],
  ];
  for (const [ranks, argv, line] of cases) {
    const ended = await mpirun(ranks, argv);
    assert.equal(ended.code, 2, ended.err);
    assert.equal(said(ended).length, 1, ended.err);
    assert.match(said(ended)[0]!, line);
    assert.ok(!existsSync(join(root, 'run')), 'there is no run that the next try finds');
  }
  const environment = { PUPIL_MPI: '/nowhere/libmpi.so' };
  const without = await mpirun(2, ['train', data, ...training(1), '--out', join(root, 'without')], { environment });
  assert.equal(without.code, 2, without.err);
  assert.equal(said(without).length, 1, without.err);
  assert.match(said(without)[0]!, /MPI cannot be used: \/nowhere\/libmpi.so does not exist/);
});
