import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Dataset } from '../../data/sample.js';
import type { LadderFile, RunConfig } from '../../artifact/formats.js';
import type { ErrorCode } from '../../errors.js';
import { readPseudoLabels, writePseudoLabels } from '../../artifact/pseudo-labels.js';
import { runFiles } from '../../artifact/run-files.js';
import type { PseudoLabels } from '../../data/pseudo-labels.js';
import { omit } from '../../options/option.js';
import { resolveSettings, useful, type TrainOptions } from '../../runs/resolve.js';
import { train } from '../../runs/train.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { blobBackbone } from '../../testing/blob-backbone.js';
import { blobs, blobTraining as shared } from '../../testing/blobs.js';
import { asJson, collect, hashOf, refused, useOwnCache } from '../../testing/kit.js';
import { rungNames } from '../../options/jobs.js';
import { rungs, trainingOf, triedRungs } from './rungs.js';
import { agreement, meanLabels } from './rounds.js';
import { learn, type LearnEvent, type LearnOptions, type LearnResult } from './learn.js';

useOwnCache();

const json = async <T>(path: string): Promise<T> => JSON.parse(await readFile(path, 'utf8')) as T;

const climb = async (
  data: Dataset,
  options: LearnOptions,
  onEvent?: (event: LearnEvent) => void,
): Promise<LearnResult> => (await collect(learn(data, options), onEvent)).result;

/** Stopped at some step and resumed, it ends in the same bytes as the unbroken run `whole`. */
async function goesOn(
  data: Dataset,
  options: LearnOptions & { readonly out: string },
  atStep: number,
  whole: LearnResult,
): Promise<void> {
  const controller = new AbortController();
  let seen = 0;
  await assert.rejects(
    climb(data, { ...options, signal: controller.signal }, ({ type }) => {
      if (type === 'step' && ++seen === atStep) controller.abort();
    }),
    { code: 'interrupted' },
  );
  const resumed = await climb(data, { resume: options.out, threads: 1, workers: 0 });
  assert.equal(await hashOf(resumed.model), await hashOf(whole.model));
}

test('the ladder keeps what is not worse on held-out labels, says why, and goes on where it stopped', async (t) => {
  const at = await temporaryFolder(t),
    data = blobs({ train: 14, val: 8, test: 8 });
  const options: LearnOptions = {
    ...shared,
    labelsPerClass: 4,
    epochs: 3,
    studentEpochs: 1,
    student: 'convnet-small',
    unlabelledRatio: 2,
    rungs: rungNames.filter((name) => name !== 'rounds'),
  };
  const lines: string[] = [];
  const whole = await climb(data, { ...options, out: join(at, 'whole') }, (event) => {
    if (event.type === 'plan') lines.push(...event.lines);
  });
  const file = await json<LadderFile>(join(at, 'whole', 'ladder.json'));
  assert.deepEqual(file.rungs, asJson(whole.rungs));
  assert.deepEqual(
    whole.rungs.map(({ name }) => name),
    [
      'probe',
      'consensus',
      'supervised',
      'augmentation',
      'pseudo-labels',
      'fixmatch',
      'noisy student',
      'noisy student 2',
      'distillation',
    ],
  );
  assert.match(lines.join('\n'), /fixmatch: about \d+ s/);
  assert.ok(whole.rungs[0]!.skipped && /no features yet/.test(whole.rungs[0]!.reason!));
  for (const { kept, gain, name, skipped } of whole.rungs.slice(3))
    if (!skipped && kept) assert.ok(gain!.mean + gain!.interval! >= 0, name);
  assert.equal(file.kept, whole.rungs.filter(({ kept }) => kept).at(-1)!.name);
  assert.equal(
    await hashOf(whole.model),
    await hashOf(join(at, 'whole', whole.rungs.find(({ name }) => name === file.kept)!.run!, 'model.onnx')),
  );

  await goesOn(data, { ...options, out: join(at, 'stopped') }, 15, whole);

  const told: string[] = [];
  const short = await climb(data, { ...options, minutes: 1e-4, out: join(at, 'short') }, (event) => {
    if (event.type === 'plan') told.push(...event.lines);
  });
  assert.deepEqual(
    short.rungs.filter(({ skipped }) => !skipped).map(({ name }) => name),
    ['supervised'],
  );
  assert.match(short.rungs.at(-1)!.reason!, /would take at least/);
  assert.ok(
    told.some((line) => /even supervised alone takes longer/.test(line)),
    told.join('\n'),
  );
  await assert.rejects(
    climb(data, { ...options, rungs: ['magic' as 'probe'], out: join(at, 'c') }),
    /`rungs` takes a list .*, got \["magic"\]/,
  );
});

test('with a pretrained network: probe, consensus, then rounds, whose labels stay honest', async (t) => {
  const at = await temporaryFolder(t);
  const data = blobs({ train: 60, test: 30 });
  const options: LearnOptions = {
    ...(await blobBackbone(join(at, 'backbone'))),
    labelsPerClass: 4,
    rungs: ['probe', 'consensus', 'rounds'],
  };
  const lines: string[] = [];
  const whole = await climb(data, { ...options, out: join(at, 'whole') }, (event) => {
    if (event.type === 'plan') lines.push(...event.lines);
  });
  const names = whole.rungs.map(({ name }) => name);
  assert.deepEqual(names.slice(0, 3), ['probe', 'consensus', 'round 1']);
  assert.match(lines.join('\n'), /every label is held out once, in closed form/);
  for (const { selection } of whole.rungs) assert.equal(selection!.count, 8, 'every label is held out once');
  assert.deepEqual(
    whole.rungs.map(({ optimistic = false }) => optimistic),
    names.map((name) => name.startsWith('round')),
    'students have seen something of every label',
  );
  const { rounds: told } = (await runFiles.pseudoLabels.read(join(at, 'whole')))!;
  assert.deepEqual(
    told.map(({ round, name }) => [round, name]),
    names.slice(1).map((name, round) => [round, name]),
    'numbered as the ladder does: labels of the consensus come before those of round 1',
  );
  for (const { total, truth } of told) assert.deepEqual([total, truth!.known], [112, 112]);
  assert.ok(told[0]!.moved === undefined && told[1]!.moved! >= 0);
  // A student learns of a labelled image what was said of it without its label.
  const file = join(at, 'whole', 'rungs', 'consensus', 'labels.parquet');
  const { rows } = await readPseudoLabels(file, data.classes);
  assert.equal(rows.length, 120);
  const { settings, reasons } = (await runFiles.config.read(
    join(at, 'whole', 'rungs', 'round-1', 'student'),
  ))! as RunConfig<TrainOptions>;
  assert.match(reasons!['backboneLr']!, /^0\.\d+ of the learning rate/);
  assert.equal(settings.pseudoLabels, file);
  assert.equal(settings.technique, 'prior-match');
  assert.ok(!existsSync(join(at, 'whole', 'rungs', 'round-1', 'student', 'checkpoints')), 'finished: none are kept');

  await goesOn(data, { ...options, out: join(at, 'stopped') }, 3, whole);
});

test('after a round that is not kept, the next one learns the means of its labels and those before', async (t) => {
  const at = await temporaryFolder(t);
  const classes = ['ant', 'bee'];
  const write = async (name: string, rows: readonly (readonly [string, number, boolean])[]): Promise<string> => {
    const file = join(at, name);
    await writePseudoLabels(file, {
      classes,
      soft: true,
      rows: rows.map(([image, ant, accepted]) => ({
        path: join(at, image),
        hash: image,
        label: ant > 0.5 ? 0 : 1,
        confidence: Math.max(ant, 1 - ant),
        probabilities: Float32Array.of(ant, 1 - ant),
        accepted,
        copies: Number(accepted),
      })),
    });
    return file;
  };
  const one = await write('one.parquet', [
    ['a.png', 0.75, true],
    ['b.png', 0.125, true],
    ['c.png', 0.875, true],
    ['only here.png', 1, true],
  ]);
  const other = await write('other.parquet', [
    ['c.png', 0.625, false],
    ['b.png', 0.375, true],
    ['a.png', 0, true],
  ]);
  const { rows, soft } = await readPseudoLabels(await meanLabels([one, other], join(at, 'mean.parquet'), classes));
  assert.equal(soft, true);
  assert.deepEqual(
    rows.map(({ hash, label, probabilities, accepted }) => [hash, label, probabilities[0], accepted]),
    [
      ['a.png', 1, 0.375, true],
      ['b.png', 1, 0.25, true],
      ['c.png', 0, 0.75, false],
    ],
  );
});

test('with one label of each class consensus and rounds are kept unmeasured', async (t) => {
  const at = await temporaryFolder(t);
  const { rungs: tried, best } = await climb(blobs({ train: 30, test: 10 }), {
    ...(await blobBackbone(join(at, 'backbone'))),
    labelsPerClass: 1,
    out: join(at, 'run'),
  });
  const last = tried.at(-1)!;
  assert.equal(tried.at(-2)!.name.slice(0, 5), 'round');
  assert.deepEqual([last.name, last.reason], ['supervised', 'no labels are held out to compare it on']);
  for (const { kept, selection, gain } of tried.slice(0, -1))
    assert.deepEqual([kept, selection, gain], [true, undefined, undefined]);
  assert.equal(best.top1, undefined);
});

test('of more unlabelled images than the time allows some take part, and the plan says so', async (t) => {
  const at = await temporaryFolder(t);
  const { run: model } = await train(blobs({ train: 20, val: 10 }), {
    ...shared,
    epochs: 2,
    out: join(at, 'backbone'),
  });
  const lines: string[] = [];
  const options = { ...omit(shared, ['mode', 'lr', 'optimizer', 'model']), model, labelsPerClass: 3, minutes: 0.01 };
  const { rungs: tried } = await climb(
    blobs({ train: 200, test: 5 }),
    { ...options, rungs: ['consensus', 'rounds'], out: join(at, 'run') },
    (event) => {
      if (event.type === 'plan') lines.push(...event.lines);
    },
  );
  assert.match(lines[0]!, /6 labelled images of 2 classes, 394 without labels, of which 256 take part: more would not/);
  assert.equal(tried[0]!.name, 'consensus');
  const { rows } = await readPseudoLabels(join(at, 'run', 'rungs', 'consensus', 'labels.parquet'), ['blue', 'red']);
  assert.equal(rows.length, 6 + 256);
});

test('more minutes for a run that is resumed: what did not fit is tried, and they last', async (t) => {
  const at = await temporaryFolder(t),
    out = join(at, 'run');
  const { run: model } = await train(blobs({ train: 20, val: 10 }), {
    ...shared,
    epochs: 2,
    out: join(at, 'backbone'),
  });
  const data = blobs({ train: 40, test: 5 });
  const options: LearnOptions = { ...omit(shared, ['mode', 'lr', 'optimizer', 'model']), model, labelsPerClass: 3 };
  const trained = ({ rungs: tried }: LearnResult): string[] =>
    tried.filter(({ skipped }) => !skipped).map(({ name }) => name);
  assert.deepEqual(trained(await climb(data, { ...options, minutes: 1e-4, studentEpochs: 1, out })), ['probe']);
  const longer = trained(await climb(data, { resume: out, minutes: 2, threads: 1, workers: 0 }));
  assert.deepEqual(longer.slice(0, 3), ['probe', 'consensus', 'round 1']);
  // The labels of blobs are settled soon; the time that rounds leave is for what learns from labels alone.
  assert.equal(longer.at(-1), 'supervised');
  const ladder = await json<LadderFile>(join(out, 'ladder.json'));
  const { kept, gain, selection, reason } = ladder.rungs.at(-1)!;
  assert.equal(selection!.count, 6, 'on the same labels, fold by fold');
  assert.equal(kept, gain!.mean > 0, reason);
  assert.ok(ladder.budgetMinutes! > 2 && ladder.budgetMinutes! < 2.5, `${ladder.budgetMinutes!}`);
  assert.deepEqual(trained(await climb(data, { resume: out, threads: 1, workers: 0 })), longer);
});

test('what later rungs take is opened first, and what none reads is refused by what images there are', async (t) => {
  const at = await temporaryFolder(t);
  const { run: model } = await train(blobs({ train: 20, val: 10 }), {
    ...shared,
    epochs: 1,
    out: join(at, 'backbone'),
  });
  const options: LearnOptions = { ...omit(shared, ['mode', 'lr', 'optimizer', 'model']), model, labelsPerClass: 3 };
  const data = blobs({ train: 40, test: 5 });
  const refuses = (asked: LearnOptions, code: ErrorCode, says: RegExp): Promise<void> =>
    assert.rejects(climb(data, { ...options, ...asked, out: join(at, 'refused') }), refused(code, says));
  for (const asked of [{ dropout: 0.5 }, { unlabelledRatio: 3 }])
    await refuses(asked, 'usage', /none of the techniques to try \(probe, consensus, rounds, supervised\) has a use/);
  assert.ok(!existsSync(join(at, 'refused')), 'nothing was begun');
  const names: string[] = [];
  await assert.rejects(
    climb(data, { ...options, student: join(at, 'nosuch.onnx'), out: join(at, 'a') }, ({ type }) => names.push(type)),
    { code: 'not-found' },
  );
  assert.ok(!names.includes('rung'));
  await assert.rejects(climb(data, { ...options, teachers: [join(at, 'none.onnx')], out: join(at, 'b') }), {
    code: 'not-found',
  });
});

test('labels agree with those before as well as the truth would, or are seen to have gone astray', () => {
  const labels = (probabilities: readonly number[][]): PseudoLabels => ({
    classes: ['a', 'b'],
    rows: probabilities.map((p, i) => {
      const label = p[0]! >= p[1]! ? 0 : 1;
      const row = { path: String(i), hash: '', accepted: true, copies: 1, label };
      return { ...row, confidence: p[label]!, probabilities: Float32Array.from(p) };
    }),
  });
  const before = labels(Array.from({ length: 200 }, (_, i) => (i % 2 ? [0.9, 0.1] : [0.2, 0.8])));
  const other = labels(before.rows.map(({ label }) => (label === 0 ? [0, 1] : [1, 0])));
  assert.ok(agreement(before, before).mean > 0);
  const contrary = agreement(before, other);
  assert.ok(contrary.mean + contrary.interval! < -0.5);
});

test('from scratch: labels alone, FixMatch, then rounds that go on from it, measured without one fold', async (t) => {
  const at = await temporaryFolder(t),
    data = blobs({ train: 20, test: 8 });
  const options: LearnOptions = { ...shared, labelsPerClass: 6, epochs: 3, studentEpochs: 1 };
  const lines: string[] = [];
  const whole = await climb(data, { ...options, out: join(at, 'whole') }, (event) => {
    if (event.type === 'plan') lines.push(...event.lines);
  });
  const names = whole.rungs.map(({ name }) => name);
  assert.deepEqual(names.slice(0, 4), ['supervised', 'fixmatch', 'consensus', 'round 1']);
  assert.match(lines.join('\n'), /fold 1 of 3 of the labels is held out: each technique/);
  for (const { selection, name, optimistic } of whole.rungs) {
    assert.equal(selection!.count, 4, name);
    assert.equal(optimistic, undefined, `${name} has not seen the labels of the fold`);
  }
  const settingsOf = async (run: string): Promise<TrainOptions> =>
    ((await runFiles.config.read(join(at, 'whole', 'rungs', run)))! as unknown as { settings: TrainOptions }).settings;
  // On each part, all builds on what was trained on it: no network of a fold has seen the fold's labels.
  for (const part of ['', '-fold-1']) {
    const network = join(at, 'whole', 'rungs', `fixmatch${part}`);
    assert.equal((await settingsOf(`consensus${part}`)).model, network);
    const { model, pseudoLabels, technique } = await settingsOf(join('round-1', `student${part}`));
    assert.equal(technique, 'pseudo-labels');
    assert.equal(model, join(at, 'whole', 'rungs', `consensus${part}`));
    assert.equal(pseudoLabels, join(model, 'labels.parquet'));
  }

  await goesOn(data, { ...options, out: join(at, 'stopped') }, 12, whole);

  const brief: LearnOptions = { ...omit(options, ['studentEpochs']), minutes: 0.05, out: join(at, 'short') };
  const { rungs: short } = await climb(data, brief);
  assert.deepEqual([short[0]!.name, short[0]!.kept], ['supervised', true]);
});

test('from scratch many labels are learned from alone first, and rungs that are named are tried as before', () => {
  const situation = {
    options: {},
    model: 'resnet8',
    mode: 'scratch',
    epochs: 1,
    labelled: 100,
    unlabelled: 16000,
  } as const;
  assert.deepEqual(triedRungs(situation), ['supervised', 'fixmatch', 'consensus', 'rounds']);
  assert.deepEqual(triedRungs({ ...situation, labelled: 4000 }), ['augmentation', 'noisy student', 'noisy student 2']);
  assert.ok(triedRungs({ ...situation, unlabelled: 50 }).includes('pseudo-labels'));
  assert.deepEqual(triedRungs({ ...situation, options: { rungs: ['fixmatch'] } }), ['fixmatch']);
});

test('from scratch with many labels students go on from the network that these taught', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const { rungs: tried } = await climb(blobs({ train: 1010, test: 4 }), {
    ...shared,
    labelsPerClass: 500,
    batchSize: 64,
    epochs: 1,
    studentEpochs: 1,
    out,
  });
  assert.deepEqual(
    tried.map(({ name, skipped }) => [name, skipped]),
    ['augmentation', 'noisy student', 'noisy student 2'].map((name) => [name, undefined]),
  );
  const { settings } = (await runFiles.config.read(join(out, 'rungs', 'noisy-student')))! as unknown as {
    settings: TrainOptions;
  };
  assert.deepEqual([settings.model, settings.mode], [join(out, 'rungs', 'augmentation'), 'finetune']);
});

test('from scratch with one label of each class FixMatch and rounds are kept unmeasured', async (t) => {
  const { rungs: tried } = await climb(blobs({ train: 20, test: 8 }), {
    ...shared,
    labelsPerClass: 1,
    epochs: 2,
    studentEpochs: 1,
    out: join(await temporaryFolder(t), 'run'),
  });
  assert.deepEqual(
    tried.slice(0, 4).map(({ name, skipped, selection }) => [name, skipped, selection]),
    ['supervised', 'fixmatch', 'consensus', 'round 1'].map((name) => [name, undefined, undefined]),
  );
});

const ignored: readonly (readonly [options: LearnOptions, says: RegExp])[] = [
  [{ mode: 'probe' }, /`mode: probe` is among the techniques that are tried .* choose with `rungs`/],
  [
    { mode: 'finetune', model: 'resnet8' },
    /resnet8 is a built-in network without trained weights; use `mode: scratch`/,
  ],
  [{ mode: 'scratch', model: 'backbone.onnx' }, /backbone\.onnx is no built-in network, .*use `mode: finetune`/],
  [{ rungs: ['supervised'], student: 'resnet8' }, /`student`: none of the techniques .* one that has: distillation/],
  [
    { rungs: ['supervised', 'augmentation'], studentEpochs: 3 },
    /`studentEpochs`: none .* has: rounds, pseudo-labels, fixmatch/,
  ],
  [{ rungs: ['probe'], epochs: 3 }, /`epochs`: none .* has: supervised, augmentation/],
  [{ rungs: ['supervised', 'fixmatch'], dropout: 0.2 }, /`dropout`: none .* has: noisy-student, noisy-student-2$/],
  [{ rungs: ['supervised'], unlabelledRatio: 2 }, /`unlabelledRatio`: none/],
  [{ rungs: ['supervised'], unlabelled: ['more'] }, /`unlabelled`: none/],
  [{ rungs: ['probe'], lr: 0.1 }, /`lr`: mode probe has no use for it/],
  [{ model: 'resnet8', backboneLr: 0.1 }, /`backboneLr`: mode scratch has no use for it/],
];
for (const [options, says] of ignored) {
  test(`learn refuses what it would ignore: ${JSON.stringify(options)}`, async () => {
    await assert.rejects(learn('no such folder', options).then(), refused('usage', says));
  });
}

test('the probe of a ladder solves the last layer in float32, whatever the precision of the others', () => {
  const asked = { options: {}, model: 'a.onnx', mode: 'finetune', epochs: 1 } as const;
  const training = trainingOf(rungs.probe, asked, { precision: 'bf16' });
  assert.equal(resolveSettings(undefined, useful(training)).precision, 'auto');
});
