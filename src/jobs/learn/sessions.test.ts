/** What a run of several sessions records of the time that each has used. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { LadderFile, RunConfig } from '../../artifact/formats.js';
import { runFiles } from '../../artifact/run-files.js';
import type { Dataset } from '../../data/sample.js';
import { encodePng } from '../../image/decode.js';
import { blobBackbone } from '../../testing/blob-backbone.js';
import { blobs, blobTraining } from '../../testing/blobs.js';
import { busyClock } from '../../testing/busy-clock.js';
import { blob, temporaryFolder } from '../../testing/image-files.js';
import { collect, useOwnCache } from '../../testing/kit.js';
import type { TrainOptions } from '../../runs/resolve.js';
import { train } from '../../runs/train.js';
import { learn, type LearnEvent, type LearnOptions, type LearnResult } from './learn.js';

useOwnCache();

const data = blobs({ train: 60, test: 30 });
const rungs = ['probe', 'consensus', 'rounds'] as const;

const learned = async (
  from: Dataset,
  options: LearnOptions,
  onEvent?: (event: LearnEvent) => void,
): Promise<LearnResult> => (await collect(learn(from, options), onEvent)).result;

const record = (run: string): LadderFile => JSON.parse(readFileSync(runFiles.ladder.in(run), 'utf8')) as LadderFile;

const trained = ({ rungs }: Pick<LadderFile, 'rungs'>): string[] =>
  rungs.filter(({ skipped }) => !skipped).map(({ name }) => name);

interface Stopped {
  readonly out: string;
  readonly pass: (seconds: number) => void;
  /** The record when the training was under way, as a process that is killed leaves it. */
  readonly killed: LadderFile;
}

/** A run of two minutes that is stopped in the student of its first round, for which 50 seconds have passed. */
async function stoppedInRound(t: TestContext): Promise<Stopped> {
  const at = await temporaryFolder(t),
    out = join(at, 'run');
  const options: LearnOptions = {
    ...(await blobBackbone(join(at, 'backbone'))),
    labelsPerClass: 4,
    rungs,
  };
  const pass = busyClock(t);
  const controller = new AbortController();
  let killed: LadderFile | undefined;
  await assert.rejects(
    learned(data, { ...options, minutes: 2, out, signal: controller.signal }, (event) => {
      if (event.type === 'phase' && event.name === 'round 1: student') pass(50);
      if (event.type !== 'step') return;
      killed = record(out);
      controller.abort();
    }),
    { code: 'interrupted' },
  );
  return { out, pass, killed: killed! };
}

test('time in a training counts when it is interrupted or killed, and is not had again', async (t) => {
  const { out, killed } = await stoppedInRound(t);
  for (const { seconds, rungs, underWay } of [killed, record(out)]) {
    assert.ok(seconds! > 50 && seconds! < 80, `${seconds}`);
    assert.deepEqual(trained({ rungs }), ['probe', 'consensus']);
    assert.ok(underWay!.name === 'round 1' && underWay!.seconds > 50);
  }
  const lines: string[] = [];
  const whole = await learned(data, { resume: out, threads: 1, workers: 0 }, (event) => {
    if (event.type === 'plan') lines.push(...event.lines);
  });
  const left = Number(/, ([\d.]+) s are left of/.exec(lines.at(-1)!)?.[1]);
  assert.ok(left < 70, lines.at(-1));
  assert.deepEqual(trained(whole).slice(0, 3), ['probe', 'consensus', 'round 1']);
  const { seconds, budgetMinutes, underWay } = record(out);
  assert.ok(seconds! > 50 && seconds! < 110, 'counted once');
  const round = whole.rungs.find(({ name }) => name === 'round 1')!;
  assert.ok(round.seconds! > 50 && round.seconds! < 80, `of both sessions: ${round.seconds}`);
  assert.deepEqual([budgetMinutes, underWay], [2, undefined]);
  assert.ok(Math.abs(whole.seconds - seconds!) < 2, 'its result counts all sessions, too');
  const [, minutes = 0, rest = 0] = /<dt>Time<\/dt>\s*<dd>(?:(\d+) min)? ?(?:(\d+) s)?</.exec(
    readFileSync(join(out, 'report.html'), 'utf8'),
  )!;
  assert.ok(Math.abs(60 * Number(minutes) + Number(rest) - seconds!) < 2, `${minutes} min ${rest} s in the report`);
});

test('a session that goes through what was finished neither forgets it nor counts it twice', async (t) => {
  const { out, pass } = await stoppedInRound(t);
  await learned(data, { resume: out, threads: 1, workers: 0 });
  const before = record(out);
  for await (const { type } of learn(data, { resume: out, threads: 1, workers: 0 })) if (type === 'rung') break;
  const broken = record(out);
  assert.deepEqual([trained(broken), broken.kept], [trained(before), before.kept]);
  const took = ({ rungs }: LadderFile) => rungs.map(({ name, seconds }) => [name, seconds]);
  assert.deepEqual(took(broken), took(before));
  assert.ok(broken.seconds! >= before.seconds! && broken.seconds! < before.seconds! + 20);
  // No time is left: what is finished is not left out for that.
  const again = await learned(data, { resume: out, threads: 1, workers: 0 }, ({ type }) => {
    if (type === 'plan') pass(100);
  });
  assert.deepEqual(trained(again), trained(before));
  const more = record(out).seconds! - before.seconds!;
  assert.ok(more > 100 && more < 140, `${more}`);
  await learned(data, { resume: out, minutes: 1e-4, threads: 1, workers: 0 });
  assert.deepEqual(trained(record(out)), trained(before), 'also with hardly any time more');
});

test('a training that was begun without a time ends by the one that its run goes on with', async (t) => {
  const at = await temporaryFolder(t),
    out = join(at, 'run');
  const options = { ...(await blobBackbone(join(at, 'backbone'))), labelsPerClass: 4, studentEpochs: 200 };
  const controller = new AbortController();
  let steps = 0;
  const count = ({ type }: LearnEvent): void => {
    if (type === 'step' && ++steps === 20) controller.abort();
  };
  await assert.rejects(learned(data, { ...options, rungs, out, signal: controller.signal }, count), {
    code: 'interrupted',
  });
  const pass = busyClock(t);
  const more = await learned(data, { resume: out, minutes: 1, threads: 1, workers: 0 }, ({ type }) => {
    if (type !== 'step') return;
    steps++;
    pass(1);
  });
  assert.deepEqual(trained(more), ['probe', 'consensus', 'round 1']);
  assert.ok(steps > 20 && steps < 90, `${steps} steps of ${200 * 3}`);
  const { minutes } = ((await runFiles.config.read(out)) as RunConfig<LearnOptions>).settings;
  assert.ok(minutes! > 1 && Math.abs(minutes! - record(out).budgetMinutes!) < 0.02, 'the time of both sessions');
  const card = readFileSync(runFiles.card.in(out), 'utf8');
  assert.match(card, new RegExp(`Command: pupil learn .*--minutes ${minutes}`));
});

test('a smaller network is taught again where more time brought a better teacher, and only then', async (t) => {
  const at = await temporaryFolder(t),
    out = join(at, 'run');
  const backbone = await blobBackbone(join(at, 'backbone'));
  const { run: student } = await train(data, { ...blobTraining, size: 12, epochs: 2, out: join(at, 'small') });
  const pass = busyClock(t);
  let phase = '';
  const options = { ...backbone, labelsPerClass: 4, student, rungs: [...rungs, 'distillation'] as const, minutes: 25 };
  const short = await learned(data, { ...options, out }, (event) => {
    if (event.type === 'phase') phase = event.name;
    if (event.type === 'step' && phase.startsWith('round 1: student')) pass(400);
  });
  assert.deepEqual(trained(short), ['probe', 'consensus', 'round 1', 'distillation']);
  const settings = async (name: string): Promise<TrainOptions> =>
    ((await runFiles.config.read(join(out, 'rungs', name, 'head'))) as RunConfig<TrainOptions>).settings;
  assert.deepEqual((await settings('distillation')).teachers, [join(out, 'rungs', 'round-1', 'consensus')]);

  const more = await learned(data, { resume: out, minutes: 25, threads: 1, workers: 0 });
  const names = trained(more),
    last = names.filter((name) => name.startsWith('round')).at(-1)!;
  assert.ok(last !== 'round 1' && more.rungs.some(({ name, kept }) => name === last && kept), names.join());
  assert.deepEqual(names.slice(-2), ['distillation', 'distillation 2']);
  assert.equal(more.rungs.at(-1)!.what, `the same, taught by ${last}`);
  const taughtBy = (await settings('distillation-2')).teachers;
  assert.deepEqual(taughtBy, [join(out, 'rungs', last.replace(' ', '-'), 'consensus')]);

  // Nothing better teaches it now.
  const lines: string[] = [];
  const again = await learned(data, { resume: out, minutes: 25, threads: 1, workers: 0 }, (event) => {
    if (event.type === 'plan') lines.push(...event.lines);
  });
  assert.equal(trained(again).filter((name) => name.startsWith('distillation')).length, 2, trained(again).join());
  assert.match(lines.join('\n'), /distillation: done in [\d.]+ s, again if another teacher is kept/);
});

test('a smaller network that had too little time does not take the place, and is taught again in more', async (t) => {
  const at = await temporaryFolder(t),
    out = join(at, 'run');
  const backbone = await blobBackbone(join(at, 'backbone'));
  const { run: student } = await train(data, { ...blobTraining, model: 'resnet8', epochs: 2, out: join(at, 'small') });
  const pass = busyClock(t);
  const options = { ...backbone, labelsPerClass: 4, student, rungs: ['probe', 'consensus', 'distillation'] as const };
  let phase = '';
  const warned: string[] = [];
  const short = await learned(data, { ...options, minutes: 4, out }, (event) => {
    if (event.type === 'phase') phase = event.name;
    if (event.type === 'warning') warned.push(event.message);
    if (event.type === 'step' && phase.startsWith('distillation: student')) pass(100);
  });
  const { kept, reason, selection } = short.rungs.at(-1)!;
  assert.deepEqual([trained(short).at(-1), kept, record(out).kept], ['distillation', false, 'consensus']);
  assert.match(reason!, /^had time for [\d.]+% of its usual steps, and not better .*`resume` with more `minutes`/);
  assert.ok(selection !== undefined && warned.some((line) => /that of consensus, not the smaller/.test(line)));

  const more = await learned(data, { resume: out, minutes: 25, threads: 1, workers: 0 });
  assert.deepEqual(trained(more).slice(-2), ['distillation', 'distillation 2']);
  assert.deepEqual([more.rungs.at(-1)!.kept, record(out).kept], [true, 'distillation 2']);
  const again = await learned(data, { resume: out, minutes: 25, threads: 1, workers: 0 });
  assert.deepEqual(trained(again), trained(more), 'it had its time');
});

test('a round that was interrupted goes on from another working directory', async (t) => {
  const home = await temporaryFolder(t),
    before = process.cwd();
  t.after(() => process.chdir(before));
  for (const [label, name] of data.classes.entries()) {
    for (let i = 0; i < 40; i++) {
      const file = join(home, 'photos', i < 30 ? 'train' : 'test', name, `${i}.png`);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, await encodePng(blob(2 * label, 1000 + 100 * label + i)));
    }
  }
  process.chdir(home);
  const controller = new AbortController();
  const options = { ...(await blobBackbone('backbone')), labelsPerClass: 4, rungs, minutes: 2, out: 'run' };
  await assert.rejects(
    collect(learn('photos', { ...options, signal: controller.signal }), ({ type }) => {
      if (type === 'step') controller.abort();
    }),
    { code: 'interrupted' },
  );
  process.chdir(before);
  const { rungs: tried } = await learn(undefined, { resume: join(home, 'run'), threads: 1, workers: 0 });
  const round = tried.find(({ name }) => name === 'round 1');
  assert.ok(round && !round.skipped, round?.reason);
});
