import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Dataset } from '../../data/sample.js';
import { createRun, openRun } from '../../artifact/run.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { blobs as anyBlobs } from '../../testing/blobs.js';
import { asJson, collect as collectJob, refused } from '../../testing/kit.js';
import type { SearchFile } from '../../artifact/formats.js';
import { baseline, gridCells, policyCells } from './cells.js';
import type { SearchResult } from './outcome.js';
import { writeSearchReport } from './outcome.js';
import { search, type SearchEvent } from './search.js';
import { resolveSearch, trainCommand, type SearchOptions } from './settings.js';
import { beginning, findingOf, rankedCells } from './state.js';

/** Hard to tell apart. */
const blobs = (counts: Parameters<typeof anyBlobs>[0]): Dataset => anyBlobs(counts, 30);

const tiny = {
  mode: 'scratch',
  model: 'convnet-small',
  size: 16,
  batchSize: 8,
  optimizer: 'adamw',
  lr: 0.003,
  flip: false,
  threads: 1,
  workers: 0,
  epochs: 2,
  n: [1],
  m: [3, 15],
  eta: 2,
  minEpochs: 1,
} as const satisfies SearchOptions;

const collect = (
  data: Dataset | undefined,
  options: SearchOptions,
  onEvent?: (event: SearchEvent) => void,
): Promise<{ readonly result: SearchResult; readonly events: SearchEvent[] }> =>
  collectJob(search(data, options), onEvent);

/** A result without what differs from run to run. */
const timeless = ({ cells, best, command, trainings }: SearchResult): unknown => ({ cells, best, command, trainings });

test('a grid is halved on val, ranked, drawn and printed; the test split is never looked at', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const { result, events } = await collect(blobs({ train: 12, val: 8, test: 500 }), { ...tiny, out, seed: 3 });
  assert.deepEqual(result.rungs, [1, 2]);
  assert.deepEqual(result.trainings, { done: 10, planned: 10 });
  assert.deepEqual(result.cells.map(({ policy }) => policy).sort(), [
    'basic',
    'randaugment:n=1,m=15',
    'randaugment:n=1,m=3',
  ]);
  const [first, second, third] = result.cells;
  assert.deepEqual([first!.rung, second!.rung, third!.rung], [2, 2, 1]);
  for (const cell of result.cells) {
    assert.equal(cell.seeds.length, 2);
    assert.ok(Math.abs(cell.top1! - (cell.seeds[0]! + cell.seeds[1]!) / 2) < 1e-12);
    assert.ok(cell.interval! >= 0 && cell.interval! < 0.5 && cell.gain!.interval! < 0.5 && cell.loss! > 0);
    assert.equal(cell.epochs, result.rungs[cell.rung - 1]);
  }
  assert.ok(second!.policy === 'basic' || first!.policy === 'basic', 'the baseline goes to the end');
  assert.equal(result.best.augment, first!.policy);
  assert.equal(result.recommended !== null, first!.gain!.mean > first!.gain!.interval!);
  assert.equal(
    result.command,
    result.recommended &&
      'pupil train DATA --mode scratch --model convnet-small --size 16 --batch-size 8 --optimizer adamw --lr 0.003 ' +
        `--no-flip --epochs 2 --seed 3 --augment ${first!.policy}`,
  );
  const measured = events.filter((event) => event.type === 'cell-done');
  assert.deepEqual(
    measured.slice(0, 4).map(({ policy, seed }) => `${policy} ${seed}`),
    ['basic 0', 'randaugment:n=1,m=3 0', 'randaugment:n=1,m=15 0', 'basic 1'],
  );
  assert.ok(
    events.some((event) => event.type === 'progress' && event.what === 'decoding' && event.total === 40),
    'only train and val are decoded',
  );
  assert.ok(events.some((event) => event.type === 'halving' && event.kept.length === 2 && event.dropped === 1));

  const page = await readFile(join(out, 'report.html'), 'utf8');
  assert.ok(page.includes('<svg') && page.includes(result.verdict) && page.includes('rung 1: 1 of 2 ep.'));
  assert.equal((await readFile(join(out, 'heat-map.png'))).subarray(1, 4).toString(), 'PNG');
  assert.deepEqual(JSON.parse(await readFile(join(out, 'result.json'), 'utf8')), asJson(result));
  await rm(join(out, 'report.html'));
  await writeSearchReport(await openRun(out));
  assert.equal(await readFile(join(out, 'report.html'), 'utf8'), page);
});

test('interrupted and resumed, a search finds the same as one that was not', async (t) => {
  const folder = await temporaryFolder(t);
  const data = blobs({ train: 10, val: 6 });
  const whole = await collect(data, { ...tiny, out: join(folder, 'whole') });
  for (const after of [0, 3, 7]) {
    const out = join(folder, `stopped-${after}`);
    const controller = new AbortController();
    let measured = 0;
    await assert.rejects(
      collect(data, { ...tiny, out, signal: controller.signal }, (event) => {
        if (event.type === 'cell-done') measured++;
        if (event.type === 'step' && measured === after) controller.abort();
      }),
      (error: Error & { code: string }) =>
        error.code === 'interrupted' && error.message.includes(`${after} finished training`),
    );
    assert.equal(existsSync(join(out, 'report.html')), after > 0);
    const { result, events } = await collect(data, { resume: out, threads: 1, workers: 0 });
    assert.deepEqual(timeless(result), timeless(whole.result));
    assert.equal(events.filter((event) => event.type === 'cell-done').length, 10 - after);
  }
  const again = await collect(data, { resume: join(folder, 'whole'), workers: 0 });
  assert.deepEqual(timeless(again.result), timeless(whole.result));
  await assert.rejects(collect(blobs({ train: 11, val: 6 }), { resume: join(folder, 'whole') }), { code: 'bad-data' });
  await writeFile(join(folder, 'whole', 'search.json'), '{"cells": [');
  await assert.rejects(collect(data, { resume: join(folder, 'whole') }), (error: Error) =>
    /search\.json: not valid JSON/.test(error.message),
  );
});

test('when the time is up the search ranks what was measured, and goes on when there is more', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const data = blobs({ train: 10, val: 6 });
  const { result } = await collect(data, { ...tiny, out, minutes: 1e-4 });
  assert.deepEqual(result.trainings, { done: 1, planned: 10 });
  assert.equal(result.best.augment, 'basic');
  assert.deepEqual(
    result.cells.map(({ rung, top1 }) => [rung, top1 === null]),
    [
      [1, false],
      [0, true],
      [0, true],
    ],
  );
  await assert.rejects(collect(data, { resume: out }), (error: Error) =>
    /minutes of .* are used up; give more with `minutes`/.test(error.message),
  );
  const more = await collect(data, { resume: out, minutes: 10, workers: 0 });
  assert.deepEqual(more.result.trainings, { done: 10, planned: 10 });
  const { minutes } = JSON.parse(await readFile(join(out, 'run.json'), 'utf8')).settings as { minutes: number };
  assert.ok(minutes >= 10 && minutes < 12, `${minutes}: the time of both sessions`);
});

test('few labels: every seed learns from a fold of its own; the policies drawn differ', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const { result, events } = await collect(blobs({ train: 20, test: 4 }), {
    ...tiny,
    n: undefined,
    m: undefined,
    space: 'policies',
    candidates: 2,
    eta: undefined,
    minEpochs: undefined,
    halving: false,
    labelsPerClass: 4,
    epochs: 1,
    out,
  });
  assert.deepEqual(result.rungs, [1]);
  assert.equal(result.cells[0]!.seeds.length, 4, 'four folds of four labels a class');
  assert.equal(events.filter((event) => event.type === 'cell-done').length, 12);
  assert.ok(result.cells.filter(({ policy }) => policy.startsWith('ops:')).length === 2);
  assert.ok((await readFile(join(out, 'report.html'), 'utf8')).includes('Ranking'));

  const names = (count: number, seed: number): string[] => policyCells(count, seed).map(({ policy }) => policy.name);
  assert.equal(new Set(names(60, 0)).size, 60);
  assert.deepEqual(names(60, 0).slice(0, 5), names(5, 0));
  assert.notDeepEqual(names(5, 0), names(5, 1));
  for (const { policy } of policyCells(60, 2)) assert.match(policy.name, /^ops:[a-z-]+(=\d+)?(,[a-z-]+(=\d+)?){0,2}$/);
});

test('fine-tuning starts each cell from the same solved head', async (t) => {
  const folder = await temporaryFolder(t);
  const data = blobs({ train: 12, val: 8 });
  const { train } = await import('../../runs/train.js');
  const { n: _, m: __, eta: ___, minEpochs: ____, ...training } = tiny;
  await train(data, { ...training, out: join(folder, 'backbone') });
  const { result, events } = await collect(data, {
    mode: 'finetune',
    model: join(folder, 'backbone'),
    epochs: 1,
    batchSize: 8,
    n: [1],
    m: [3],
    seeds: 1,
    threads: 1,
    workers: 0,
    out: join(folder, 'run'),
  });
  assert.ok(events.some((event) => event.type === 'phase' && event.name === 'probe'));
  assert.equal(result.cells.length, 2);
  assert.ok(result.best.top1 > 0.8, String(result.best.top1));
  for (const { seeds, interval, gain } of result.cells)
    assert.deepEqual([seeds.length, interval, gain!.interval], [1, null, null], 'one seed has no interval');
  assert.deepEqual([result.recommended, result.command], [null, null], 'one seed recommends nothing');
});

test('cells that diverge are last; where all do the search says so', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  await assert.rejects(
    collect(blobs({ train: 10, val: 4 }), {
      ...tiny,
      optimizer: 'sgd',
      lr: 1e30,
      warmup: 0,
      epochs: 3,
      m: [3],
      seeds: 1,
      minEpochs: 3,
      out,
    }),
    (error: Error & { code: string }) => error.code === 'diverged' && /every training diverged/.test(error.message),
  );
  assert.match(await readFile(join(out, 'report.html'), 'utf8'), /diverged/);
});

/**
 * A search of two candidates over two seeds with these answers to as many images, in the order of training; `groups`:
 * what copies among the images share.
 */
function stateOf(
  answers: readonly string[],
  groups = Array.from(answers[0]!, (): string | undefined => undefined),
): SearchFile {
  const [, ...candidates] = gridCells([1], [3, 9, 15], 'torchvision');
  const plan = { cells: 3, baseline: 0, seeds: 2, rungs: [4], eta: 3 };
  return {
    ...beginning([baseline(), ...candidates], plan, [groups]),
    measured: answers.map((right, i) => ({
      cell: i % 3,
      rung: 0,
      seed: Math.floor(i / 3),
      top1: [...right].filter((one) => one === '1').length / right.length,
      loss: 1,
      right,
      seconds: 1,
    })),
  };
}
const [weak, good, perfect] = ['1000000000', '1111110000', '1111111111'] as const;

test('copies of held-out images count once in the intervals of a search', () => {
  const answers = [weak, good, weak, weak, good, weak];
  const copied = answers.map((right) => right.repeat(4));
  const scoresOf = (state: SearchFile) => rankedCells(state).map(({ score }) => score!);
  const alone = scoresOf(stateOf(answers));
  const grouped = scoresOf(
    stateOf(
      copied,
      Array.from(copied[0]!, (_, i) => `${i % 10}`),
    ),
  );
  for (const [i, { interval, gain }] of grouped.entries()) {
    assert.ok(Math.abs(interval! - alone[i]!.interval!) < 1e-9, `${interval}`);
    assert.ok(Math.abs(gain.interval! - alone[i]!.gain.interval!) < 1e-9, `${gain.interval}`);
  }
  assert.ok(scoresOf(stateOf(copied))[0]!.interval! < 0.6 * alone[0]!.interval!, 'as many images that differ');
  assert.equal(stateOf(answers).groups, undefined);
});

test('a policy is recommended where it is above basic by more than the interval, on seeds that all cells share', () => {
  const found = (answers: readonly string[]): readonly unknown[] => {
    const cells = rankedCells(stateOf(answers));
    return [cells[0]!.policy, cells[0]!.score!.seeds, findingOf(cells).policy];
  };
  const [second, third] = ['randaugment:n=1,m=9', 'randaugment:n=1,m=15'];
  assert.deepEqual(found([weak, good, weak, weak, good, weak]), [second, [0.6, 0.6], second]);
  // Of the second seed only the baseline was trained: it does not count, and one seed decides nothing.
  assert.deepEqual(found([weak, good, weak, perfect]), [second, [0.6], undefined]);
  assert.deepEqual(found([weak, weak, weak, weak, weak, perfect]), [third, [0.1, 1], third]);
  // One image of ten is within the interval.
  assert.deepEqual(found([good, good, '1111111000', good, good, '1111111000']), [third, [0.7, 0.7], undefined]);
  const verdicts = [[weak], [weak, good], [good, good, '1111111000', good, good, '1111111000']].map(
    (answers) => findingOf(rankedCells(stateOf(answers))).verdict,
  );
  assert.match(verdicts[0]!, /^Only basic augmentation was measured/);
  assert.match(verdicts[1]!, /\+50\.0 points above basic .*with one seed that may be chance/);
  assert.match(verdicts[2]!, /\+10\.0 ± \d+\.\d points above basic .*which may be chance/);
});

const impossible: readonly (readonly [options: SearchOptions, says: RegExp])[] = [
  [{ n: [] }, /`n`: no number given/],
  [{ n: [0, 1] }, /`n` takes a list such as 1,2,3, each a whole number from 1 to 16, got \[0,1\]/],
  [{ m: [3, 31] }, /`m` takes a list such as 3,9,15, each a whole number from 0 to 30, got \[3,31\]/],
  [{ m: [12], scale: 'timm' }, /`m: 12`: give whole numbers from 0 to 10 on the scale timm/],
  [{ m: [3, 9, 3] }, /`m: 3,9,3`: 3 is there twice/],
  [{ space: 'policies', n: [1] }, /`n` belongs to `space: grid`/],
  [{ candidates: 4 }, /`candidates` belongs to `space: policies`/],
  [{ space: 'policies', candidates: 0 }, /`candidates` takes a whole number of at least 1, got 0/],
  [{ eta: 1 }, /`eta` takes a whole number of at least 2, got 1/],
  [{ mode: 'probe' }, /`mode: probe`/],
  [{ halving: false, eta: 2 }, /`eta` has no use without `halving`; leave it out/],
  [{ halving: false, minEpochs: 2 }, /`minEpochs` has no use without `halving`; leave it out/],
];
for (const [options, says] of impossible) {
  test(`refused before anything is opened: ${JSON.stringify(options)}`, async () => {
    await assert.rejects(collect(undefined, options), { code: 'usage' });
    await assert.rejects(search('no such folder', options).then(), refused('usage', says));
  });
}

test('a run of another kind and labels that cannot be held out are refused', async (t) => {
  const folder = await temporaryFolder(t);
  await (await createRun(folder, 'train', { command: 'train', settings: {}, versions: {} })).close();
  await assert.rejects(collect(undefined, { resume: folder }), (error: Error) =>
    /is a run of pupil train, not of pupil search/.test(error.message),
  );
  await assert.rejects(collect(blobs({ train: 4 }), { ...tiny, labelsPerClass: 1, out: join(folder, 'run') }), {
    code: 'bad-data',
  });
  assert.ok(!existsSync(join(folder, 'run')));
});

test('cells are named as --augment takes them, the command is quoted for a shell', () => {
  assert.deepEqual(
    gridCells([1, 2], [4], 'paper').map(({ policy, n, m }) => [policy.name, n, m]),
    [
      ['randaugment:n=1,m=4,scale=paper', 1, 4],
      ['randaugment:n=2,m=4,scale=paper', 2, 4],
    ],
  );
  const settings = resolveSearch("my photos/it's", {
    mode: 'scratch',
    epochs: 5,
    balance: true,
    flip: false,
    freeze: ['layer1.*', 'a'],
    minutes: 3,
    seeds: 4,
    cutmix: 1,
  });
  assert.equal(
    trainCommand(settings, 'randaugment:n=2,m=9'),
    "pupil train 'my photos/it'\\''s' --mode scratch --epochs 5 --balance --no-flip --freeze 'layer1.*' --freeze a " +
      '--cutmix 1 --augment randaugment:n=2,m=9',
  );
});
