/** A round that had too little time to be judged does not end the rounds once there is more. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Rung } from '../../artifact/formats.js';
import { runFiles } from '../../artifact/run-files.js';
import { blobBackbone } from '../../testing/blob-backbone.js';
import { blobs, blobTraining as shared } from '../../testing/blobs.js';
import { busyClock } from '../../testing/busy-clock.js';
import { temporaryFolder } from '../../testing/image-files.js';
import type { TrainResult } from '../../runs/events.js';
import { collect, useOwnCache } from '../../testing/kit.js';
import { learn, type LearnOptions } from './learn.js';

useOwnCache();

const data = blobs({ train: 60, test: 8 });

interface Session {
  /** Trained, by name. */
  readonly rungs: ReadonlyMap<string, Rung>;
  readonly lastNote: string;
}

/** Passes so many seconds after each step of the student of round 1. */
async function session(options: LearnOptions, pass?: (seconds: number) => void): Promise<Session> {
  let phase = '',
    lastNote = '';
  const { result } = await collect(learn(data, options), (event) => {
    if (event.type === 'phase') phase = event.name;
    if (event.type === 'note') lastNote = event.message;
    if (event.type === 'step' && phase.startsWith('round 1: student')) pass?.(400);
  });
  const trained = result.rungs.filter(({ skipped }) => !skipped).map((rung) => [rung.name, rung] as const);
  return { rungs: new Map(trained), lastNote };
}

const goOn = (run: string, minutes: number): LearnOptions => ({ resume: run, minutes, threads: 1, workers: 0 });

/** Makes the student of a round wrong on all that its fold held out. */
async function spoil(run: string, round: string): Promise<void> {
  const folder = join(run, 'rungs', round, 'student-fold-1');
  const { images } = (await runFiles.selection.read(folder))!;
  await runFiles.selection.write(folder, { images: images.map((image) => ({ ...image, right: false })) });
}

/** The least share of its steps that a student of a round has made. */
async function completedIn(run: string, round: string): Promise<number> {
  const folders = ['student', 'student-fold-1'].map((name) => join(run, 'rungs', round, name));
  const results = await Promise.all(folders.map((folder) => runFiles.result.read(folder)));
  return Math.min(...results.map((result) => (result as TrainResult | undefined)?.completed ?? 1));
}

test('from scratch a round that was cut short and not kept is followed by one in more time', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const pass = busyClock(t);
  // The fold's student makes one step, and the time is up before the one on all labels begins.
  await session({ ...shared, labelsPerClass: 20, studentEpochs: 16, minutes: 10, out }, pass);
  const { rungs } = await session(goOn(out, 2), pass);
  const { kept, gain, reason } = rungs.get('round 1')!;
  assert.ok((await completedIn(out, 'round-1')) < 0.5);
  assert.equal(kept, gain!.mean > gain!.interval!, 'few held-out labels cannot vouch for it');
  assert.match(reason!, kept ? /points against consensus$/ : /^had time for .* of its usual steps, and not better/);
  await spoil(out, 'round-1');
  const again = await session(goOn(out, 1e-4));
  assert.deepEqual([again.rungs.get('round 1')!.kept, again.rungs.has('round 2')], [false, false]);
  assert.match(again.lastNote, /^no further round: another would .*`resume` with more `minutes`$/);

  const more = await session(goOn(out, 10));
  assert.equal(more.rungs.get('round 2')!.what, 'a student of the consensus');
  assert.equal(await completedIn(out, 'round-2'), 1);
  const consensus = join(out, 'rungs', 'round-2', 'consensus');
  assert.equal(await runFiles.config.exists(consensus), false, 'it begins with the consensus that is there');

  // That one had its time.
  await spoil(out, 'round-2');
  const over = (await session(goOn(out, 10))).lastNote;
  assert.match(over, /^no further round: round 2 is not kept, and another would begin with the same network/);
});

test('labels that a student of few steps hardly changed do not end the rounds', async (t) => {
  const at = await temporaryFolder(t),
    out = join(at, 'run');
  const pass = busyClock(t);
  const rungs = ['probe', 'consensus', 'rounds'] as const;
  const options = { ...(await blobBackbone(join(at, 'backbone'))), labelsPerClass: 4, rungs, minutes: 4, out };
  const short = await session(options, pass);
  assert.match(short.lastNote, /^no further round: round 1 had time for [\d.]+% of its steps; `resume` with more/);
  assert.ok(short.rungs.get('round 1')!.kept && (await completedIn(out, 'round-1')) < 0.5);
  const { rounds } = (await runFiles.pseudoLabels.read(out))!;
  assert.ok(rounds.at(-1)!.moved! < 0.005, 'blobs are easy: hardly a label changes');
  const more = await session(goOn(out, 10));
  assert.ok(more.rungs.has('round 2'), more.lastNote);
});
