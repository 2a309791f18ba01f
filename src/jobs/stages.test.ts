import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { withSamples } from '../data/dataset.js';
import type { Dataset, Split } from '../data/sample.js';
import { fitTemperature } from '../evaluate/metrics.js';
import type { LadderFile, RoundsFile, SelectionFile } from '../artifact/formats.js';
import { readPseudoLabels } from '../artifact/pseudo-labels.js';
import { runFiles } from '../artifact/run-files.js';
import type { PseudoLabels } from '../data/pseudo-labels.js';
import { omit } from '../options/option.js';
import { resolveSettings, useful, type TrainOptions } from '../runs/resolve.js';
import { train } from '../runs/train.js';
import { temporaryFolder } from '../testing/image-files.js';
import { blobs } from '../testing/blobs.js';
import { asJson, collect, hashOf, refused, useOwnCache } from '../testing/kit.js';
import { partsOf } from './parts.js';
import { rungs, trainingOf } from './learn/rungs.js';
import { pairedGain } from './stages.js';
import { agreement } from './learn/rounds.js';
import { learn, type LearnEvent, type LearnOptions, type LearnResult } from './learn/learn.js';
import { selfTrain, type SelfTrainEvent, type SelfTrainOptions, type SelfTrainResult } from './self-train.js';

useOwnCache();

const shared = {
  mode: 'scratch',
  model: 'convnet-small',
  size: 16,
  batchSize: 4,
  optimizer: 'adamw',
  lr: 0.003,
  flip: false,
  threads: 1,
  workers: 0,
  seed: 1,
} as const;
const training: SelfTrainOptions = { ...shared, labelsPerClass: 4, epochs: 4, studentEpochs: 1, rounds: 2 };
const json = async <T>(path: string): Promise<T> => JSON.parse(await readFile(path, 'utf8')) as T;

const rounds = async (
  data: Dataset,
  options: SelfTrainOptions,
  onEvent?: (event: SelfTrainEvent) => void,
): Promise<SelfTrainResult> => (await collect(selfTrain(data, options), onEvent)).result;

const climb = async (
  data: Dataset,
  options: LearnOptions,
  onEvent?: (event: LearnEvent) => void,
): Promise<LearnResult> => (await collect(learn(data, options), onEvent)).result;

test('few labels: every fold is a data set in which its labels are only selected on, the whole comes last', () => {
  const data = blobs({ train: 20, test: 5 });
  const parts = partsOf(data, { seed: 0, labelsPerClass: 6, folds: 3 });
  assert.equal(parts.length, 4);
  const hashes = (part: number, split: Split): string[] =>
    parts[part]!.data.samples.filter((sample) => sample.split === split).map(({ hash }) => hash);
  const selected = [0, 1, 2].flatMap((i) => hashes(i, 'val'));
  assert.deepEqual([...selected].sort(), hashes(3, 'train').sort());
  for (const fold of [0, 1, 2]) {
    assert.equal(hashes(fold, 'train').length + hashes(fold, 'val').length, 12);
    assert.ok(
      hashes(fold, 'val').every((hash) => ![...hashes(fold, 'train'), ...hashes(fold, 'unlabelled')].includes(hash)),
    );
    assert.equal(hashes(fold, 'unlabelled').length, 28);
    assert.equal(hashes(fold, 'test').length, 0);
  }
  assert.deepEqual(
    parts.map(({ decides }) => decides),
    [true, true, true, false],
  );
  assert.equal(hashes(3, 'test').length, 10);
  assert.equal(partsOf(blobs({ train: 6, val: 3 }), { seed: 0, folds: 3 }).length, 1);
});

test('a gain is paired: the mean difference over the same images', () => {
  const before = new Map([
      ['a', true],
      ['b', false],
      ['c', false],
      ['d', true],
    ]),
    after = new Map([
      ['a', true],
      ['b', true],
      ['c', true],
      ['d', false],
      ['e', true],
    ]);
  const { mean, interval } = pairedGain(before, after);
  assert.equal(mean, 0.25);
  // differences 0, 1, 1, -1: deviation 0.9574, t(3) = 3.182
  assert.ok(Math.abs(interval - (3.182 * 0.9574) / 2) < 1e-3, String(interval));
});

test('self-training: teacher, labels, students; interrupted in any round it goes on to the same bytes', async (t) => {
  const at = await temporaryFolder(t),
    data = blobs({ train: 14, val: 8, test: 8 });
  const whole = await rounds(data, { ...training, out: join(at, 'whole') });
  const { kept, rounds: told } = await json<RoundsFile>(join(at, 'whole', 'rounds.json'));
  assert.deepEqual(told, asJson(whole.rounds));
  assert.equal(whole.kept, kept);
  assert.deepEqual(
    told.map(({ round, student }) => [round, student]),
    told.map((_, i) => [i, 'convnet-small']),
  );
  assert.ok(told.length >= 2 && told[0]!.gain === undefined && told[1]!.gain !== undefined);
  for (const name of [
    'model.onnx',
    'report.html',
    'evaluation.json',
    'pseudo-labels.json',
    'pseudo-labels/round-1.parquet',
  ])
    assert.ok(existsSync(join(at, 'whole', name)), name);
  assert.equal(
    await hashOf(join(at, 'whole', 'model.onnx')),
    await hashOf(join(at, 'whole', 'rounds', String(kept), 'model.onnx')),
  );
  assert.match(await readFile(join(at, 'whole', 'report.html'), 'utf8'), /round/i);

  for (const stop of [2, 9]) {
    const out = join(at, `stopped-${stop}`),
      controller = new AbortController();
    let seen = 0;
    await assert.rejects(
      rounds(data, { ...training, out, signal: controller.signal }, ({ type }) => {
        if (type === 'step' && ++seen === stop) controller.abort();
      }),
      { code: 'interrupted' },
    );
    await rounds(data, { resume: out, threads: 1, workers: 0 });
    assert.equal(await hashOf(join(out, 'model.onnx')), await hashOf(join(at, 'whole', 'model.onnx')));
    assert.deepEqual(
      (await json<RoundsFile>(join(out, 'rounds.json'))).rounds.map(({ selection }) => selection),
      told.map(({ selection }) => selection),
    );
  }
});

test('without images to label, or a label that is accepted, self-training leaves the teacher standing', async (t) => {
  const at = await temporaryFolder(t);
  await assert.rejects(
    rounds(blobs({ train: 6, val: 3 }), { ...shared, out: join(at, 'a') }),
    /no images without labels/,
  );
  // Two wrong labels among those that calibrate: nothing is certain then.
  const data = blobs({ train: 8, val: 4 });
  const doubtful = withSamples(
    data,
    data.samples.map((sample) =>
      sample.split === 'val' && sample.path.endsWith('6') ? { ...sample, label: 1 - sample.label } : sample,
    ),
  );
  const { rounds: told, kept } = await rounds(doubtful, { ...training, threshold: 1, out: join(at, 'b') });
  assert.equal(told.length, 1);
  assert.equal(kept, 0);
  assert.match(
    (await json<RoundsFile>(join(at, 'b', 'rounds.json'))).stopped!,
    /round 1 could not be trained: .*none is accepted/,
  );
  assert.ok(existsSync(join(at, 'b', 'model.onnx')));
});

test('a model of all labels is calibrated on what the folds held out', async (t) => {
  const at = await temporaryFolder(t),
    out = join(at, 'run');
  const {
    rounds: told,
    best,
    kept,
  } = await rounds(blobs({ train: 10, test: 4 }), { ...training, rounds: 1, folds: 2, out });
  const saidBy = async (run: string): Promise<SelectionFile['images']> =>
    (await runFiles.selection.read(join(out, 'rounds', run)))!.images;
  const folds = [...(await saidBy('1-fold-1')), ...(await saidBy('1-fold-2'))],
    whole = await saidBy('1');
  const byPath = (images: SelectionFile['images']): object[] =>
    [...images].sort((a, b) => (a.path < b.path ? -1 : 1)).map(({ loss: _, ...image }) => image);
  assert.equal(folds.length, 8);
  assert.deepEqual(byPath(whole), byPath(folds));
  const labels = whole.map(({ path }) => Number(path.split('/').at(-1)) % 2);
  const temperature = fitTemperature(Float32Array.from(whole.flatMap(({ logits }) => logits)), labels, 2);
  const { calibration } = await json<{ calibration: { temperature: number } }>(
    join(out, 'rounds', '1', 'evaluation.json'),
  );
  assert.ok(
    Math.abs(calibration.temperature / temperature - 1) < 1e-6,
    `${calibration.temperature}, expected ${temperature}`,
  );
  assert.equal(best.top1, told[kept]!.selection!.top1);
});

test('with nothing held out, self-training ends with its last student, and the ladder tries nothing that it could not compare', async (t) => {
  const at = await temporaryFolder(t),
    data = blobs({ train: 10, test: 4 }),
    none = { ...training, folds: 0 };
  const { rounds: told, best, kept, test: tested } = await rounds(data, { ...none, out: join(at, 'rounds') });
  assert.deepEqual(
    told.map(({ gain, selection }) => [gain, selection]),
    [
      [undefined, undefined],
      [undefined, undefined],
      [undefined, undefined],
    ],
  );
  assert.equal(kept, 2);
  assert.deepEqual(best, { epoch: 1, top1: undefined });
  assert.ok(
    !existsSync(join(at, 'rounds', 'rounds', '0', 'folds.json')),
    'a teacher was trained in folds that nobody asked for',
  );
  assert.equal(tested?.top1, told[2]!.test!.top1);
  assert.equal(
    await hashOf(join(at, 'rounds', 'model.onnx')),
    await hashOf(join(at, 'rounds', 'rounds', '2', 'model.onnx')),
  );
  const { rungs: tried } = await climb(data, {
    ...shared,
    labelsPerClass: 4,
    epochs: 1,
    folds: 0,
    out: join(at, 'ladder'),
  });
  assert.deepEqual(
    tried.filter(({ kept }) => kept).map(({ name, selection }) => [name, selection]),
    [['supervised', undefined]],
  );
  assert.match(tried.find(({ name }) => name === 'augmentation')!.reason!, /no labels are held out to compare it on/);
});

test('the ladder keeps what is better on held-out images, says why, and goes on after an interruption', async (t) => {
  const at = await temporaryFolder(t),
    data = blobs({ train: 14, val: 8, test: 8 });
  const options: LearnOptions = {
    ...shared,
    labelsPerClass: 4,
    epochs: 3,
    studentEpochs: 1,
    student: 'convnet-small',
    unlabelledRatio: 2,
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

  const out = join(at, 'stopped'),
    controller = new AbortController();
  let seen = 0;
  await assert.rejects(
    climb(data, { ...options, out, signal: controller.signal }, ({ type }) => {
      if (type === 'step' && ++seen === 15) controller.abort();
    }),
    { code: 'interrupted' },
  );
  const resumed = await climb(data, { resume: out, threads: 1, workers: 0 });
  assert.equal(await hashOf(resumed.model), await hashOf(whole.model));

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
  const { run: model } = await train(blobs({ train: 40, val: 20 }), {
    ...shared,
    epochs: 6,
    out: join(at, 'backbone'),
  });
  const data = blobs({ train: 60, test: 30 });
  const options: LearnOptions = {
    ...omit(shared, ['mode', 'lr', 'optimizer', 'model']),
    model,
    labelsPerClass: 4,
    studentEpochs: 1,
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
  const { rounds: told } = (await runFiles.pseudoLabels.read(join(at, 'whole')))!;
  assert.equal(told.length, names.length - 1);
  for (const { total, truth } of told) assert.deepEqual([total, truth!.known], [112, 112]);
  assert.ok(told[0]!.moved === undefined && told[1]!.moved! >= 0);
  // A student learns of a labelled image what was said of it without its label.
  const file = join(at, 'whole', 'rungs', 'consensus', 'labels.parquet');
  const { rows } = await readPseudoLabels(file, data.classes);
  assert.equal(rows.length, 120);
  const { settings } = (await runFiles.config.read(join(at, 'whole', 'rungs', 'round-1', 'student')))! as unknown as {
    settings: TrainOptions;
  };
  assert.equal(settings.pseudoLabels, file);
  assert.equal(settings.technique, 'prior-match');

  const out = join(at, 'stopped'),
    controller = new AbortController();
  let seen = 0;
  await assert.rejects(
    climb(data, { ...options, out, signal: controller.signal }, ({ type }) => {
      if (type === 'step' && ++seen === 3) controller.abort();
    }),
    { code: 'interrupted' },
  );
  const resumed = await climb(data, { resume: out, threads: 1, workers: 0 });
  assert.equal(await hashOf(resumed.model), await hashOf(whole.model));
});

test('with one label of each class consensus and rounds are kept unmeasured', async (t) => {
  const at = await temporaryFolder(t);
  const { run: model } = await train(blobs({ train: 40, val: 20 }), {
    ...shared,
    epochs: 6,
    out: join(at, 'backbone'),
  });
  const { rungs: tried, best } = await climb(blobs({ train: 30, test: 10 }), {
    ...omit(shared, ['mode', 'lr', 'optimizer', 'model']),
    model,
    labelsPerClass: 1,
    studentEpochs: 1,
    out: join(at, 'run'),
  });
  assert.equal(tried.at(-1)!.name.slice(0, 5), 'round');
  for (const { kept, selection, gain } of tried)
    assert.deepEqual([kept, selection, gain], [true, undefined, undefined]);
  assert.equal(best.top1, undefined);
});

test('an encoder of others climbs, too, and teaches a smaller network', async (t) => {
  const at = await temporaryFolder(t);
  const { run: student } = await train(blobs({ train: 20, val: 10 }), { ...shared, epochs: 2, out: join(at, 'small') });
  const { rungs: tried, test: tested } = await climb(blobs({ train: 20, test: 10 }, 150), {
    model: fileURLToPath(new URL('../../fixtures/encoders/resnet-map.onnx', import.meta.url)),
    normalize: 'imagenet',
    student,
    labelsPerClass: 3,
    studentEpochs: 1,
    threads: 1,
    workers: 0,
    engine: 'ort',
    out: join(at, 'run'),
  });
  const names = tried.map(({ name }) => name);
  assert.deepEqual([...names.slice(0, 3), names.at(-1)], ['probe', 'consensus', 'round 1', 'distillation']);
  for (const { selection, name } of tried) assert.equal(selection!.count, 6, name);
  assert.ok(tested!.top1 > 0);
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
  [{ rungs: ['supervised', 'fixmatch'], dropout: 0.2 }, /`dropout`: none .* has: noisy student/],
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

test('self-train refuses what it would ignore', async () => {
  const refuses = (options: SelfTrainOptions, says: RegExp): Promise<void> =>
    assert.rejects(selfTrain('no such folder', options).then(), refused('usage', says));
  await refuses({ model: 'resnet8', mode: 'finetune' }, /without trained weights; use `mode: scratch`/);
  await refuses({ model: 'resnet8', mode: 'probe' }, /without trained weights; use `mode: scratch`/);
  await refuses({ model: 'resnet8', students: ['resnet8', 'resnet20'], rounds: 1 }, /`students` names 2 networks/);
});

test('the probe of a ladder solves the last layer in float32, whatever the precision of the others', () => {
  const asked = { options: {}, model: 'a.onnx', mode: 'finetune', epochs: 1 } as const;
  const training = trainingOf(rungs.probe, asked, { precision: 'bf16' });
  assert.equal(resolveSettings(undefined, useful(training)).precision, 'auto');
});

test('self-training that ends early says which round is the final model, and why', async (t) => {
  const at = await temporaryFolder(t),
    data = blobs({ train: 14, val: 8, test: 8 });
  const notes: string[] = [];
  const { kept, rounds: told } = await rounds(data, { ...training, out: join(at, 'run') }, (event) => {
    if (event.type === 'note') notes.push(event.message);
  });
  const best = Math.max(...told.map(({ selection }) => selection!.top1));
  assert.equal(told[kept]!.selection!.top1, best, 'the result is the best on held-out images');
  const { stopped } = await json<RoundsFile>(join(at, 'run', 'rounds.json'));
  assert.equal(told.length < 3, stopped !== undefined);
  if (stopped === undefined) return;
  assert.ok(notes.includes(stopped));
  assert.match(stopped, /round \d gained .* points on 16 held-out images, which is not more than its interval/);
  assert.match(
    stopped,
    kept === 0 ? /the final model is that of the first teacher/ : new RegExp(`that of round ${kept}`),
  );
});

test('the time of self-training is divided equally among its trainings', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const lines: string[] = [];
  const options = { ...training, minutes: 3, out };
  for await (const event of selfTrain(blobs({ train: 10, val: 4 }), options)) {
    if (event.type === 'plan') lines.push(...event.lines);
    if (event.type === 'step') break;
  }
  assert.ok(lines.includes('time       3 min, divided equally among 3 trainings'), lines.join('\n'));
  const { settings } = await json<{ settings: { minutes: number } }>(join(out, 'rounds', '0', 'run.json'));
  assert.equal(settings.minutes, 1);
});
