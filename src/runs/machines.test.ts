import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mpirun, withoutMpirun } from '../testing/mpi.js';
import { linesOf, photos, training } from '../testing/ranks-training.js';

/** Whole commands that train one network through a folder, as machines do that see it. */

const cli = fileURLToPath(new URL('../cli/main.js', import.meta.url));

interface Started {
  readonly pid: number;
  readonly ended: Promise<{ readonly code: number | null; readonly err: string }>;
}

function start(...argv: string[]): Started {
  const child = spawn(process.execPath, [cli, ...argv], { stdio: ['ignore', 'ignore', 'pipe'] });
  let err = '';
  child.stderr.on('data', (data) => (err += String(data)));
  const ended = new Promise<{ code: number | null; err: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, err }));
  });
  return { pid: child.pid!, ended };
}

/** 24 images in batches of 12: 2 steps an epoch. */
const words = (epochs: number, more = ''): string[] =>
  training(epochs, `--bn train --average-every 2 --folds 0 ${more}`.trim());

const stretchesIn = (folder: string): string[] => {
  const path = join(folder, 'all-1', 'stretches');
  return existsSync(path) ? readdirSync(path) : [];
};

async function until(condition: () => boolean, machine: Started): Promise<void> {
  let over = '';
  void machine.ended.then(({ code, err }) => (over = `ended with ${code}: ${err}`));
  while (!condition() && over === '') await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(over, '');
}

const stepsOf = (run: string): number[] => linesOf(run).flatMap(({ type, step }) => (type === 'step' ? [step] : []));

const options = { timeout: 14 * 60_000 };

test('machines train together; one is killed, another comes, and the rest finish', options, async (t) => {
  const root = await photos(t);
  const [data, folder, ...runs] = ['data', 'shared', 'one', 'two', 'three', 'late'].map((name) => join(root, name)) as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const begin = (run: string): Started => start('train', data, ...words(60), '--share', folder, '--out', run);
  const one = begin(runs[0]);
  await until(() => stretchesIn(folder).length > 2, one);
  const two = begin(runs[1]);
  await until(() => existsSync(join(runs[1], 'metrics.jsonl')) && stepsOf(runs[1]).length > 4, two);
  process.kill(two.pid, 'SIGKILL');
  const three = begin(runs[2]);
  for (const { ended } of [one, three]) {
    const { code, err } = await ended;
    assert.equal(code, 0, err);
  }
  assert.match(
    (await three.ended).err,
    /takes part in the training in .* with the average of \d machines?, after step/,
  );
  assert.match((await one.ended).err, /averaged with [12] other machines?/);
  const steps = [runs[0], runs[2]].flatMap(stepsOf);
  assert.equal(new Set(steps).size, steps.length, 'no step was made twice');
  assert.ok(stepsOf(runs[0]).length < 120, 'not all by one');
  assert.equal(stretchesIn(folder).length, 60);
  for (const run of [runs[0], runs[2]]) assert.ok(existsSync(join(run, 'model.onnx')), run);
  // The one that was killed has nothing left to do but to take the average, and to measure it.
  const resumed = await start('train', '--resume', runs[1]).ended;
  assert.equal(resumed.code, 0, resumed.err);
  assert.ok(existsSync(join(runs[1], 'model.onnx')));
  const late = await begin(runs[3]).ended;
  assert.equal(late.code, 0, late.err);
  assert.ok(existsSync(join(runs[3], 'model.onnx')));
  const { best } = JSON.parse(readFileSync(join(runs[3], 'result.json'), 'utf8')) as { best: { epoch: number } };
  assert.equal(best.epoch, 60);
});

test('mistakes are told in one line, with code 2', options, async (t) => {
  const root = await photos(t);
  const [data, folder] = ['data', 'shared'].map((name) => join(root, name)) as [string, string];
  const first = await start('train', data, ...words(1), '--share', folder, '--out', join(root, 'first')).ended;
  assert.equal(first.code, 0, first.err);
  const cases: readonly (readonly [argv: readonly string[], line: RegExp])[] = [
    [[...training(1), '--share', folder], /--share needs the steps .* give --average-every, such as 100/],
    [[...words(1, '--minutes 1'), '--share', folder], /--share and --minutes exclude one another/],
    [
      [...words(1).map((word) => (word === '0.01' ? 'auto' : word)), '--share', folder],
      /--lr auto: every machine would choose its own/,
    ],
    [[...words(2), '--share', folder], /--epochs is 2 here, 1 for the training in .*shared; start all machines alike/],
    [[...words(1), '--share', join(data, 'train', 'red', '0.png')], /cannot write .*0.png/],
  ];
  for (const [i, [argv, line]] of cases.entries()) {
    const run = join(root, `run-${i}`);
    const { code, err } = await start('train', data, ...argv, '--out', run).ended;
    assert.equal(code, 2, err);
    const said = err.split('\n').filter((text) => text.startsWith('pupil: '));
    assert.equal(said.length, 1, err);
    assert.match(said[0]!, line);
    assert.ok(!existsSync(run), 'there is no run yet');
  }
});

test('ranks do not share a folder', { ...options, skip: withoutMpirun }, async (t) => {
  const root = await photos(t);
  const ended = await mpirun(2, ['train', join(root, 'data'), ...words(1), '--share', join(root, 'shared')]);
  assert.equal(ended.code, 2, ended.err);
  assert.match(ended.err, /^pupil: --share is for machines that are started one by one, not for 2 ranks/m);
});
