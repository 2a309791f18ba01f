import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Rung } from '../../artifact/formats.js';
import { runFiles } from '../../artifact/run-files.js';
import type { Dataset } from '../../data/sample.js';
import { blobBackbone } from '../../testing/blob-backbone.js';
import { blobs, blobTraining as shared } from '../../testing/blobs.js';
import { busyClock } from '../../testing/busy-clock.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { collect, useOwnCache } from '../../testing/kit.js';
import { unused } from './climb.js';
import { learn, type LearnEvent, type LearnOptions } from './learn.js';

useOwnCache();

/** What was tried, and the notes. */
async function climb(
  data: Dataset,
  options: LearnOptions,
  onEvent?: (event: LearnEvent) => void,
): Promise<{ readonly rungs: readonly Rung[]; readonly notes: readonly string[] }> {
  const notes: string[] = [];
  const { result } = await collect(learn(data, options), (event) => {
    if (event.type === 'note') notes.push(event.message);
    onEvent?.(event);
  });
  return { rungs: result.rungs, notes };
}

const namesOf = (rungs: readonly Rung[]): string[] => rungs.filter(({ skipped }) => !skipped).map(({ name }) => name);

test('a student that was trained is kept when the time is over by then, and what ends rounds is said', async (t) => {
  const at = await temporaryFolder(t),
    out = join(at, 'run');
  const data = blobs({ train: 60, test: 30 });
  const options: LearnOptions = {
    ...(await blobBackbone(join(at, 'backbone'))),
    labelsPerClass: 4,
    rungs: ['probe', 'consensus', 'rounds'],
  };
  const pass = busyClock(t);
  const { rungs, notes } = await climb(data, { ...options, minutes: 2, out }, (event) => {
    if (event.type === 'phase' && event.name.startsWith('round 1: consensus')) pass(150);
  });
  assert.deepEqual(namesOf(rungs), ['probe', 'consensus', 'round 1']);
  // Few images: their labels may be what they were before.
  const why =
    /^no further round: (another would take at least \d+ s, and 0 s are left; `resume` with more|[\d.]+% of the labels)/;
  assert.match(notes.at(-1)!, why);
  assert.equal((await runFiles.ladder.read(out))!.stopped, notes.at(-1));

  const again = await climb(data, { resume: out, minutes: 1e-4, threads: 1, workers: 0 });
  assert.deepEqual(namesOf(again.rungs), ['probe', 'consensus', 'round 1']);
  assert.match(again.notes.at(-1)!, why);
});

test('a consensus that has its features when the time is up is finished, one that lacks them is not', async (t) => {
  const at = await temporaryFolder(t);
  const data = blobs({ train: 60, test: 30 });
  const { model } = await blobBackbone(join(at, 'backbone'));
  const options = { model, threads: 1, workers: 0, seed: 0, labelsPerClass: 4, minutes: 10 };
  for (const [what, used, isKept] of [
    ['features', 1.07, false],
    ['consensus', 1.07, true],
    ['consensus', 1.12, false],
  ] as const) {
    const pass = busyClock(t);
    let phase = '';
    const out = join(at, `${what}-${used}`);
    const { rungs } = await climb(data, { ...options, rungs: ['probe', 'consensus'], out }, (event) => {
      if (event.type === 'phase') phase = event.name;
      if (phase !== 'consensus: consensus' || event.type !== 'progress' || event.what !== what) return;
      phase = '';
      pass(used * 600);
    });
    t.mock.restoreAll();
    assert.deepEqual(namesOf(rungs), isKept ? ['probe', 'consensus'] : ['probe'], `${what} at ${used} of the time`);
  }
});

test('a run that goes on and has nothing left to train says so, and its record stays as it was', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const data = blobs({ train: 20, val: 8 });
  const record = async (): Promise<unknown> => ({ ...(await runFiles.ladder.read(out)), seconds: 0 });
  await climb(data, { ...shared, epochs: 1, rungs: ['supervised'], out });
  const before = await record();
  await climb(data, { resume: out, threads: 1, workers: 0 });
  assert.deepEqual(await record(), before);
  const { notes } = await climb(data, { resume: out, minutes: 1, threads: 1, workers: 0 });
  assert.match(notes.at(-1)!, /^nothing is left to train: each technique of the plan was tried before/);
});

test('without unlabelled images it is said why time is left, and what would use it', async (t) => {
  const at = await temporaryFolder(t);
  const options = await blobBackbone(join(at, 'backbone'));
  const { notes } = await climb(blobs({ train: 4, val: 8 }), {
    ...{ ...options, studentEpochs: undefined },
    epochs: 1,
    minutes: 20,
    out: join(at, 'run'),
  });
  assert.match(notes.at(-1)!, /^\d+ s are not used: .*; images without labels, given with `unlabelled`, let `learn`/);
  assert.equal((await runFiles.ladder.read(join(at, 'run')))!.stopped, notes.at(-1));
});

test('without unlabelled images one line says what is left out, and no row of the table repeats it', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const plan: string[] = [];
  const pass = busyClock(t);
  const { rungs, notes } = await climb(blobs({ train: 20, val: 8 }), { ...shared, epochs: 1, out }, (event) => {
    if (event.type === 'plan') plan.push(...event.lines);
    if (event.type === 'note' && event.message.startsWith('what learns')) pass(50);
  });
  assert.deepEqual(
    rungs.map(({ name }) => name),
    ['probe', 'supervised', 'augmentation'],
  );
  const line = /what learns from images without labels is left out, as there are none; give some with `unlabelled`$/;
  assert.equal(plan.filter((one) => line.test(one)).length, 1);
  assert.match(notes.at(-1)!, line);
  const { stopped, seconds } = (await runFiles.ladder.read(out))!;
  assert.match(stopped!, line);
  // The report is drawn after that, and has the time that was used by then.
  assert.ok(seconds! > 50);
  const said = /tried[^.]*\. ([\d.]+) s\. /.exec(await readFile(runFiles.report.in(out), 'utf8'));
  assert.ok(Number(said![1]) > 50, said![0]);
});

test('time that is left is not said to be of no use where trainings needed more', () => {
  const late = { expectedSeconds: 17, kept: false, skipped: true, lackedTime: true };
  const tried = [
    { name: 'probe', expectedSeconds: 3, kept: true },
    { name: 'consensus', expectedSeconds: 0, kept: false, skipped: true, reason: 'there are no images without labels' },
  ];
  assert.match(unused(16.2, tried), /^16 s are not used: all that learns from the labels alone was tried; /);
  assert.match(
    unused(16.2, [...tried, { name: 'supervised', ...late }, { name: 'augmentation', ...late }]),
    /^16 s are not used: less than supervised or augmentation would take: `resume` with more `minutes`, or /,
  );
});

test('from scratch on a machine that begins trainings late, FixMatch leaves time for what follows it', async (t) => {
  const pass = busyClock(t);
  const { rungs } = await climb(
    blobs({ train: 20, test: 8 }),
    { ...shared, labelsPerClass: 6, minutes: 6, out: join(await temporaryFolder(t), 'run') },
    ({ type }) => {
      if (type === 'phase') pass(30);
      if (type === 'step') pass(1.5);
    },
  );
  assert.deepEqual(namesOf(rungs).slice(0, 3), ['supervised', 'fixmatch', 'consensus']);
});
