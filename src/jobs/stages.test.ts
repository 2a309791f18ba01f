import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { withSamples } from '../data/dataset.js';
import type { Dataset, Split } from '../data/sample.js';
import { fitTemperature } from '../evaluate/metrics.js';
import type { RoundsFile, SelectionFile } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import { temporaryFolder } from '../testing/image-files.js';
import { blobs, blobTraining as shared } from '../testing/blobs.js';
import { busyClock } from '../testing/busy-clock.js';
import { asJson, collect, hashOf, refused, useOwnCache } from '../testing/kit.js';
import { partsOf } from './parts.js';
import { asEventOf, pairedGain } from './stages.js';
import { learn, type LearnEvent, type LearnOptions, type LearnResult } from './learn/learn.js';
import { selfTrain, type SelfTrainEvent, type SelfTrainOptions, type SelfTrainResult } from './self-train.js';

useOwnCache();

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

test('of a job of many trainings the first warning about the same is told, however its numbers change', () => {
  const told = new Set<string>();
  const say = (message: string, about?: string): unknown =>
    asEventOf('round', { type: 'warning', message, ...(about === undefined ? {} : { about }) }, told);
  const said = [
    say('33 of 200', 'a'),
    say('43 of 200', 'a'),
    say('43 of 200', 'b'),
    say('odd'),
    say('odd'),
    say('odder'),
  ];
  assert.deepEqual(
    said.map((event) => event !== undefined),
    [true, false, true, true, false, true],
  );
});

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

  const pass = busyClock(t);
  for (const stop of [2, 9]) {
    const out = join(at, `stopped-${stop}`),
      controller = new AbortController();
    let seen = 0;
    await assert.rejects(
      rounds(data, { ...training, out, signal: controller.signal }, ({ type }) => {
        if (type !== 'step' || ++seen !== stop) return;
        pass(1000);
        controller.abort();
      }),
      { code: 'interrupted' },
    );
    const { seconds } = await rounds(data, { resume: out, threads: 1, workers: 0 });
    assert.ok(seconds > 1000 && seconds < 1500, `${seconds} s in two sessions`);
    assert.ok(!existsSync(join(out, 'work-time.json')));
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
  assert.ok(!existsSync(join(at, 'a')), 'a run that did nothing leaves its name');
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

test('with nothing held out, self-training ends with its last student, learn with what needs no choice', async (t) => {
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
  const ladder = { ...shared, labelsPerClass: 4, epochs: 1, folds: 0 };
  const { rungs: usual } = await climb(data, { ...ladder, out: join(at, 'usual') });
  assert.deepEqual(
    usual.map(({ name, kept, selection }) => [name, kept, selection]),
    ['supervised', 'fixmatch', 'consensus', 'round 1'].map((name) => [name, true, undefined]),
  );
  const { rungs: named } = await climb(data, {
    ...ladder,
    rungs: ['supervised', 'augmentation'],
    out: join(at, 'named'),
  });
  assert.deepEqual(
    named.map(({ kept, selection }) => [kept, selection]),
    [
      [true, undefined],
      [false, undefined],
    ],
  );
  assert.match(named[1]!.reason!, /no labels are held out to compare it on/);
});

test('self-train refuses what it would ignore', async () => {
  const refuses = (options: SelfTrainOptions, says: RegExp): Promise<void> =>
    assert.rejects(selfTrain('no such folder', options).then(), refused('usage', says));
  await refuses({ model: 'resnet8', mode: 'finetune' }, /without trained weights; use `mode: scratch`/);
  await refuses({ model: 'resnet8', mode: 'probe' }, /without trained weights; use `mode: scratch`/);
  await refuses({ model: 'resnet8', students: ['resnet8', 'resnet20'], rounds: 1 }, /`students` names 2 networks/);
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
